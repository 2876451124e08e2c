import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import { suiteScope } from '../helpers/scope.ts'
import { startServer, type TestServer } from '../helpers/server.ts'
import { kafkaMissing, sharedKafka } from '../helpers/services.ts'
import { until } from '../helpers/until.ts'
import { openTestLog } from '../progress/kafka-helpers.ts'
import { newTopic } from './log-kafka-helpers.ts'

const at = (time: string) => Date.parse(`2021-01-26T${time}Z`) / 1_000
const RANGE = 'from=2021-01-26T00:00:00&to=2021-01-27T00:00:00'
const view = (postcode: string, time: string, more = {}) => ({
  user_id: 1,
  postcode,
  webpage: 'w',
  timestamp: at(time),
  ...more,
})

describe('event streams with the log on Kafka', { skip: kafkaMissing() }, () => {
  const scope = suiteScope()
  const env: Record<string, string> = {}
  let servers: TestServer[]
  before(async () => {
    Object.assign(env, {
      ...sharedKafka(),
      DATABASE_URL: await createTestDatabase(scope),
      PEBBLES_ROLES: 'api,streams',
      STREAM_LOG: 'kafka',
      STREAM_TOPIC: newTopic(),
      STREAM_IDLE_MS: '400',
      STREAM_GRACE_MS: '2000',
    })
    const first = await startServer(scope, env)
    env.PEBBLES_DATA = first.dataDir
    servers = [first, await startServer(scope, env)]
  })

  async function client(name: string) {
    const token = await servers[0]!.token('alice@example.com', name)
    const get = (path: string, n = 0) => servers[n]!.call('GET', path, { token })
    return {
      get,
      async send(events: readonly unknown[], headers: Record<string, string> = {}, n = 0) {
        const url = '/api/pageviews/batch'
        const answer = await servers[n]!.call('POST', url, { token, body: events, headers })
        assert.equal(answer.status, 202, JSON.stringify(answer.body))
      },
      /** Waits until so many events are decided; the books balance at every look. */
      async settled(events: number) {
        for (let look = 0; ; look++) {
          const { body } = await get('/api/streams/pageviews/balance?recount=true', look % 2)
          assert.deepEqual(body.differences, [])
          assert.ok(body.received <= events)
          if (body.received === events && body.open === 0 && body.inFlight === 0) return body
          assert.ok(look < 1_200, JSON.stringify(body))
          await sleep(50)
        }
      },
      async counts() {
        const { body } = await get(`/api/pageviews/aggregates?${RANGE}`)
        return body.map((row: Record<string, unknown>) => [row.postcode, row.pageview_count])
      },
    }
  }

  test('S1 S2 S4 S6 N5 page views by one process and the other, sent twice with the same ids: windows count each once, and the books balance', async () => {
    const { send, settled, counts } = await client('krn:twice')
    const events = Array.from({ length: 40 }, (_, n) =>
      view(`P${n % 8}`, `10:00:${n + 10}`, { event_id: `e${n}` }),
    )
    await send(events)
    await send(events, {}, 1)
    await send([view('KEY', '10:00:30')], { 'idempotency-key': 'again' })
    await send([view('KEY', '10:00:30')], { 'idempotency-key': 'again' }, 1)
    await settled(41)
    assert.deepEqual(await counts(), [['KEY', 1], ...Array.from({ length: 8 }, (_, n) => [`P${n}`, 5])])
  })

  test('S2 S4 S5 late events are kept apart, and no client touches another', async () => {
    const [left, right] = [await client('krn:left'), await client('krn:right')]
    await left.send([view('A', '12:00:10'), view('A', '12:10:00'), view('A', '12:00:20')])
    await right.send([view('A', '08:00:00'), view('A', '08:00:01')])
    const { counted, late } = await left.settled(3)
    assert.deepEqual({ counted, late }, { counted: 2, late: 1 })
    await right.settled(2)
    assert.deepEqual(await left.counts(), [
      ['A', 1],
      ['A', 1],
    ])
    assert.deepEqual(await right.counts(), [['A', 2]])
  })

  test('S6 windows that wait in the database close on a quiet stream, also after a start that has no event to read again', async (t) => {
    const own = { ...env, STREAM_TOPIC: newTopic(), DATABASE_URL: await createTestDatabase(t) }
    const pool = openTestPool(t, own.DATABASE_URL)
    const hour = 3_600_000
    const first = await startServer(t, {
      ...own,
      STREAM_IDLE_MS: String(hour),
      STREAM_MAX_OPEN_BYTES: '1024',
    })
    const body = Array.from({ length: 8 }, (_, n) => view(`P${n}`, '10:00:00'))
    assert.equal((await first.call('POST', '/api/pageviews/batch', { body })).status, 202)
    const sum = async (query: string) => Number((await pool.query(query)).rows[0].sum)
    await until('all are parked', async () => (await sum('SELECT sum(events) FROM parked_windows')) === 8)
    await first.stop()
    await startServer(t, own)
    await until('all are closed', async () => (await sum('SELECT sum(events) FROM aggregates')) === 8)
  })

  test('S1 S4 page views that others write to the topic are counted', async () => {
    const { send, settled, counts } = await client('krn:mixed')
    const theirs = openTestLog(scope, env.KAFKA_BOOTSTRAP_SERVERS!)
    await send([view('M', '15:00:00')])
    const headers = new Map([[Buffer.from('client'), Buffer.from('krn:mixed')]])
    await theirs.producer.send({
      acks: -1,
      messages: Array.from({ length: 16 }, (_, n) => ({
        topic: env.STREAM_TOPIC!,
        partition: n % 8,
        headers,
        value: Buffer.from(n === 9 ? 'not one' : JSON.stringify(view('M', '15:00:01'))),
      })),
    })
    await settled(16)
    assert.deepEqual(await counts(), [['M', 16]])
  })
})
