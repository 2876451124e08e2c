import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import pino from 'pino'
import { databaseAway } from '../../src/platform/postgres/database.ts'
import { createKafkaConsumer } from '../../src/progress/consumers/from-kafka.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { kafkaMissing, sharedKafka } from '../helpers/services.ts'
import { eventually, message, openTestLog } from './kafka-helpers.ts'

/** A consumer whose store throws this; it takes what lasts for an instant as lasting. */
async function consumeFailing(t: Scope, error: Error) {
  const servers = sharedKafka().KAFKA_BOOTSTRAP_SERVERS!
  const log = openTestLog(t, servers)
  await log.create()
  await log.send([{ partition: 0, value: message('never.csv') }])
  const consumer = createKafkaConsumer({
    connection: { bootstrapBrokers: [servers] },
    topic: log.topic,
    groupId: log.group,
    store: { position: async () => 0, applyFrom: () => Promise.reject(error) },
    lanes: 1,
    onApplied: () => {},
    tally: () => {},
    log: pino({ level: 'silent' }),
    stuckMs: 1,
  })
  atEnd(t, () => consumer[Symbol.asyncDispose]())
  await eventually('it has tried', async () => consumer.health().lastError)
  return consumer
}

describe('a consumer of Kafka whose store fails', { skip: kafkaMissing(), concurrency: true }, () => {
  test('P15 P23 what waiting does not mend makes it dead, and is told: an outage that never ends looks the same to nobody', async (t) => {
    const refusal = new Error("Prepared statements must be unique - 'a' was used for a different statement")
    const consumer = await consumeFailing(t, refusal)
    await eventually('it is dead', async () => consumer.health().status === 'dead')
    assert.match(
      consumer.health().lastError!.message,
      /cannot be written. Prepared statements must be unique/,
    )
  })

  test('P15 P23 a database that is away is waited for, however long', async (t) => {
    const consumer = await consumeFailing(t, databaseAway(new Error('Connection terminated unexpectedly')))
    await eventually('it waits', async () => consumer.health().status === 'waiting')
    const { at } = consumer.health().lastError!
    await eventually('it has tried again', async () => consumer.health().lastError!.at > at)
    assert.equal(consumer.health().status, 'waiting')
  })
})
