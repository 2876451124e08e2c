import { setTimeout as delay } from 'node:timers/promises'
import {
  Admin,
  type Broker,
  ConnectionPool,
  createAPI,
  findErrorBy,
  initProducerIdV4,
  ProduceAcks,
  produceV9,
  ResponseError,
  Writer,
} from '@platformatic/kafka'
import { clientOptions, closeClient, type KafkaConnection } from './connection.ts'
import { type BatchNumbers, encodeBatch, type OutgoingRecord } from './record-batch.ts'

/** Where records came to lie. */
export interface Sent {
  /** Of the topic that has the name now. */
  topicId: string
  /** Offset of the first record, per partition. */
  firsts: ReadonlyMap<number, number>
}

/**
 * An idempotent producer for one topic: each record once, as long as it does not fail. After a failure it is to be
 * thrown away, as what it has sent may still arrive.
 */
export interface BatchProducer extends AsyncDisposable {
  /**
   * Resolves when all are on every in-sync replica; one batch for each partition. One call at a time.
   *
   * @throws Error when they are not known to be there by the deadline, or are refused
   */
  send(batches: ReadonlyMap<number, readonly OutgoingRecord[]>, deadlineMs: number): Promise<Sent>
}

export interface BatchProducerOptions {
  connection: KafkaConnection
  topic: string
  /** How long brokers wait for each other. */
  timeoutMs: number
}

const PAUSE_MS = 100
const MAX_SEQUENCE = 2 ** 31

interface EncodedBatch {
  partition: number
  bytes: Buffer
}

/** The library's request with batches that are encoded already; brokers speak this version from 2.4 on. */
const produce = createAPI<[topic: string, timeoutMs: number, batches: readonly EncodedBatch[]], Produced>(
  0,
  9,
  (topic, timeoutMs, batches) =>
    Writer.create()
      .appendString(null)
      .appendInt16(ProduceAcks.ALL)
      .appendInt32(timeoutMs)
      .appendArray([topic], (writer, name) =>
        writer
          .appendString(name)
          .appendArray([...batches], (each, { partition, bytes }) =>
            each.appendInt32(partition).appendBytes(bytes),
          ),
      )
      .appendTaggedFields(),
  produceV9.parseResponse,
)

type Produced = ReturnType<typeof produceV9.parseResponse>

/** It connects when something is first sent. */
export function createBatchProducer({ connection, topic, timeoutMs }: BatchProducerOptions): BatchProducer {
  const settings = { ...clientOptions(connection), requestTimeout: timeoutMs }
  const client = new Admin({ ...settings, retries: 0 })
  client.on('error', () => {})
  const pool = new ConnectionPool(settings.clientId, settings)
  const sequences = new Map<number, number>()
  let producer: Pick<BatchNumbers, 'producerId' | 'producerEpoch'> | undefined

  async function send(
    batches: ReadonlyMap<number, readonly OutgoingRecord[]>,
    deadlineMs: number,
  ): Promise<Sent> {
    let waiting: EncodedBatch[] | undefined
    const firsts = new Map<number, number>()
    for (let isFirst = true; ; isFirst = false) {
      try {
        const metadata = await client.metadata({ topics: [topic], forceUpdate: !isFirst })
        const { id: topicId, partitions } = metadata.topics.get(topic)!
        // The same bytes each time: by their numbers the broker knows what it has.
        waiting ??= await number(batches, metadata.brokers.values().next().value!)
        const groups = Map.groupBy(waiting, ({ partition }) => partitions[partition]?.leader ?? -1)
        const outcomes = await Promise.allSettled(
          Array.from(groups, async ([leader, group]) => {
            const broker = await pool.get(metadata.brokers.get(leader)!)
            take(await produce.async(broker, topic, timeoutMs, group))
          }),
        )
        const failures = outcomes.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []))
        for (const error of failures) if (error instanceof ResponseError) take(error.response as Produced)
        waiting = waiting.filter(({ partition }) => !firsts.has(partition))
        if (waiting.length === 0) return { topicId, firsts }
        throw failures[0] ?? new Error(`${topic} has fewer partitions than it had.`)
      } catch (error) {
        if (!isWorthAnotherTry(error) || Date.now() + PAUSE_MS > deadlineMs) throw error
      }
      await delay(PAUSE_MS)
    }

    function take({ responses }: Produced): void {
      for (const { partitionResponses } of responses)
        for (const { index, errorCode, baseOffset } of partitionResponses)
          if (errorCode === 0) firsts.set(index, Number(baseOffset))
    }
  }

  /** Gives the records their numbers, which are those of a producer that the brokers know. */
  async function number(
    batches: ReadonlyMap<number, readonly OutgoingRecord[]>,
    broker: Broker,
  ): Promise<EncodedBatch[]> {
    producer ??= await initProducerIdV4.api.async(await pool.get(broker), null, timeoutMs)
    const { producerId, producerEpoch } = producer
    const timestampMs = Date.now()
    return Array.from(batches, ([partition, records]) => {
      const sequence = sequences.get(partition) ?? 0
      sequences.set(partition, (sequence + records.length) % MAX_SEQUENCE)
      return { partition, bytes: encodeBatch(records, timestampMs, { producerId, producerEpoch, sequence }) }
    })
  }

  return {
    send,
    async [Symbol.asyncDispose]() {
      await Promise.all([closeClient(client), closeClient(pool)])
    },
  }
}

const isWorthAnotherTry = (error: unknown) => findErrorBy(error as Error, 'canRetry', true) !== null
