/** Stretches of logs on PostgreSQL when connections break, and when many instances are at work. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { openDatabase } from '../../src/platform/postgres/database.ts'
import { ensureIdPartitions } from '../../src/progress/postgres/ids-postgres.ts'
import { createPostgresStore } from '../../src/progress/postgres/store-postgres.ts'
import { recordIdOf, type Update } from '../../src/progress/record.ts'
import type { LogOutcome, ProgressRecord, RecordStore } from '../../src/progress/store.ts'
import { startCommitProxy } from '../helpers/commit-proxy.ts'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { makeLogged, makeSource, stretch } from './log-contract.ts'
import { counts, makeMessageId, makeUpdate } from './store-contract.ts'

async function openStore(scope: Scope, url: string) {
  const database = openDatabase({ url, maxConnections: 4, maxLanes: 4, maxJobConnections: 1, log: () => {} })
  atEnd(scope, () => database[Symbol.asyncDispose]())
  await ensureIdPartitions(database.pool)
  return createPostgresStore(database)
}

const recordId = recordIdOf('krn:logs', 'log.csv')

describe('logs on PostgreSQL', () => {
  for (const [fate, deliverAfterMs] of Object.entries({
    'is lost': Infinity,
    'takes effect': 0,
    'takes effect late': 700,
  })) {
    test(`P15 N1 a stretch counts once and is announced when a COMMIT that nobody answers ${fate}`, async (t) => {
      const proxy = await startCommitProxy(t, await createTestDatabase(t))
      const store = await openStore(t, proxy.url)
      const source = makeSource()
      const log = [0, 1, 2, 3, 4].map((offset) => makeLogged(offset, 'log.csv'))
      await store.applyFrom(stretch(source, log, 0, 2))
      proxy.loseNextCommit({ deliverAfterMs })
      // It begins with what was applied before.
      const { position, outcomes } = await store.applyFrom(stretch(source, log, 1, 5))
      assert.equal(proxy.lost, 1, 'the connection was cut')
      assert.equal(position, 5)
      assert.deepEqual(
        outcomes.map((outcome) => outcome && counts(outcome).done),
        [undefined, 3, 4, 5],
      )
      const [record] = await store.byIds([recordId])
      assert.equal(record?.counts.done, 5)
      assert.equal(await store.position(source), 5)
    })
  }

  test('P15 N1 the first COMMIT of a partition is lost: its position is the one that it began at', async (t) => {
    const proxy = await startCommitProxy(t, await createTestDatabase(t))
    const store = await openStore(t, proxy.url)
    const source = makeSource()
    const log = [7, 8].map((offset) => makeLogged(offset, 'log.csv'))
    await store.applyFrom({ source: makeSource(), from: 0, next: 1, updates: [] })
    proxy.loseNextCommit({ deliverAfterMs: Infinity, refuseAfter: true })
    await assert.rejects(store.applyFrom(stretch(source, log, 7, 9)), { code: 'unavailable' })
    proxy.stopRefusing()
    assert.equal(await store.position(source), 7)
    assert.equal((await store.applyFrom(stretch(source, log, 7, 9))).position, 9)
    const [record] = await store.byIds([recordId])
    assert.equal(record?.counts.done, 2)
  })

  test('P15 N1 three instances race through a partition while their connections are ended: exact', async (t) => {
    const url = await createTestDatabase(t)
    const pool = openTestPool(t, url)
    const stores = await Promise.all([0, 1, 2].map(() => openStore(t, url)))
    const source = makeSource()
    const log = Array.from({ length: 600 }, (_, n) => makeLogged(n, n % 5 ? 'log.csv' : `log-${n}.csv`))
    let ended = 0
    const killer = setInterval(() => {
      pool
        .query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE datname = current_database() AND application_name = 'pebbles' AND state <> 'idle'`,
        )
        .then(({ rowCount }) => {
          ended += rowCount ?? 0
        })
        .catch(() => {})
    }, 20)
    try {
      await Promise.all(
        stores.map(async (store) => {
          for (let position = 0; position < log.length; ) {
            const next = Math.min(log.length, position + 1 + Math.floor(Math.random() * 12))
            position = (await store.applyFrom(stretch(source, log, position, next))).position
          }
        }),
      )
    } finally {
      clearInterval(killer)
    }
    assert.ok(ended > 0, 'connections were ended')
    const events = await stores[0]!.events(recordId, { limit: 1_000, after: 0 })
    assert.deepEqual(
      events.map(({ updateId }) => updateId),
      log.filter(({ filename }) => filename === 'log.csv').map(({ place }) => place),
    )
    const { rows } = await pool.query('SELECT sum(done)::int AS done, count(*)::int AS records FROM records')
    assert.deepEqual(rows[0], { done: 600, records: 121 })
  })

  test('P15 stretches and single updates of several instances, of records old and new, never deadlock', async (t) => {
    const url = await createTestDatabase(t)
    const pool = openTestPool(t, url)
    const stores = await Promise.all([0, 1, 2].map(() => openStore(t, url)))
    for (let round = 0; round < 8; round++) {
      // Half of them are new in each round.
      const files = Array.from({ length: 24 }, (_, n) => `deadlock-${n % 2 ? 0 : round}-${n}.csv`)
      await Promise.all(
        stores.flatMap((store, index) => {
          const updates = (index % 2 ? files : files.toReversed()).map((file, n) => makeLogged(n, file))
          const source = makeSource()
          return [
            store.applyFrom({ source, from: 0, next: 24, updates }),
            store.apply(updates.map(({ filename }) => makeUpdate(filename, { clientKrn: 'krn:logs' }))),
          ]
        }),
      )
    }
    await pool.query('SELECT pg_stat_force_next_flush()')
    const { rows } = await pool.query(
      `SELECT deadlocks::int, (SELECT sum(done)::int FROM records) AS done
       FROM pg_stat_database WHERE datname = current_database()`,
    )
    assert.deepEqual(rows[0], { deadlocks: 0, done: 8 * 24 * 6 })
  })

  test('P15 N1 many new files at once, with any names, are what the same updates make in small batches', async (t) => {
    const urls = await Promise.all([createTestDatabase(t), createTestDatabase(t)])
    const [large, small] = (await Promise.all(urls.map((url) => openStore(t, url)))) as [
      RecordStore,
      RecordStore,
    ]
    const odd = ['\t', '\n\r\n', '\\N', '\\.', '"', 'é😀', '{},', ' ']
    const log = Array.from({ length: 300 }, (_, n) =>
      makeLogged(n, `${n % 250}${odd[n % odd.length]}`, {
        email: n % 2 ? 'alice@example.com' : 'Ü\t\\@example.com',
        total: n % 3 === 0 ? n : undefined,
        errors: n % 50 === 0 ? [{ line: n, message: 'bad' }] : [],
        id: n % 7 === 0 ? makeMessageId(`many ${n}\t`) : undefined,
        isLast: n % 11 === 0,
      }),
    )
    const { outcomes } = await large.applyFrom(stretch(makeSource(), log, 0, 300))
    const source = makeSource()
    for (let from = 0; from < 300; from += 50) {
      const part = await small.applyFrom(stretch(source, log, from, from + 50))
      assert.deepEqual(part.outcomes, outcomes.slice(from, from + 50))
    }
    const read = async (store: RecordStore, filename: string) => {
      const id = recordIdOf('krn:logs', filename)
      const [{ createdAt: _, updatedAt: __, ...record }] = (await store.byIds([id])) as [ProgressRecord]
      const events = await store.events(id, { limit: 10, after: 0 })
      return { record, events: events.map(({ at: _, ...event }) => event) }
    }
    for (const { filename } of log) assert.deepEqual(await read(large, filename), await read(small, filename))
    const { rows } = await openTestPool(t, urls[0]).query(
      `SELECT count(*)::int AS records FROM records
       WHERE created_at = updated_at AND listed_at = date_trunc('second', updated_at)`,
    )
    assert.deepEqual(rows, [{ records: new Set(log.map(({ filename }) => filename)).size }])
  })

  test('P15 N1 after a batch of nothing but new files, files that are not new are found all the same', async (t) => {
    const store = await openStore(t, await createTestDatabase(t))
    const source = makeSource()
    let end = 0
    const apply = async (updates: Partial<Update>[]) => {
      const log = updates.map(({ filename = '', ...more }, n) => makeLogged(end + n, filename, more))
      const from = end
      end += log.length
      const { position, outcomes } = await store.applyFrom(stretch(source, log, from, end))
      assert.equal(position, end)
      return outcomes
    }
    let files = 0
    const many = () => Array.from({ length: 250 }, () => ({ filename: `new-${files++}.csv` }))
    const results = (outcomes: LogOutcome['outcomes']) =>
      outcomes.slice(250).map((outcome) => outcome?.result)
    const id = makeMessageId('guessed')
    const huge = { done: Number.MAX_SAFE_INTEGER, warn: 1, failed: 0 }

    await apply(many())
    const known = { filename: 'new-7.csv' }
    assert.deepEqual(results(await apply([...many(), known, { filename: 'b.csv' }])), ['updated', 'created'])
    await apply(many())
    assert.deepEqual(results(await apply([...many(), { ...known, isLast: true, id }])), ['updated'])
    await apply(many())
    // No new record would tell of these two that there is one already.
    assert.deepEqual(results(await apply([...many(), { ...known, counts: huge }])), ['completed'])
    await apply(many())
    const again = await apply([...many(), { ...known, isLast: true, id }])
    assert.deepEqual(again[250], { ...again[250], result: 'updated', isReplay: true })
    const [record] = await store.byIds([recordIdOf('krn:logs', 'new-7.csv')])
    assert.equal(record?.sequence, 3)
  })
})
