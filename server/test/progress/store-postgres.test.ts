import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { PebblesError } from '../../src/platform/errors.ts'
import { openDatabase } from '../../src/platform/postgres/database.ts'
import { migrate } from '../../src/platform/postgres/migrations.ts'
import { createLedger } from '../../src/progress/ledger.ts'
import {
  dropOldIdPartitions,
  ensureIdPartitions,
  KEPT_MESSAGE_DAYS,
} from '../../src/progress/postgres/ids-postgres.ts'
import { createPostgresStore } from '../../src/progress/postgres/store-postgres.ts'
import { recordIdOf } from '../../src/progress/record.ts'
import type { Applied } from '../../src/progress/store.ts'
import { startCommitProxy } from '../helpers/commit-proxy.ts'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import { atEnd, type Scope, suiteScope } from '../helpers/scope.ts'
import { counts, describeRecordStore, makeId, makeMessageId, makeUpdate } from './store-contract.ts'

async function openStore(scope: Scope, url?: string) {
  const database = openDatabase({
    url: url ?? (await createTestDatabase(scope)),
    maxConnections: 10,
    maxLanes: 6,
    maxJobConnections: 1,
    log: () => {},
  })
  atEnd(scope, () => database[Symbol.asyncDispose]())
  await ensureIdPartitions(database.pool)
  return createPostgresStore(database)
}

describe('PostgreSQL', () => {
  const scope = suiteScope()
  describeRecordStore('PostgreSQL', () => openStore(scope))
})

