import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises'
import { digest } from '../../src/platform/digest.ts'
import { openDatabase } from '../../src/platform/postgres/database.ts'
import { createAppender } from '../../src/streams/in/appender.ts'
import { dropOldLogDays, ensureLogDays } from '../../src/streams/log/log-days-postgres.ts'
import { openPostgresLog } from '../../src/streams/log/log-postgres.ts'
import { startCommitProxy } from '../helpers/commit-proxy.ts'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import { atEnd, type Scope, suiteScope } from '../helpers/scope.ts'
import { describeEventLog, makeEvent, readAll } from './log-contract.ts'

function openPools(scope: Scope, url: string) {
  const database = openDatabase({ url, maxConnections: 2, maxLanes: 1, maxJobConnections: 1, log: () => {} })
  atEnd(scope, () => database[Symbol.asyncDispose]())
  return database
}

async function open(scope: Scope, url: string, partitions = 4, database = openPools(scope, url)) {
  const log = await openPostgresLog(database.streams, partitions)
  atEnd(scope, () => log[Symbol.asyncDispose]())
  return log
}

let shared: Promise<string> | undefined
const scope = suiteScope()
describeEventLog(
  'PostgreSQL',
  async () => {
    shared ??= createTestDatabase(scope)
    return open(scope, await shared)
  },
  { tellsDuplicates: true },
)

/** What commits when nobody else appends, and no event has an id. */
const STATEMENT = 'write-log-runs'

for (const [what, deliverAfterMs] of [
  ['took effect', 0],
  ['takes effect after the next attempt', 300],
  ['never arrived', Number.POSITIVE_INFINITY],
] as const) {
  for (const others of ['nobody else', 'others'] as const) {
    test(`S1 the answer to a commit is lost, and it ${what}, while ${others} appended: the events are appended once, without ids`, async (t) => {
      const url = await createTestDatabase(t)
      const isShared = others === 'others'
      const proxy = await startCommitProxy(t, url, isShared ? undefined : STATEMENT)
      const log = await open(t, proxy.url)
      const behind = await open(t, url)
      const events = Array.from({ length: 20 }, (_, n) => makeEvent(n))
      await (isShared ? behind : log).append(events)
      proxy.loseNextCommit({ deliverAfterMs })
      const places = await log.append(events)
      assert.equal(proxy.lost, 1)
      await proxy.settled()
      const found = []
      for (let partition = 0; partition < log.partitions; partition++)
        found.push(...(await readAll(behind, partition)).map(({ offset }) => `${partition}/${offset}`))
      assert.equal(found.length, 40)
      for (const place of places) {
        assert.notEqual(place, 'duplicate')
        if (place !== 'duplicate') assert.ok(found.includes(`${place.partition}/${place.offset}`))
      }
    })
  }
}

test('S1 the answer to a COMMIT is lost, and it took effect: events with ids are not taken for duplicates of themselves', async (t) => {
  const url = await createTestDatabase(t)
  const proxy = await startCommitProxy(t, url)
  const log = await open(t, proxy.url)
  proxy.loseNextCommit({ deliverAfterMs: 100 })
  const places = await log.append([makeEvent(1, { id: digest('lost', '1') })])
  assert.equal(proxy.lost, 1)
  assert.notEqual(places[0], 'duplicate')
})

test('S1 nobody knows what became of a commit: callers are told to come back, those who wait behind at the same time, and no event is appended again blindly', async (t) => {
  const url = await createTestDatabase(t)
  const proxy = await startCommitProxy(t, url, STATEMENT)
  const log = await open(t, proxy.url)
  const batches: number[] = []
  const append: typeof log.append = (events) => {
    batches.push(events.length)
    return log.append(events)
  }
  const appender = createAppender({ append, maxPending: 100, maxPendingBytes: 1e6 })
  proxy.loseNextCommit({ deliverAfterMs: 100, refuseAfter: true })
  const submit = (n: number) => appender.submit([makeEvent(n)])
  const first = [1, 2, 3].map(submit)
  await nextTurn()
  const outcomes = await Promise.allSettled([...first, ...[4, 5].map(submit)])
  assert.deepEqual(batches, [3], 'nobody waits as long again as the first ones did')
  await appender[Symbol.asyncDispose]()
  for (const outcome of outcomes) {
    assert.equal(outcome.status, 'rejected')
    assert.equal((outcome as PromiseRejectedResult).reason.code, 'unavailable')
  }
  proxy.stopRefusing()
  const behind = await open(t, url)
  const ends = await behind.ends()
  assert.equal(
    ends.reduce((a, b) => a + b),
    3,
  )
})

