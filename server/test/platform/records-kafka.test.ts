import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { MessageToProduce } from '@platformatic/kafka'
import { openTopicReader, type TopicReader } from '../../src/platform/kafka/topic-reader.ts'
import { atEnd, suiteScope } from '../helpers/scope.ts'
import { kafkaMissing, sharedKafka } from '../helpers/services.ts'
import { openTestLog } from '../progress/kafka-helpers.ts'

const START_MS = 1_000_000_000_000

describe('records as they were sent', { skip: kafkaMissing() }, () => {
  const scope = suiteScope()
  const servers = () => sharedKafka().KAFKA_BOOTSTRAP_SERVERS!
  const open = async (topic: string): Promise<TopicReader> => {
    const reader = await openTopicReader({
      connection: { bootstrapBrokers: [servers()] },
      groupId: 'any',
      topic,
      onAway: () => {},
      onAnswer: () => {},
      onLost: () => {},
      stop: new AbortController().signal,
    })
    atEnd(scope, () => reader[Symbol.asyncDispose]())
    return reader
  }

  async function readFrom(reader: TopicReader, from: number, end: number) {
    reader.seek(0, from)
    const found = []
    for (let next = from; next < end; ) {
      const taken = await reader.take(0)
      assert.equal(taken?.kind, 'stretch')
      if (taken?.kind !== 'stretch') break
      next = taken.next
      for (const { offset, timestampMs, key, value, headers } of taken.records)
        found.push({
          offset,
          timestampMs,
          key: key?.toString(),
          value: value?.toString(),
          headers: headers.map(([name, text]) => [name.toString(), text?.toString()]),
        })
    }
    return found
  }

  test('P15 S2 keys, values, headers and times of every length, packed in every way', async () => {
    const log = openTestLog(scope, servers())
    await log.create()
    const texts = [undefined, '', 'é', 'x'.repeat(63), 'y'.repeat(64), 'z'.repeat(9_000)]
    const sent = Array.from({ length: 72 }, (_, n) => ({
      // Before and after the first one of a batch, by milliseconds and by days: more than 24 the library cannot write.
      timestampMs: START_MS + (n % 3 === 0 ? n : n % 3 === 1 ? -n : n * 1e7),
      key: texts[n % 6],
      value: texts[(n >> 1) % 6],
      headers: Array.from({ length: n % 4 }, (_, i) => [`name ${i}`, texts[(n + i) % 6] ?? '']),
    }))
    const packings = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
    for (const compression of packings)
      await log.producer.send({
        compression,
        acks: -1,
        messages: sent.map(({ timestampMs, key, value, headers }) => ({
          topic: log.topic,
          partition: 0,
          timestamp: BigInt(timestampMs),
          ...(key !== undefined && { key: Buffer.from(key) }),
          value: value === undefined ? null : Buffer.from(value),
          headers: new Map(headers.map(([name, text]) => [Buffer.from(name!), Buffer.from(text!)])),
        })) as MessageToProduce[],
      })
    const expected = packings.flatMap((_, p) =>
      sent.map((each, n) => ({ offset: p * sent.length + n, ...each })),
    )
    const reader = await open(log.topic)
    for (const from of [0, 1, 71, 72, 100, 359])
      assert.deepEqual(await readFrom(reader, from, expected.length), expected.slice(from))
  })

  test('P15 S2 what a transaction wrote is there when it ended well, and never when it was given up', async () => {
    const log = openTestLog(scope, servers())
    await log.create()
    const producer = log.producer
    const message = (value: string) => ({ topic: log.topic, partition: 0, value: Buffer.from(value) })
    for (const [value, isKept] of [
      ['a', true],
      ['b', false],
      ['c', false],
      ['d', true],
    ] as const) {
      const transaction = await producer.beginTransaction()
      await transaction.send({ acks: -1, messages: [message(value), message(`${value}${value}`)] })
      await (isKept ? transaction.commit() : transaction.abort())
    }
    const found = await readFrom(await open(log.topic), 0, 11)
    assert.deepEqual(
      found.map(({ offset, value }) => [offset, value]),
      [
        [0, 'a'],
        [1, 'aa'],
        [9, 'd'],
        [10, 'dd'],
      ],
    )
  })

  test('P15 S2 a partition is read although all that may be held was another’s, which is read no more', async () => {
    const log = openTestLog(scope, servers())
    await log.create(2)
    const send = (partition: number, value: Buffer) =>
      log.producer.send({
        compression: 'gzip',
        acks: -1,
        messages: [{ topic: log.topic, partition, value }] as MessageToProduce[],
      })
    await send(0, Buffer.alloc(33 * 1024 * 1024))
    await send(1, Buffer.from('small'))
    const reader = await open(log.topic)
    reader.seek(0, 0)
    assert.equal((await reader.take(0))?.kind, 'stretch')
    reader.seek(1, 0)
    const waiting = reader.take(1)
    await delay(100)
    reader.drop(0)
    assert.equal((await waiting)?.kind, 'stretch')
  })
})
