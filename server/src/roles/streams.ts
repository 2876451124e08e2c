import type { Config } from '../config.ts'
import type { Log } from '../platform/log.ts'
import { readAggregatesFrom, readLateFrom, readRawFrom } from '../streams/archive/archive-sources.ts'
import { type Archiver, startArchiver } from '../streams/archive/archiver.ts'
import { ARCHIVE_GROUPS } from '../streams/archive/archives-postgres.ts'
import { measureAggregator } from '../streams/metrics.ts'
import type { Publisher } from '../streams/publish/publisher.ts'
import { measurePublisher, tallyPublished } from '../streams/publish/publisher-metrics.ts'
import { healthWith, type PartHealth } from '../streams/shares/part-health.ts'
import { GROUP as AGGREGATOR } from '../streams/windows/aggregates-postgres.ts'
import { startAggregator } from '../streams/windows/aggregator.ts'
import type { Base } from './base.ts'

const HOUR_MS = 3_600_000

export interface RunningStreams extends AsyncDisposable {
  /** Those that run in this process, by name. */
  parts: Readonly<Record<string, { health(): PartHealth }>>
}

/** The role that makes aggregates of the event log, archives it, publishes what comes of it, and drops what the log no longer has to keep. */
export async function startStreams(config: Config, base: Base, log: Log): Promise<RunningStreams> {
  await using opened = new AsyncDisposableStack()
  const pool = base.database.streams
  // Before anything aggregates: what it is to publish begins here, the first time.
  const publisher = await openPublisher(config, base, log)
  if (publisher) opened.use(publisher)
  const aggregator = opened.use(
    startAggregator({
      log: base.eventLog,
      streams: base.streams,
      pool,
      idleMs: config.STREAM_IDLE_MS,
      latePolicy: config.LATE_POLICY,
      maxOpenBytes: config.STREAM_MAX_OPEN_BYTES,
      logger: log,
      onClosed: () => publisher?.wake(),
    }),
  )
  measureAggregator(aggregator.report, base.metrics.registry)
  const archiver = openArchiver(config, base, log)
  if (archiver) opened.use(archiver)
  const groups = archiver ? [AGGREGATOR, ARCHIVE_GROUPS.raw] : [AGGREGATOR]
  let keeping = keepDays()
  const keeper = setInterval(() => {
    keeping = keeping.then(keepDays)
  }, HOUR_MS)
  opened.defer(async () => {
    clearInterval(keeper)
    await keeping
  })

  async function keepDays(): Promise<void> {
    try {
      await base.eventLog.keepDays(config.STREAM_RETENTION_DAYS, groups)
    } catch (err) {
      log.warn({ err }, 'days of the event log could not be kept; tried again within the hour')
    }
  }

  const owned = opened.move()
  const running = { aggregator, ...(archiver && { archiver }), ...(publisher && { publisher }) }
  const parts = Object.fromEntries(
    Object.entries(running).map(([name, part]) => [
      name,
      { health: () => healthWith(base.eventLog.health?.(), part.health()) },
    ]),
  )
  return { parts, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

function openArchiver(config: Config, base: Base, logger: Log): Archiver | undefined {
  const { ARCHIVE_FORMAT: format, ARCHIVE_MAX_PENDING_BYTES: maxPendingBytes } = config
  if (format === 'off') return undefined
  const { eventLog, streams, objects, metrics } = base
  const pool = base.database.streams
  const { partitions } = eventLog
  return startArchiver({
    sources: [
      readRawFrom(eventLog),
      readAggregatesFrom(pool, streams, partitions),
      readLateFrom(pool, partitions),
    ],
    partitions,
    streams,
    pool,
    objects,
    format,
    limits: {
      maxRows: config.ARCHIVE_MAX_EVENTS,
      maxBytes: config.ARCHIVE_MAX_BYTES,
      maxAgeMs: config.ARCHIVE_MAX_AGE_MS,
    },
    maxPendingBytes,
    registry: metrics.registry,
    logger,
  })
}

async function openPublisher(config: Config, base: Base, logger: Log): Promise<Publisher | undefined> {
  if (config.STREAM_LOG !== 'kafka') return undefined
  // Loaded only where it is used, as it takes a while.
  const [{ readKafkaConnection }, { startPublisher }] = await Promise.all([
    import('../platform/kafka/connection.ts'),
    import('../streams/publish/publisher.ts'),
  ])
  const { registry } = base.metrics
  const topics = { aggregates: config.STREAM_AGGREGATES_TOPIC, late: config.STREAM_LATE_TOPIC }
  const publisher = await startPublisher({
    connection: await readKafkaConnection(config),
    pool: base.database.streams,
    installation: base.installation,
    partitions: base.eventLog.partitions,
    topics,
    onPublished: tallyPublished(registry, topics),
    logger,
  })
  measurePublisher(publisher, registry)
  return publisher
}