test('S1 an event that the driver refuses to send is not on its way: the fault is told as what it is, and the next one goes', async (t) => {
  const url = await createTestDatabase(t)
  for (const event of [makeEvent(1), makeEvent(2, { id: digest('refused', '2') })]) {
    const database = openPools(t, url)
    await database.streams.query({ name: STATEMENT, text: 'SELECT 1' })
    const log = await open(t, url, 4, database)
    const ends = await log.ends()
    await assert.rejects(log.append([event]), /Prepared statements must be unique/)
    assert.deepEqual(await log.ends(), ends)
    assert.notEqual((await log.append([event]))[0], 'duplicate')
  }
})

test('S1 an event that comes again around midnight counts once, although one that began before it is written after it', async (t) => {
  const url = new URL(await createTestDatabase(t))
  const log = await open(t, url.href)
  await openTestPool(t, url.href).query(
    `CREATE SCHEMA begun_yesterday;
     CREATE FUNCTION begun_yesterday.now() RETURNS timestamptz LANGUAGE sql
     AS $$ SELECT pg_catalog.now() - interval '1 day' $$`,
  )
  url.searchParams.set('options', '-c search_path=begun_yesterday,pg_catalog,public')
  const begunBefore = await open(t, url.href)
  const event = makeEvent(1, { id: digest('midnight', '1') })
  await log.append([event])
  assert.deepEqual(await begunBefore.append([event]), ['duplicate'])
})

test('S2 a log keeps the number of partitions that it began with', async (t) => {
  const url = await createTestDatabase(t)
  assert.equal((await open(t, url, 3)).partitions, 3)
  assert.equal((await open(t, url, 8)).partitions, 3)
})

test('S2 old days are dropped whole, but none with an event that a reader still needs', async (t) => {
  const url = await createTestDatabase(t)
  const log = await open(t, url, 1)
  const pool = openTestPool(t, url)
  const events = Array.from({ length: 10 }, (_, n) =>
    makeEvent(n, { key: 'one', id: digest('old', String(n)) }),
  )
  await log.append(events)
  await pool.query(`SELECT ensure_log_days('2026-01-01', '2026-01-02')`)
  await pool.query(`UPDATE log_runs SET day = '2026-01-01'`)
  await log.append([makeEvent(11, { key: 'one' })])

  const needed = async (resumeOffset: number) => {
    await pool.query(
      `INSERT INTO log_checkpoints (reader_group, partition, resume_offset) VALUES ('any', 0, $1)
       ON CONFLICT (reader_group, partition) DO UPDATE SET resume_offset = excluded.resume_offset`,
      [resumeOffset],
    )
    await dropOldLogDays(pool, 7, ['any'])
    return (await readAll(log, 0)).map(({ offset }) => offset)
  }
  await dropOldLogDays(pool, 7, ['any'])
  assert.equal((await readAll(log, 0)).length, 11, 'no reader has begun')
  assert.equal((await needed(9)).length, 11, 'the last event of the day is needed')
  assert.deepEqual(await needed(10), [10])
  const later = await log.append([makeEvent(12, { key: 'one' })])
  assert.deepEqual(later, [{ partition: 0, offset: 11 }])
})

test('S2 a day without its table does not stop events', async (t) => {
  const url = await createTestDatabase(t)
  const log = await open(t, url)
  const pool = openTestPool(t, url)
  const { rows } = await pool.query(
    `SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent IN ('log_runs'::regclass, 'event_ids'::regclass)`,
  )
  for (const { name } of rows) await pool.query(`DROP TABLE ${name}`)
  const places = await log.append([makeEvent(1, { id: digest('day', '1') }), makeEvent(2)])
  assert.ok(!places.includes('duplicate'))
  await ensureLogDays(pool)
})

test('S2 processes that start together wait for each other with the days of the log', async (t) => {
  const pool = openTestPool(t, await createTestDatabase(t))
  const holder = await pool.connect()
  await holder.query(`BEGIN; SELECT pg_advisory_xact_lock(hashtext('pebbles.log_days'))`)
  const made = ensureLogDays(pool)
  // Longer than a table is waited for.
  await delay(800)
  await holder.query('COMMIT')
  holder.release()
  await made
})
