import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { startEmbeddedPostgres } from '../../src/platform/postgres/embedded.ts'
import { freezePostgres } from '../helpers/database.ts'
import { readSamples, type Samples, scrape } from '../helpers/metrics.ts'
import { atEnd, suiteScope } from '../helpers/scope.ts'
import { createTestDir, startServer, type TestServer } from '../helpers/server.ts'

const IDLE_MS = 400
const OLD = Date.parse('2021-01-26T14:44:00Z') / 1000
const nowS = () => Math.floor(Date.now() / 1000)
const view = (postcode: string, timestamp: number, more = {}) => ({
  user_id: 1,
  postcode,
  webpage: 'w',
  timestamp,
  ...more,
})
const outcome = (stream: string, outcome: string) =>
  `pebbles_stream_events_total{stream="${stream}",outcome="${outcome}"}`
const lagOf = (samples: Samples) => {
  const ofPartitions = Object.entries(samples).filter(([name]) =>
    name.startsWith('pebbles_stream_lag{group="aggregator"'),
  )
  assert.equal(ofPartitions.length, 8)
  return ofPartitions.reduce((sum, [, events]) => sum + events, 0)
}

async function until(server: TestServer, isSo: (samples: Samples) => boolean): Promise<Samples> {
  for (let look = 0; ; look++) {
    const samples = await scrape(server)
    if (isSo(samples)) return samples
    assert.ok(look < 1_200, JSON.stringify(samples))
    await delay(50)
  }
}

describe('what is told of streams', () => {
  const scope = suiteScope()
  const started = (async () => {
    const dataDir = join(await createTestDir(scope), 'postgres')
    const postgres = await startEmbeddedPostgres({ dataDir, settings: { fsync: 'off' } })
    atEnd(scope, () => postgres.stop())
    const env = { DATABASE_URL: postgres.url, STREAM_IDLE_MS: String(IDLE_MS), STREAM_GRACE_MS: '2000' }
    return {
      url: postgres.url,
      dataDir,
      server: await startServer(scope, { ...env, PEBBLES_ROLES: 'api,streams' }),
    }
  })()

  test('S8 events are counted by what became of them, windows, late events and commits by the aggregator', async () => {
    const { server } = await started
    const send = async (body: unknown[], headers = {}) => {
      const { status } = await server.call('POST', '/api/pageviews/batch', { body, headers })
      assert.equal(status, 202)
    }
    const events = [view('A', OLD), view('B', OLD + 1), view('A', -1)]
    await send(events, { 'idempotency-key': 'once' })
    await send(events, { 'idempotency-key': 'once' })
    const closed = await until(server, (samples) => samples.pebbles_stream_windows_closed_total! >= 2)
    // Its window has been closed by the clock.
    await send([view('A', OLD + 2)])
    const after = await until(server, (samples) => samples.pebbles_stream_late_events_total === 1)
    assert.equal(closed.pebbles_stream_events_read_total, 2)
    assert.equal(after.pebbles_stream_events_read_total, 3)
    assert.equal(after[outcome('pageviews', 'accepted')], 3)
    assert.equal(after[outcome('pageviews', 'duplicate')], 2)
    assert.equal(after[outcome('pageviews', 'refused')], 2)
    assert.equal(after[outcome('declared', 'accepted')], 0)
    assert.ok(after['pebbles_stream_commits_total{result="committed"}']! >= 2)
    assert.equal(after['pebbles_stream_commits_total{result="overtaken"}'], 0)
    assert.ok(after['pebbles_stream_append_duration_seconds_count{result="written"}']! >= 2)
    assert.equal(after.pebbles_stream_pending, 0)
  })

  test('S8 open windows and their keys are told while they are open; a quiet stream is not behind', async () => {
    const { server } = await started
    const tomorrow = nowS() + 12 * 3600
    await server.call('POST', '/api/pageviews/batch', {
      body: [view('A', tomorrow), view('B', tomorrow), view('C', tomorrow), view('C', tomorrow)],
    })
    const open = await until(server, (samples) => samples.pebbles_stream_open_keys === 3)
    assert.ok(open.pebbles_stream_open_windows! >= 1)
    // Nothing closes it for half a day, and nobody is to be woken for that.
    const quiet = await until(server, (samples) => samples.pebbles_stream_watermark_age_seconds === 0)
    assert.equal(quiet.pebbles_stream_open_keys, 3)
  })

  test('S8 stream time of a stream that is sent old events is behind the clock, the aggregator is not', async () => {
    const { server } = await started
    const token = await server.token('old@example.com', 'krn:old')
    let sent = 0
    const aged = await until(server, (samples) => {
      // Events keep coming, so that the stream does not become quiet.
      void server.call('POST', '/api/pageviews', { token, body: view('A', OLD + 60 * ++sent) })
      return samples.pebbles_stream_watermark_age_seconds! > 3600
    })
    assert.ok(aged.pebbles_stream_behind_seconds! < 60)
  })

  test('S8 nothing that tells of streams names one that a client declared', async () => {
    const { server } = await started
    const token = await server.token('names@example.com', 'krn:names')
    const path = '/clients/krn:names/streams/unheard_of'
    const declaration = {
      fields: [
        { name: 'shop', type: 'string', maxLength: 20 },
        { name: 'at', type: 'integer' },
      ],
      key: ['shop'],
      timestamp: { field: 'at', unit: 's' },
      windowSeconds: 60,
      graceSeconds: 0,
      measures: [{ name: 'visits', kind: 'count' }],
    }
    const declared = await server.call('PUT', path, { token, body: declaration })
    assert.ok(declared.status < 300, JSON.stringify(declared.body))
    const body = [{ shop: 'x', at: nowS() }]
    assert.equal((await server.call('POST', `${path}/events`, { token, body })).status, 202)
    const text = await (await fetch(`${server.url}/metrics`)).text()
    assert.ok(!text.includes('unheard_of') && !text.includes('krn:'))
    assert.equal(readSamples(text)[outcome('declared', 'accepted')], 1)
  })

  test('S7 S8 N2 while the database is frozen the aggregator is ever further behind, and says so when it is back', async (t) => {
    const { server, url, dataDir } = await started
    const health = () => server.call('GET', '/actuator/health', { token: null })
    await until(server, (samples) => lagOf(samples) === 0)
    const well = await health()
    assert.deepEqual([well.status, well.body.status], [200, 'UP'])
    assert.equal(well.body.components.streams.components.aggregator.status, 'UP')

    const { thaw } = await freezePostgres(t, { url, dataDir })
    const before = (await scrape(server)).pebbles_stream_behind_seconds!
    await until(server, (samples) => samples.pebbles_stream_behind_seconds! > before + 2)
    const [liveness, readiness, sick] = await Promise.all([
      server.call('GET', '/actuator/health/liveness', { token: null }),
      server.call('GET', '/actuator/health/readiness', { token: null }),
      health(),
    ])
    thaw()
    assert.deepEqual([liveness.status, liveness.body], [200, { status: 'UP' }])
    assert.deepEqual(
      [readiness.status, readiness.body],
      [503, { status: 'DOWN', components: { database: { status: 'DOWN' } } }],
    )
    assert.deepEqual([sick.status, sick.body.status], [503, 'DOWN'])
    assert.equal(sick.body.components.database.status, 'DOWN')
    assert.equal(sick.body.components.objects.status, 'UP')

    await until(server, (samples) => samples.pebbles_stream_behind_seconds! < 2)
    for (let look = 0; (await health()).status !== 200; look++) {
      assert.ok(look < 1_200)
      await delay(50)
    }
  })
})