describe('PostgreSQL, when the connection breaks', () => {
  for (const [fate, deliverAfterMs] of Object.entries({
    'is lost': Infinity,
    'takes effect': 0,
    'takes effect late': 700,
  })) {
    test(`N1 updates without ids count once when a COMMIT that nobody answers ${fate}`, async (t) => {
      const databaseUrl = await createTestDatabase(t)
      const proxy = await startCommitProxy(t, databaseUrl)
      const store = await openStore(t, proxy.url)
      const updates = () => [makeUpdate('known.csv'), makeUpdate('keyed.csv', { id: makeId('k') })]
      await store.apply([makeUpdate('known.csv')])

      proxy.loseNextCommit({ deliverAfterMs })
      const outcomes = await store.apply([...updates(), makeUpdate('new.csv')])
      assert.equal(proxy.lost, 1, 'the connection was cut')
      assert.deepEqual(counts(outcomes[0]).done, 2)
      assert.deepEqual((outcomes[2] as Applied).result, 'created')
      const records = await store.byIds(
        ['known.csv', 'keyed.csv', 'new.csv'].map((f) => recordIdOf('krn:contract', f)),
      )
      assert.deepEqual(records.map(({ counts }) => counts.done).sort(), [1, 1, 2])
    })
  }

  test('N1 a COMMIT in doubt, and then another fault: nothing is applied again', async (t) => {
    const databaseUrl = await createTestDatabase(t)
    const proxy = await startCommitProxy(t, databaseUrl)
    const store = await openStore(t, proxy.url)
    const ledger = createLedger({ apply: store.apply, lanes: 1, maxPending: 100, maxPendingBytes: 1e6 })
    await ledger.submit(makeUpdate('warm.csv'))
    proxy.loseNextCommit({ deliverAfterMs: 0, refuseAfter: true })
    const submitted = ['a.csv', 'b.csv'].map((name) => ledger.submit(makeUpdate(name)))
    // Both in one batch, which a plain refusal would halve and try again.
    const answers = await Promise.allSettled(submitted)
    for (const answer of answers) {
      assert.equal(answer.status, 'rejected')
      assert.equal((answer.reason as PebblesError).code, 'unavailable')
    }
    assert.equal(proxy.lost, 1)
    proxy.stopRefusing()
    const read = () => store.byIds(['a.csv', 'b.csv'].map((name) => recordIdOf('krn:contract', name)))
    // When the callers are answered, the COMMIT may still be on its way to the server.
    let records = await read()
    while (records.length < 2) records = await read()
    assert.deepEqual(
      records.map(({ counts }) => counts.done),
      [1, 1],
    )
  })

  test('two instances that create the same files do not deadlock', async (t) => {
    const url = await createTestDatabase(t)
    const stores = [await openStore(t, url), await openStore(t, url)]
    const pool = openTestPool(t, url)
    for (let round = 0; round < 15; round++) {
      const files = Array.from({ length: 20 }, (_, n) => `${round}-${n}.csv`)
      const batches = [files, files.toReversed()].map((names, i) =>
        stores[i]!.apply(names.map((name) => makeUpdate(name, { errors: [{ line: 1, message: 'e' }] }))),
      )
      const results = (await Promise.all(batches)).flat().map(({ result }) => result)
      assert.equal(results.filter((result) => result === 'created').length, 20)
    }
    await pool.query('SELECT pg_stat_force_next_flush()')
    const { rows } = await pool.query(
      'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()',
    )
    assert.equal(Number(rows[0].deadlocks), 0)
  })

  test('P19 the first event of a record is the same wherever it is kept', async (t) => {
    const url = await createTestDatabase(t)
    const store = await openStore(t, url)
    const pool = openTestPool(t, url)
    const firsts = ['going-on.csv', 'completed.csv', 'alone.csv'].map((name, n) =>
      makeUpdate(name, { total: 7, isLast: n === 1, errors: [{ line: 1, message: 'e' }], id: makeId(name) }),
    )
    const outcomes = await store.apply(firsts)
    const readFirsts = () =>
      Promise.all(firsts.map(({ recordId }) => store.events(recordId, { limit: 1, after: 0 })))
    const stored = async () => (await pool.query('SELECT count(*)::int AS n FROM event_rows')).rows[0].n
    const events = await readFirsts()
    assert.deepEqual(
      events.map(([event]) => [event?.updateId, event?.sequence, event?.errors, event?.isLast]),
      [
        ['going-on.csv', 1, 1, false],
        ['completed.csv', 1, 1, true],
        ['alone.csv', 1, 1, false],
      ],
    )
    assert.equal(await stored(), 0)

    // As an instance of the version before does it.
    const { recordId } = firsts[0]!
    await pool.query('UPDATE records SET done = 2, sequence = 2 WHERE id = $1', [recordId])
    await pool.query(
      `INSERT INTO events (record_id, sequence, done, warn, failed, errors_total, warnings_total, is_completed, channel)
       VALUES ($1, 2, 2, 0, 0, 1, 0, false, 'http')`,
      [recordId],
    )
    assert.equal((await store.events(recordId, { limit: 10, after: 1 }))[0]?.counts.done, 1)
    await store.apply([makeUpdate('going-on.csv')])
    // As a retried job opens the record again.
    await pool.query('UPDATE records SET is_completed = false WHERE filename = $1', ['completed.csv'])
    assert.equal(await stored(), 4)
    assert.deepEqual(await readFirsts(), events)
    assert.deepEqual(
      await store.apply(firsts),
      outcomes.map((outcome) => ({ ...outcome, isReplay: true })),
    )

    const undone: string[] = []
    while (undone.at(-1) !== '0017_first-events') undone.push(...(await migrate(url, 'down')))
    const { rows } = await pool.query('SELECT count(*)::int AS n FROM events')
    assert.equal(rows[0].n, 5)
    await migrate(url, 'up')
    assert.deepEqual(await readFirsts(), events)
  })

  test('a partition that cannot be made or dropped at once stops nobody for long', async (t) => {
    const url = await createTestDatabase(t)
    const store = await openStore(t, url)
    const pool = openTestPool(t, url)
    await pool.query(
      "CREATE TABLE applied_ids_20200101 PARTITION OF applied_ids FOR VALUES FROM ('2020-01-01') TO ('2020-01-02')",
    )
    const backup = await pool.connect()
    await backup.query('BEGIN')
    await backup.query('LOCK TABLE applied_ids IN ACCESS SHARE MODE')
    await assert.rejects(dropOldIdPartitions(pool), { code: '55P03' })
    const [outcome] = await store.apply([makeUpdate('meanwhile.csv', { id: makeId('meanwhile') })])
    assert.equal(outcome?.result, 'created')
    await backup.query('ROLLBACK')
    backup.release()
    await dropOldIdPartitions(pool)
    const { rows } = await pool.query("SELECT to_regclass('applied_ids_20200101') AS name")
    assert.equal(rows[0].name, null)
  })

  test('a batch waits while all its connections are ended, and is then written once', async (t) => {
    const url = await createTestDatabase(t)
    const store = await openStore(t, url)
    const pool = openTestPool(t, url)
    await store.apply([makeUpdate('steady.csv')])
    const endAll = () =>
      pool.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'pebbles'`,
      )
    // Once for each batch, at whatever instant of it.
    for (let n = 2; n <= 100; n++) {
      const [[outcome]] = await Promise.all([
        store.apply([makeUpdate('steady.csv')]),
        delay(n % 12).then(endAll),
      ])
      assert.equal(counts(outcome).done, n)
    }
  })

  test('N1 P14 a missing day or week of ids is made on the way', async (t) => {
    const url = await createTestDatabase(t)
    const store = await openStore(t, url)
    const pool = openTestPool(t, url)
    for (const [table, id] of [
      ['applied_ids', makeId('day')],
      ['message_ids', makeMessageId('week')],
    ] as const) {
      const { rows } = await pool.query(
        `SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = '${table}'::regclass`,
      )
      for (const { name } of rows) await pool.query(`DROP TABLE ${name}`)
      const [outcome] = await store.apply([makeUpdate(`${table}.csv`, { id })])
      assert.equal(outcome?.result, 'created')
    }
  })

  test('updates over HTTP never touch the ids of messages', async (t) => {
    const url = await createTestDatabase(t)
    const store = await openStore(t, url)
    const holder = await openTestPool(t, url).connect()
    await holder.query('BEGIN')
    await holder.query('LOCK TABLE message_ids IN ACCESS EXCLUSIVE MODE')
    for (const id of [makeId('first'), makeId('first'), undefined])
      await store.apply([makeUpdate('free.csv', { id })])
    const [record] = await store.byIds([recordIdOf('krn:contract', 'free.csv')])
    assert.equal(record?.sequence, 2)
    await holder.query('ROLLBACK')
    holder.release()
  })

  test('N1 P14 ids of messages are known for 28 days at least, and then forgotten by the week', async (t) => {
    const url = await createTestDatabase(t)
    const store = await openStore(t, url)
    const pool = openTestPool(t, url)
    assert.ok(KEPT_MESSAGE_DAYS >= 28)
    const send = async (name: string) =>
      (await store.apply([makeUpdate('old.csv', { id: makeMessageId(name), channel: 'sqs' })]))[0]?.isReplay
    /** As if it had been decided days ago, at the hour that is worst. */
    const age = async (name: string, days: number) => {
      const monday = `date_trunc('week', (now() AT TIME ZONE 'UTC')::date - ${days})::date`
      await pool.query(`SELECT ensure_message_ids_weeks(${monday}, ${monday})`)
      await pool.query(`UPDATE message_ids SET week = ${monday} WHERE id = $1`, [makeMessageId(name).id])
    }
    for (const name of ['kept', 'forgotten']) assert.equal(await send(name), false)
    await age('kept', KEPT_MESSAGE_DAYS)
    await age('forgotten', KEPT_MESSAGE_DAYS + 7)
    await dropOldIdPartitions(pool)
    assert.equal(await send('kept'), true)
    assert.equal(await send('forgotten'), false)
    const { rows } = await pool.query(
      `SELECT count(*)::int AS n FROM pg_inherits WHERE inhparent = 'message_ids'::regclass`,
    )
    // This week, three ahead, and the one that is still kept.
    assert.equal(rows[0].n, 5)
  })
})
