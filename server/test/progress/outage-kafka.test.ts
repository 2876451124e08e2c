import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { QueryConfig } from 'pg'
import pino from 'pino'
import type { RunningKafka } from '../../../scripts/services/kafka.ts'
import type { Consumer } from '../../src/progress/consumers/consumer.ts'
import { createKafkaConsumer } from '../../src/progress/consumers/from-kafka.ts'
import type { RecordStore } from '../../src/progress/store.ts'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import { type OwnPostgres, startPostgres } from '../helpers/own-postgres.ts'
import { atEnd, type Scope, suiteScope } from '../helpers/scope.ts'
import { kafkaMissing, startKafka } from '../helpers/services.ts'
import { eventually, message, openTestLog, type TestLog } from './kafka-helpers.ts'
import { openTestStore } from './kafka-outside.ts'

/** Long enough for every time-out of a request that does not wait for the one frozen. */
const FROZEN_MS = 3_000

describe('a consumer whose broker or database is away', { skip: kafkaMissing() }, () => {
  const scope = suiteScope()
  let kafka: RunningKafka
  let postgres: OwnPostgres
  before(async () => {
    ;[kafka, postgres] = await Promise.all([startKafka(scope), startPostgres(scope)])
  })

  function consume(t: Scope, log: TestLog, store: RecordStore): Consumer {
    const consumer = createKafkaConsumer({
      connection: { bootstrapBrokers: [kafka.bootstrapServers] },
      topic: log.topic,
      groupId: log.group,
      store,
      lanes: 2,
      onApplied: () => {},
      tally: () => {},
      log: pino({ level: process.env.TEST_LOG_LEVEL ?? 'silent' }),
    })
    atEnd(t, () => consumer[Symbol.asyncDispose]())
    return consumer
  }
  const sendSome = async (log: TestLog, count: number) => {
    for (let sent = 0; sent < count; sent += 100)
      await log.send(
        Array.from({ length: 100 }, (_, n) => ({ partition: n % 4, value: message(`${log.topic}.csv`) })),
      )
  }
  const counted = async (store: RecordStore, log: TestLog) => {
    const [record] = await store.list({ clientKrn: 'krn:kafka', filename: `${log.topic}.csv` }, { limit: 1 })
    return record?.counts.done
  }

  const hasCounted = (what: string, store: RecordStore, log: TestLog, updates: number) =>
    eventually(what, async () => assert.equal(await counted(store, log), updates) === undefined)

  test('P15 a broker that was killed and restarted while messages came costs none and doubles none', async (t) => {
    const log = openTestLog(t, kafka.bootstrapServers)
    await log.create(4)
    const store = openTestStore(t, await createTestDatabase(t))
    const consumer = consume(t, log, store)
    await sendSome(log, 500)
    await eventually('it reads', async () => ((await counted(store, log)) ?? 0) > 0)
    await kafka.kill()
    await eventually('it waits', async () => consumer.health().status === 'waiting')
    assert.ok(consumer.health().lastError)

    // One that starts meanwhile waits as well, and stops when it is told to.
    const early = consume(t, log, store)
    await eventually('the early one waits', async () => early.health().status === 'waiting')
    await early[Symbol.asyncDispose]()
    const late = consume(t, log, store)
    await kafka.restart()
    await sendSome(log, 500)
    await hasCounted('all are there', store, log, 1000)
    await eventually('both run', async () =>
      [consumer, late].every((each) => each.health().status === 'running'),
    )
  })

  test('P15 a broker that froze is waited for', async (t) => {
    const log = openTestLog(t, kafka.bootstrapServers)
    await log.create(4)
    const store = openTestStore(t, await createTestDatabase(t))
    consume(t, log, store)
    await sendSome(log, 100)
    await hasCounted('it reads', store, log, 100)
    kafka.freeze()
    await delay(FROZEN_MS)
    kafka.thaw()
    await sendSome(log, 100)
    await hasCounted('all are there', store, log, 200)
  })

  test('P15 N1 a database that froze is waited for, and nothing is applied twice or left out', async (t) => {
    const log = openTestLog(t, kafka.bootstrapServers)
    await log.create(4)
    const store = openTestStore(t, postgres.url)
    const consumer = consume(t, log, store)
    await sendSome(log, 100)
    await hasCounted('it reads', store, log, 100)
    const sending = sendSome(log, 5_000)
    await postgres.freeze()
    await sending
    await delay(FROZEN_MS)
    postgres.thaw()
    await hasCounted('all are there', store, log, 5_100)
    assert.equal(consumer.health().status, 'running')
    await eventually('nothing is behind', async () =>
      consumer.health().lag.every(({ messages }) => messages === 0),
    )
    assert.deepEqual(
      consumer
        .health()
        .lag.map(({ source }) => source)
        .sort(),
      [0, 1, 2, 3].map((partition) => `${log.topic}/${partition}`),
    )
  })

  test('P15 a partition that ends below its position is told of, and not read from the beginning', async (t) => {
    const log = openTestLog(t, kafka.bootstrapServers)
    await log.create()
    const databaseUrl = await createTestDatabase(t)
    const store = openTestStore(t, databaseUrl)
    const pool = openTestPool(t, databaseUrl)
    const before = consume(t, log, store)
    await log.send([{ partition: 0, value: message(`${log.topic}.csv`) }])
    await hasCounted('it reads', store, log, 1)
    await before[Symbol.asyncDispose]()
    // As when Kafka lost its end.
    await pool.query('UPDATE log_positions SET next_offset = 3')
    const consumer = consume(t, log, store)
    await eventually('it is told', async () =>
      /ends at 1, below the position 3/.test(consumer.health().lastError!.message),
    )
    assert.equal(consumer.health().status, 'waiting')
    // Behind the position again, it is read from there.
    const more = Array.from({ length: 4 }, () => ({ partition: 0, value: message(`${log.topic}.csv`) }))
    await log.send(more)
    await hasCounted('it goes on', store, log, 3)
    assert.equal(consumer.health().status, 'running')
  })

  test('P15 a consumer stops soon while its broker and its database are away', async (t) => {
    const log = openTestLog(t, kafka.bootstrapServers)
    await log.create(4)
    const store = openTestStore(t, postgres.url)
    const consumer = consume(t, log, store)
    await sendSome(log, 100)
    await hasCounted('it reads', store, log, 100)
    await sendSome(log, 1_000)
    const pool = openTestPool(t, postgres.url)
    await pool.query('SELECT')
    await postgres.freeze()
    kafka.freeze()
    // A little less than the consumer's own questions wait at most.
    let isGivenUp = false
    const asked = pool.query({ text: 'SELECT', query_timeout: 25_000 } as QueryConfig).catch(() => {
      isGivenUp = true
    })
    await consumer[Symbol.asyncDispose]()
    assert.equal(isGivenUp, false, 'it waited for the time-outs of what it had under way')
    postgres.thaw()
    kafka.thaw()
    await asked
    assert.equal(consumer.health().status, 'dead')
  })
})
