import { PebblesError } from '../../platform/errors.ts'
import { type BatchProducer, createBatchProducer } from '../../platform/kafka/batch-producer.ts'
import { createLanes } from '../../platform/wait.ts'
import { type Appended, type NewEvent, partitionOf } from './log.ts'
import type { RecordSeals } from './log-kafka-records.ts'
import type { BoundTopic } from './log-kafka-topic.ts'
import type { LogWatch } from './log-kafka-watch.ts'

/** Appending is tried again for so long; then the caller hears of it. */
const RETRY_MS = 10_000
/** A broker that does not answer is asked again after this. */
const REQUEST_MS = 5_000
/** Of one partition in one request. */
const BATCH_BYTES = 900_000
/** What a record takes beside key, value and the names of its client and stream, at most; and a batch. */
const RECORD_BYTES = 80
const BATCH_HEAD_BYTES = 100

export interface KafkaWriter extends AsyncDisposable {
  append(events: readonly NewEvent[]): Promise<Appended[]>
}

export interface KafkaWriterOptions {
  topic: BoundTopic
  seals: RecordSeals
  watch: LogWatch
}

/** The events of an append by their partition, each told by its place among them, and their sizes. */
interface Placed {
  byPartition: Map<number, number[]>
  sizesBytes: number[]
}

/** Appends with an idempotent producer to all in-sync replicas, one batch per partition in a request. */
export function createKafkaWriter({ topic, seals, watch }: KafkaWriterOptions): KafkaWriter {
  const maxEventBytes = topic.maxMessageBytes - BATCH_HEAD_BYTES
  /** One after the other: the producer numbers what it sends, and what follows a failure has to be numbered anew. */
  const inTurn = createLanes(1)
  /** Behind what was appended last, per partition. */
  const ends = new Map<number, number>()
  let producer: BatchProducer | undefined
  let isClosed = false

  async function append(events: readonly NewEvent[]): Promise<Appended[]> {
    if (events.length === 0) return []
    const placed = place(events)
    const deadline = Date.now() + RETRY_MS
    return inTurn(async () => {
      const places = new Array<Appended>(events.length)
      try {
        for (const round of cutRounds(placed, Math.min(BATCH_BYTES, maxEventBytes)))
          await within(deadline - Date.now(), sendRound(events, round, places, deadline))
      } catch (error) {
        // What it has sent may still arrive. Another one does not take part in its numbers.
        void producer?.[Symbol.asyncDispose]()
        producer = undefined
        watch.trouble(error as Error)
        throw new PebblesError('unavailable', 'The event log cannot be reached at the moment.', {
          retryAfterSeconds: 2,
          cause: error,
        })
      }
      watch.well()
      return places
    })
  }

  /** @throws PebblesError `too_large`, before anything is sent */
  function place(events: readonly NewEvent[]): Placed {
    const byPartition = new Map<number, number[]>()
    const sizesBytes: number[] = []
    for (const [index, event] of events.entries()) {
      const { clientKrn, stream, key, payload } = event
      // A character takes three bytes at most (two of UTF-16 take four).
      let sizeBytes = RECORD_BYTES + clientKrn.length + stream.length + key.length + payload.length
      if (sizeBytes * 3 > maxEventBytes) {
        sizeBytes =
          RECORD_BYTES +
          [clientKrn, stream, key, payload].reduce((sum, text) => sum + Buffer.byteLength(text), 0)
        if (sizeBytes > maxEventBytes)
          throw new PebblesError('too_large', 'An event is larger than the event log takes.')
      }
      const partition = partitionOf(clientKrn, stream, key, topic.partitions)
      const indexes = byPartition.get(partition)
      if (indexes === undefined) byPartition.set(partition, [index])
      else indexes.push(index)
      sizesBytes.push(sizeBytes)
    }
    return { byPartition, sizesBytes }
  }

  async function sendRound(
    events: readonly NewEvent[],
    round: ReadonlyMap<number, readonly number[]>,
    places: Appended[],
    deadline: number,
  ): Promise<void> {
    const batches = new Map(
      Array.from(round, ([partition, indexes]) => [
        partition,
        indexes.map((index) => seals.write(events[index]!, partition)),
      ]),
    )
    producer ??= createBatchProducer({
      connection: topic.connection,
      topic: topic.name,
      timeoutMs: REQUEST_MS,
    })
    const { topicId, firsts } = await producer.send(batches, deadline)
    // What was sent went to whatever has the name of the topic.
    if (topicId !== topic.id) throw topic.anotherOne()
    for (const [partition, indexes] of round) {
      const first = firsts.get(partition)
      if (first === undefined || first < (ends.get(partition) ?? 0)) throw topic.anotherOne()
      ends.set(partition, first + indexes.length)
      for (let i = 0; i < indexes.length; i++) places[indexes[i]!] = { partition, offset: first + i }
    }
  }

  return {
    append(events) {
      if (isClosed)
        throw new PebblesError('unavailable', 'The server is shutting down.', { retryAfterSeconds: 1 })
      return append(events)
    },
    /** Waits until what was taken is sent, or given up. */
    async [Symbol.asyncDispose]() {
      isClosed = true
      await inTurn(async () => {
        await producer?.[Symbol.asyncDispose]()
      })
    },
  }
}

/** Cuts what is to be sent into requests of which each has so many bytes per partition, or one event. */
function* cutRounds(
  { byPartition, sizesBytes }: Placed,
  maxBytes: number,
): Generator<Map<number, readonly number[]>> {
  const sent = new Map<number, number>()
  for (;;) {
    const round = new Map<number, readonly number[]>()
    for (const [partition, indexes] of byPartition) {
      const from = sent.get(partition) ?? 0
      let to = from
      for (let bytes = 0; to < indexes.length; to++) {
        bytes += sizesBytes[indexes[to]!]!
        if (to > from && bytes > maxBytes) break
      }
      if (to === from) continue
      round.set(partition, indexes.slice(from, to))
      sent.set(partition, to)
    }
    if (round.size === 0) return
    yield round
  }
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error('The brokers did not answer in time.')), Math.max(0, ms))
  try {
    return await Promise.race([work, promise])
  } finally {
    clearTimeout(timer)
  }
}
