import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openDatabase } from '../../src/platform/postgres/database.ts'
import {
  commitProgress,
  loadCheckpoint,
  type Progress,
  scopeIdOf,
} from '../../src/streams/windows/aggregates-postgres.ts'
import { addEvent, type FoldRule, type Totals } from '../../src/streams/windows/fold.ts'
import { hashOf } from '../../src/streams/windows/sketch.ts'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import { atEnd } from '../helpers/scope.ts'
import { createTestDir, spawnServer, startServer, type TestServer } from '../helpers/server.ts'

const NOTHING: Progress = {
  position: 1,
  resumeOffset: 1,
  scopes: [],
  closings: [],
  late: [],
  revisions: [],
  parked: [],
}

test('S4 S6 N1 a window that was parked in pieces is closed whole, in pages, and once: who was overtaken takes nothing', async (t) => {
  const url = await createTestDatabase(t)
  const database = openDatabase({ url, maxConnections: 1, maxLanes: 1, maxJobConnections: 1, log: () => {} })
  atEnd(t, () => database[Symbol.asyncDispose]())
  const pool = database.streams
  const views = { scopeId: await scopeIdOf(pool, 'krn:a', 'pageviews'), rule: ruleOf() }
  const visits = { scopeId: await scopeIdOf(pool, 'krn:a', 'visits'), rule: ruleOf('distinct', 'max') }
  type Scope = typeof views

  /** Keys from one number to another, each with one event. */
  function windowOf({ rule }: Scope, startMs: number, from: number, to: number) {
    const keys = new Map<string, Totals>()
    for (let n = from; n < to; n++)
      addEvent(rule, keys, `k${n}`, rule.measures.length === 0 ? [] : [hashOf(`${from} ${n}`), n + from])
    return { startMs, firstOffset: 0, events: keys.size, bytes: 0, keys, isParked: true }
  }
  const of = (scope: Scope, startMs: number, from: number, to: number) => ({
    ...scope,
    window: windowOf(scope, startMs, from, to),
  })
  let { version } = await loadCheckpoint(pool, 0)
  const commit = (progress: Partial<Progress>) =>
    commitProgress(pool, 0, version++, { ...NOTHING, ...progress })
  const scopes = [views, visits].map(({ scopeId }) => ({
    ...{ scopeId, watermarkMs: 1, closedMs: 1, appendedMs: 1 },
    ...{ counted: 0, late: 0, revised: 0, open: 0 },
  }))

  // Pages of 5,000 rows end between the two that a key has.
  const parked = [of(views, 0, 0, 15_001), of(views, 60_000, 0, 3), of(visits, 0, 0, 120)]
  assert.ok(await commit({ scopes, parked }))
  assert.ok(await commit({ parked: [of(views, 0, 1, 15_001), of(visits, 0, 60, 150)] }))
  const known = async () => {
    const checkpoint = await loadCheckpoint(pool, 0)
    return checkpoint.scopes.map((each) => [...each.parked].sort((a, b) => a[0] - b[0]))
  }
  const before = [
    [
      [0, 30_001],
      [60_000, 3],
    ],
    [[0, 210]],
  ]
  assert.deepEqual(await known(), before)

  const closing = () => ({ closings: [of(views, 0, 15_000, 15_003), of(visits, 0, 149, 151)] })
  assert.equal(await commitProgress(pool, 0, version - 1, { ...NOTHING, ...closing() }), false)
  assert.deepEqual(await known(), before)
  const broken = {
    ...closing(),
    late: [
      { ...LATE, scopeId: views.scopeId },
      { ...LATE, scopeId: 0 },
    ],
  }
  await assert.rejects(commitProgress(pool, 0, version, { ...NOTHING, ...broken }))
  assert.deepEqual(await known(), before)
  assert.ok(await commit(closing()))

  const { rows } = await pool.query(
    `SELECT s.stream, count(*)::int AS keys, sum(a.events)::int AS events, max(a.events)::int AS most,
            sum(a.measures[1])::int AS visitors, sum(a.measures[2])::int AS highest, max(c.keys) AS told
     FROM aggregates a JOIN stream_scopes s ON s.id = a.scope_id JOIN closings c USING (scope_id, window_start)
     GROUP BY s.stream ORDER BY s.stream`,
  )
  const sum = (values: number[]) => values.reduce((a, b) => a + b)
  const highest = Array.from({ length: 151 }, (_, n) => (n >= 149 ? n + 149 : n >= 60 ? n + 60 : n))
  assert.deepEqual(rows, [
    {
      stream: 'pageviews',
      keys: 15_003,
      events: 30_004,
      most: 3,
      visitors: null,
      highest: null,
      told: 15_003,
    },
    { stream: 'visits', keys: 151, events: 212, most: 2, visitors: 212, highest: sum(highest), told: 151 },
  ])
  assert.deepEqual(await known(), [[[60_000, 3]], []])
  const left = await pool.query('SELECT window_start, count(*)::int AS keys FROM parked_totals GROUP BY 1')
  assert.deepEqual(left.rows, [{ window_start: new Date(60_000), keys: 3 }])
})

