/**
 * Contenders of `streams-archive`, each a process of its own on a log that is filled:
 *   archive   Pebbles' archiver of raw events, and nothing else
 *   read      reads the log by the same means, all partitions at once, and does nothing with what it gets
 *
 *   node bench/peers/streams-archive.ts <database> <events> read|archive [<folder> [<format>]]
 *
 * The log is a topic when BENCH_BROKERS and BENCH_TOPIC name one.
 *
 * Prints the milliseconds from the first read until the last event was read, or is in an object and that is committed,
 * and the CPU and the memory that the process took.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { Registry } from 'prom-client'
import { createLog } from '../../server/src/platform/log.ts'
import { openObjectFolder } from '../../server/src/platform/objects/folder.ts'
import { openDatabase } from '../../server/src/platform/postgres/database.ts'
import type { ArchiveFormat } from '../../server/src/streams/archive/archive-file.ts'
import { readRawFrom } from '../../server/src/streams/archive/archive-sources.ts'
import { startArchiver } from '../../server/src/streams/archive/archiver.ts'
import type { EventLog } from '../../server/src/streams/log/log.ts'
import { openPostgresLog } from '../../server/src/streams/log/log-postgres.ts'
import { createStreams } from '../../server/src/streams/streams-postgres.ts'

const MiB = 1024 * 1024
const [url = '', events = '', way, folder = '', format = 'ndjson'] = process.argv.slice(2)
const total = Number(events)
const database = openDatabase({
  url,
  maxConnections: 2,
  maxLanes: 1,
  maxJobConnections: 1,
  log: console.error,
})
const { BENCH_BROKERS: brokers, BENCH_TOPIC: topic = '' } = process.env
const logger = createLog('warn')
const log = await (brokers === undefined ? openPostgresLog(database.streams, 1) : openTopic(brokers))
const start = performance.now()
const found = await (way === 'archive' ? archive() : read())
const ms = performance.now() - start
if (found !== total) throw new Error(`${found} of ${total} events`)
const { user, system } = process.cpuUsage()
const peakMiB = Math.round(process.resourceUsage().maxRSS / 1024)
console.log(JSON.stringify({ ms, cpuMs: (user + system) / 1_000, peakMiB }))
process.exit(0)

async function openTopic(servers: string): Promise<EventLog> {
  const { openKafkaLog } = await import('../../server/src/streams/log/log-kafka.ts')
  const connection = { bootstrapBrokers: [servers] }
  const pool = database.streams
  return openKafkaLog({ connection, topic, partitions: 1, retentionDays: 7, pool, log: logger })
}

async function read(): Promise<number> {
  const reader = log.openReader()
  const limits = { maxBytes: MiB, waitMs: 0, signal: new AbortController().signal }
  const counts = Array.from({ length: log.partitions }, async (_, partition) => {
    let count = 0
    for (let next = 0; ; ) {
      const slice = await reader.read(partition, next, limits)
      for (const { payloads } of slice.runs) count += payloads.length
      if (slice.endedMs !== undefined && slice.next >= next) return count
      next = slice.next
    }
  })
  return (await Promise.all(counts)).reduce((sum, count) => sum + count)
}

/** With the limits that are the default, but for the age: the log was filled just now. */
async function archive(): Promise<number> {
  const archiver = startArchiver({
    sources: [readRawFrom(log)],
    partitions: log.partitions,
    streams: createStreams(database.pool, 60_000),
    pool: database.streams,
    objects: await openObjectFolder(folder),
    format: format as ArchiveFormat,
    limits: { maxRows: 250_000, maxBytes: 32 * MiB, maxAgeMs: 5_000 },
    maxPendingBytes: 128 * MiB,
    registry: new Registry(),
    logger,
  })
  for (;;) {
    const { rows } = await database.pool.query(
      'SELECT coalesce(sum(archived_rows), 0)::float8 AS n FROM archived',
    )
    if (rows[0].n >= total) {
      await archiver[Symbol.asyncDispose]()
      return rows[0].n
    }
    await delay(20)
  }
}
