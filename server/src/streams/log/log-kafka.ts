import type { Pool } from 'pg'
import { PebblesError } from '../../platform/errors.ts'
import type { KafkaConnection } from '../../platform/kafka/connection.ts'
import type { Log } from '../../platform/log.ts'
import { dropOldIdDays, ensureIdDaysAhead } from './event-index-postgres.ts'
import type { EventLog, EventReader } from './log.ts'
import { createAdopter } from './log-kafka-adopt.ts'
import { createOffsets } from './log-kafka-offsets.ts'
import { createKafkaReader } from './log-kafka-read.ts'
import { createRecordSeals } from './log-kafka-records.ts'
import { bindTopic } from './log-kafka-topic.ts'
import { createLogWatch } from './log-kafka-watch.ts'
import { createKafkaWriter } from './log-kafka-write.ts'

/** Counting what is behind a reader takes no longer than that. */
const COUNT_MS = 5_000

export interface KafkaLogOptions {
  connection: KafkaConnection
  topic: string
  /** Of a topic that has to be made. */
  partitions: number
  retentionDays: number
  /** Of the database with the checkpoints, in pipeline mode. */
  pool: Pool
  log: Log
}

/**
 * The event log in a Kafka topic: a record for each event, its value the event's JSON, its key that of the stream.
 * Kafka and PostgreSQL cannot commit together, so duplicates by id are in the topic, and are left out by whoever reads.
 *
 * @throws PebblesError `misconfigured`, `unavailable`
 */
export async function openKafkaLog(options: KafkaLogOptions): Promise<EventLog> {
  const { pool, log } = options
  await using opened = new AsyncDisposableStack()
  const watch = createLogWatch(options.topic, log)
  await ensureIdDaysAhead(pool)
  const topic = await bindTopic({ ...options, watch })
  const { rows } = await pool.query<{ id: string }>('SELECT id FROM installation')
  const seals = createRecordSeals(rows[0]!.id, topic.id)
  const offsets = opened.use(createOffsets(topic))
  const writer = opened.use(createKafkaWriter({ topic, seals, watch }))
  const adopt = createAdopter(pool, topic.id, writer.append)
  const openReader = (): EventReader => createKafkaReader({ topic, seals, pool, watch, adopt })
  const owned = opened.move()

  return {
    partitions: topic.partitions,
    isInDatabase: false,
    append: writer.append,
    openReader,
    ends: offsets.ends,
    async count(clientKrn, stream, froms) {
      const deadline = Date.now() + COUNT_MS
      const ends = await offsets.ends()
      await using reader = openReader()
      const counts = await Promise.all(
        ends.map((end, partition) => {
          const from = froms.map((each) => each[partition] ?? 0)
          return countPartition(reader, { partition, from, end, deadline, clientKrn, stream })
        }),
      )
      return froms.map((_, n) => counts.reduce((sum, each) => sum + each[n]!, 0))
    },
    health: watch.health,
    async keepDays(keptDays, groups) {
      await ensureIdDaysAhead(pool)
      await dropOldIdDays(pool, { groups, offsetsAt: offsets.at, keptDays })
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

interface Tail {
  partition: number
  /** One number for each count. */
  from: readonly number[]
  end: number
  deadline: number
  clientKrn: string
  stream: string
}

/** Distinct events of a stream from each offset on, up to `end`. */
async function countPartition(
  reader: EventReader,
  { partition, from, end, deadline, clientKrn, stream }: Tail,
): Promise<number[]> {
  const counts = from.map(() => 0)
  const signal = AbortSignal.timeout(Math.max(0, deadline - Date.now()))
  for (let next = Math.min(...from); next < end; ) {
    if (signal.aborted)
      throw new PebblesError('unavailable', 'Too many events are in flight to be counted now.', {
        retryAfterSeconds: 5,
      })
    const slice = await reader.read(partition, next, { maxBytes: COUNT_BYTES, waitMs: 100, signal })
    for (const run of slice.runs) {
      if (run.clientKrn !== clientKrn || run.stream !== stream) continue
      const last = Math.min(end, run.firstOffset + run.payloads.length)
      for (const [n, first] of from.entries())
        counts[n]! += Math.max(0, last - Math.max(first, run.firstOffset))
    }
    next = slice.next
  }
  return counts
}

const COUNT_BYTES = 1024 * 1024