const LATE = { offset: 3, key: 'A', windowStartMs: 0, payload: '{}', isRevision: false }

const ruleOf = (...measures: FoldRule['measures']): FoldRule => ({ windowMs: 60_000, graceMs: 0, measures })

test('S4 S6 S9 N1 N5 with room for a few keys: what is open waits in the database, is not read again after kill -9, and closes exactly', async (t) => {
  const env = {
    DATABASE_URL: await createTestDatabase(t),
    PEBBLES_DATA: await createTestDir(t),
    PEBBLES_ROLES: 'api,streams',
    STREAM_PARTITIONS: '1',
    ARCHIVE_FORMAT: 'off',
  }
  const pool = openTestPool(t, env.DATABASE_URL)
  const waiting = await spawnServer(t, { ...env, STREAM_IDLE_MS: '600000', STREAM_MAX_OPEN_BYTES: '2500' })
  const path = `/clients/${encodeURIComponent('krn:parked')}/streams/sales`
  const declaration = {
    key: ['shop'],
    timestamp: { field: 'at', unit: 's' },
    windowSeconds: 60,
    graceSeconds: 3_600,
    fields: [
      { name: 'shop', type: 'string', minLength: 1, maxLength: 20 },
      { name: 'at', type: 'integer' },
      { name: 'visitor', type: 'integer' },
    ],
    measures: [
      { name: 'sales', kind: 'count' },
      { name: 'visitors', kind: 'distinct', field: 'visitor' },
      { name: 'total', kind: 'sum', field: 'visitor' },
      { name: 'least', kind: 'min', field: 'visitor' },
      { name: 'most', kind: 'max', field: 'visitor' },
    ],
  }
  const token = await waiting.token('alice@example.com', 'krn:parked')
  const get = async ({ call }: TestServer, path: string) => (await call('GET', path, { token })).body
  assert.equal((await waiting.call('PUT', path, { token, body: declaration })).status, 200)

  const all: { shop: string; at: number; visitor: number }[] = []
  /** Waits until all of it is read, and tells what of it is parked. */
  async function send(events: typeof all): Promise<number> {
    all.push(...events)
    const { status } = await waiting.call('POST', `${path}/events`, { token, body: events })
    assert.equal(status, 202)
    for (let look = 0; ; look++) {
      const { differences, inFlight, open } = await get(waiting, `${path}/balance?recount=true`)
      assert.deepEqual(differences, [])
      if (inFlight === 0 && open === all.length) break
      assert.ok(look < 1_200, 'waited in vain')
      await sleep(50)
    }
    const { rows } = await pool.query('SELECT coalesce(sum(events), 0)::int AS events FROM parked_windows')
    return rows[0].events
  }
  const START = 1_611_662_400
  const batch = (windows: number, base: number) =>
    Array.from({ length: windows * 40 }, (_, n) => ({
      shop: `shop ${n % 7}`,
      at: START + (n % windows) * 60,
      visitor: base + (n % 29),
    }))
  assert.equal(await send([...batch(3, 0), { shop: 'alone', at: START + 600, visitor: 7 }]), 121)
  assert.equal(await send(batch(2, 17)), 201)
  assert.equal(await send([{ shop: 'shop 1', at: START, visitor: 1_000 }]), 201)
  const { rows } = await pool.query(
    `SELECT resume_offset::int, position::int FROM log_checkpoints WHERE reader_group = 'aggregator'`,
  )
  assert.deepEqual(rows, [{ resume_offset: 201, position: 202 }])
  assert.match(
    (await waiting.call('GET', '/metrics')).body,
    /pebbles_stream_keys_parked_total (3[0-9]|[4-9]\d)/,
  )
  await waiting.kill()
  // Nobody waits until it is missed.
  await pool.query('DELETE FROM log_readers')

  const closing = await startServer(t, { ...env, STREAM_IDLE_MS: '200' })
  for (let look = 0; ; look++) {
    const { differences, counted } = await get(closing, `${path}/balance?recount=true`)
    assert.deepEqual(differences, [])
    if (counted === all.length) break
    assert.ok(look < 1_200, 'waited in vain')
    await sleep(50)
  }
  const expected = [...Map.groupBy(all, ({ shop, at }) => `${at} ${shop}`).values()].map((events) => {
    const visitors = events.map(({ visitor }) => visitor)
    return {
      shop: events[0]!.shop,
      window_start: new Date(events[0]!.at * 1_000).toISOString().slice(0, 19),
      sales: events.length,
      visitors: new Set(visitors).size,
      total: visitors.reduce((a, b) => a + b),
      least: Math.min(...visitors),
      most: Math.max(...visitors),
    }
  })
  const order = ({ window_start, shop }: { window_start: string; shop: string }) => window_start + shop
  expected.sort((a, b) => (order(a) < order(b) ? -1 : 1))
  const day = 'from=2021-01-26T00:00:00&to=2021-01-27T00:00:00'
  assert.deepEqual(await get(closing, `${path}/aggregates?${day}`), expected)
  const empty = await pool.query('SELECT FROM parked_windows UNION ALL SELECT FROM parked_totals')
  assert.equal(empty.rows.length, 0)
})
