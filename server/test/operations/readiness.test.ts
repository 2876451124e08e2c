import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { publicMessage } from '../../src/platform/public-message.ts'
import { createMetrics } from '../../src/platform/telemetry/metrics.ts'
import type { ConsumerHealth, ConsumerReports } from '../../src/progress/consumers/consumer.ts'
import { createTally, measureConsumers } from '../../src/progress/metrics.ts'
import { findingOf, logFinding } from '../../src/roles/components.ts'
import { actuatorHealthOf, actuatorReadinessOf, type Found, readinessOf } from '../../src/roles/health.ts'
import { readSamples } from '../helpers/metrics.ts'

const RUNNING: ConsumerHealth = { status: 'running', lag: [], lastError: undefined }
const at = new Date('2026-03-01T03:00:00Z')

describe('what is told of components', () => {
  const found = (more: Partial<Found> = {}): Found => ({
    name: 'database',
    isUp: true,
    isBlocking: false,
    ...more,
  })
  const redisAway = found({ name: 'redis', isUp: false })
  const mongoAway = found({ name: 'mongo', isUp: false, isBlocking: true })
  const consumer = (status: 'running' | 'waiting' | 'dead', lastError?: { at: Date; message: string }) =>
    found({ name: 'kafka', group: 'consumers', ...findingOf({ status, lastError }) })
  const aggregator = found({
    name: 'aggregator',
    group: 'streams',
    ...findingOf({ status: 'waiting', since: at, lastError: undefined }),
  })

  test('P23 S7 a process is ready unless what it needs is away or a consumer is dead; well only when all is up', () => {
    const cases: [Found[], isReady: boolean, isWell: boolean][] = [
      [[found()], true, true],
      [[found(), redisAway], true, false],
      [[found(), mongoAway], false, false],
      [[found({ isUp: false, isBlocking: true })], false, false],
      [[found(), consumer('running')], true, true],
      [[found(), consumer('waiting')], true, false],
      [[found(), consumer('dead')], false, false],
      [[found(), aggregator], true, false],
    ]
    const code = (isGood: boolean) => (isGood ? 200 : 503)
    for (const [all, isReady, isWell] of cases) {
      assert.equal(readinessOf(all).status, code(isReady))
      assert.equal(actuatorReadinessOf(all).status, code(isReady))
      assert.equal(actuatorHealthOf(all).status, code(isWell))
    }
  })

  test('P23 S7 each consumer tells how it is and what went wrong last, in the shapes of /readyz and of Spring Boot', () => {
    const kafka = consumer('waiting', { at, message: 'connect ECONNREFUSED 10.1.2.3:9092' })
    const told = {
      status: 'waiting',
      lastError: { at: '2026-03-01T03:00:00.000Z', message: 'connect ECONNREFUSED …' },
    }
    const all = [found(), redisAway, kafka]
    assert.deepEqual(readinessOf(all).body, {
      status: 'ready',
      database: true,
      redis: false,
      consumers: { kafka: told },
    })
    assert.deepEqual(actuatorHealthOf(all).body, {
      status: 'DOWN',
      components: {
        database: { status: 'UP' },
        redis: { status: 'DOWN' },
        consumers: { status: 'DOWN', components: { kafka: { status: 'DOWN', details: told } } },
      },
      groups: ['liveness', 'readiness'],
    })
    assert.deepEqual(actuatorReadinessOf(all).body, { status: 'UP' })
    assert.deepEqual(actuatorReadinessOf([found(), mongoAway]).body, {
      status: 'DOWN',
      components: { mongo: { status: 'DOWN' } },
    })
    assert.deepEqual(readinessOf([found(), aggregator]).body, {
      status: 'ready',
      database: true,
      streams: { aggregator: { status: 'waiting', waitingSince: '2026-03-01T03:00:00.000Z' } },
    })
  })

  test('S7 a log on Kafka tells since when it is away, without addresses; it keeps nobody from the rest', () => {
    const away = { awaySinceMs: at.getTime(), refusedRecords: 0, goneRecords: 0 }
    const lastError = { at, message: 'Cannot connect to kafka-1:9092' }
    const log = found({ name: 'eventLog', ...logFinding(true, { ...away, lastError }) })
    assert.deepEqual(readinessOf([log]), { status: 200, body: { status: 'ready', eventLog: false } })
    const { status, body } = actuatorHealthOf([log])
    assert.equal(status, 503)
    assert.deepEqual((body as { components: object }).components, {
      eventLog: {
        status: 'DOWN',
        details: {
          status: 'waiting',
          waitingSince: '2026-03-01T03:00:00.000Z',
          lastError: { at: '2026-03-01T03:00:00.000Z', message: 'Cannot connect to …' },
        },
      },
    })
    assert.equal(logFinding(true, { ...away, awaySinceMs: undefined, lastError }).isUp, true)
    assert.equal(logFinding(false, { ...away, awaySinceMs: undefined, lastError }).isUp, false)
    assert.equal(logFinding(false, undefined).isUp, false)
  })

  test('P23 what is told to anybody holds no address, name of a host, path, account or key', () => {
    const told = {
      'connect ECONNREFUSED 10.1.2.3:9092': 'connect ECONNREFUSED …',
      'connect ECONNREFUSED ::1:9092': 'connect ECONNREFUSED …',
      'getaddrinfo ENOTFOUND broker': 'getaddrinfo ENOTFOUND …',
      'getaddrinfo EAI_AGAIN kafka.internal.example': 'getaddrinfo EAI_AGAIN …',
      'Connection to kafka-0:9092, kafka-1:9092 timed out.': 'Connection to … timed out.',
      'Cannot reach kafka-0.': 'Cannot reach …',
      "ENOENT: no such file or directory, open '/etc/pebbles/ca.pem'":
        'ENOENT: no such file or directory, open …',
      'SASL authentication failed: Authentication failed during authentication due to invalid credentials':
        'SASL authentication failed: Authentication failed during authentication due to invalid credentials',
      'User: arn:aws:iam::123456789012:user/x is not authorized (AccessDenied)':
        'User: … is not authorized (AccessDenied)',
      'The queue https://sqs.eu-west-1.example/123456789012/updates does not exist.':
        'The queue … does not exist.',
      'account 123456789012 is suspended': 'account … is suspended',
      'key AKIAABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOP is not valid': 'key … is not valid',
      'redis://user:secret@cache:6379': '…',
    }
    for (const [message, expected] of Object.entries(told)) assert.equal(publicMessage(message), expected)
    assert.equal(publicMessage('word '.repeat(1_000)).length, 200)
  })

  test('P23 metrics of consumers are those of the moment at which they are asked for', async () => {
    using metrics = createMetrics()
    const { registry, text } = metrics
    const tally = createTally(registry)
    let now: ReturnType<ConsumerReports> = [
      {
        channel: 'kafka',
        health: {
          ...RUNNING,
          lag: [
            { source: 'updates/0', messages: 7 },
            { source: 'updates/1', messages: 0 },
          ],
        },
      },
    ]
    measureConsumers(() => now, registry, tally)
    tally('kafka', 'applied', 10)
    tally('kafka', 'invalid', 2)
    const before = readSamples(await text())
    assert.equal(before['pebbles_updates_total{channel="kafka",result="applied"}'], 10)
    assert.equal(before['pebbles_updates_total{channel="kafka",result="invalid"}'], 2)
    assert.equal(before['pebbles_updates_total{channel="kafka",result="too_old"}'], 0)
    assert.equal(before['pebbles_consumer_lag{channel="kafka",source="updates/0"}'], 7)
    assert.equal(before['pebbles_consumer_status{channel="kafka",status="running"}'], 1)
    assert.equal(before['pebbles_consumer_status{channel="kafka",status="dead"}'], 0)
    assert.equal(before['pebbles_consumer_last_error_timestamp_seconds{channel="kafka"}'], undefined)

    const lastError = { at, message: 'it broke' }
    now = [
      {
        channel: 'kafka',
        health: { status: 'dead', lag: [{ source: 'updates/1', messages: 5 }], lastError },
      },
    ]
    const after = readSamples(await text())
    assert.equal(after['pebbles_consumer_lag{channel="kafka",source="updates/0"}'], undefined)
    assert.equal(after['pebbles_consumer_lag{channel="kafka",source="updates/1"}'], 5)
    assert.equal(after['pebbles_consumer_status{channel="kafka",status="running"}'], 0)
    assert.equal(after['pebbles_consumer_status{channel="kafka",status="dead"}'], 1)
    assert.equal(after['pebbles_consumer_last_error_timestamp_seconds{channel="kafka"}'], at.getTime() / 1000)
  })
})
