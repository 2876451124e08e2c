import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Admin, Consumer } from '@platformatic/kafka'
import { createBatchProducer } from '../../src/platform/kafka/batch-producer.ts'
import { encodeHeaders, type OutgoingRecord } from '../../src/platform/kafka/record-batch.ts'
import { findTopic, onceKnown, readOffsets } from '../../src/platform/kafka/topic.ts'
import { atEnd, suiteScope } from '../helpers/scope.ts'
import { kafkaMissing, startKafka } from '../helpers/services.ts'

const TOPIC = 'batches'
const PARTITIONS = 2
const TIMEOUT_MS = 500

describe('a producer of batches', { skip: kafkaMissing() }, () => {
  const scope = suiteScope()

  test('P15 S2 N1 what is sent is there once, though answers are lost, and the broker is killed', async () => {
    const broker = await startKafka(scope)
    const connection = { bootstrapBrokers: [broker.bootstrapServers] }
    const admin = new Admin({ clientId: 'test', ...connection })
    await admin.createTopics({ topics: [TOPIC], partitions: PARTITIONS, replicas: 1 })
    await onceKnown(() => findTopic(admin, TOPIC))
    await admin.close()
    const producer = createBatchProducer({ connection, topic: TOPIC, timeoutMs: TIMEOUT_MS })
    atEnd(scope, () => producer[Symbol.asyncDispose]())
    const sent = [0, 0]

    async function send(...sizes: number[]): Promise<void> {
      const batches = new Map(sizes.map((size, partition) => [partition, recordsOf(size)]))
      const { firsts } = await producer.send(batches, Date.now() + 60_000)
      for (const [partition, size] of sizes.entries()) {
        assert.equal(firsts.get(partition), sent[partition])
        sent[partition]! += size
      }
    }

    await send(3, 5)
    broker.freeze()
    const slow = send(2, 1)
    // Whoever does not get an answer asks again: the broker finds several such requests when it wakes up.
    await delay(4 * TIMEOUT_MS)
    broker.thaw()
    await slow
    await send(1, 1)

    const many = (async () => {
      for (let n = 0; n < 200; n++) await send(1, 2)
    })()
    await delay(50)
    await broker.kill()
    await broker.restart()
    await many

    const consumer = new Consumer({ clientId: 'test', groupId: 'test', ...connection })
    const ends = await readOffsets(consumer, TOPIC, [0, 1], 'latest')
    await consumer.close()
    assert.deepEqual([...ends.values()], sent)
  })
})

const headers = encodeHeaders([], Buffer.from('n'))

const recordsOf = (size: number): OutgoingRecord[] =>
  Array.from({ length: size }, (_, n) => ({
    key: 'key',
    value: `${n}`,
    headers,
    ownHeader: `${n}`,
  }))
