import { join } from 'node:path'
import type { Config } from '../config.ts'
import type { JobQueue } from '../jobs/queue/queue.ts'
import { measureQueue } from '../jobs/queue/queue-metrics.ts'
import { createPostgresQueue } from '../jobs/queue/queue-postgres.ts'
import { PebblesError } from '../platform/errors.ts'
import { readKafkaConnection } from '../platform/kafka/connection.ts'
import { createWarn, type Log, type Warn } from '../platform/log.ts'
import type { MongoDatabase } from '../platform/mongo/connection.ts'
import { type WatchedObjects, watchObjects } from '../platform/objects/answers.ts'
import type { ObjectLocation, ObjectStore } from '../platform/objects/objects.ts'
import { openObjects, requireObjects } from '../platform/objects/open.ts'
import { type Database, openDatabase } from '../platform/postgres/database.ts'
import { startEmbeddedPostgres } from '../platform/postgres/embedded.ts'
import { migrate } from '../platform/postgres/migrations.ts'
import { createNotifier, type Notifier } from '../platform/postgres/notifications.ts'
import { createMetrics, type Metrics } from '../platform/telemetry/metrics.ts'
import type { Tally } from '../progress/consumers/consumer.ts'
import { createLedger, type Ledger } from '../progress/ledger.ts'
import { changedRecords } from '../progress/live/announcement.ts'
import { createTally, measureLedger, measureStore, tallyRequests } from '../progress/metrics.ts'
import type { MongoStore } from '../progress/mongo/store-mongo.ts'
import { dropOldIdPartitions, ensureIdPartitions } from '../progress/postgres/ids-postgres.ts'
import { settleWhereRecordsAre } from '../progress/postgres/outbox-postgres.ts'
import { createPostgresStore } from '../progress/postgres/store-postgres.ts'
import type { Update } from '../progress/record.ts'
import { type Outcome, PartlyApplied, type RecordStore } from '../progress/store.ts'
import { ARCHIVE_GROUPS } from '../streams/archive/archives-postgres.ts'
import type { EventLog } from '../streams/log/log.ts'
import { openPostgresLog } from '../streams/log/log-postgres.ts'
import { measureLag, measureLog } from '../streams/metrics.ts'
import type { Streams } from '../streams/streams.ts'
import { createStreams } from '../streams/streams-postgres.ts'
import { GROUP as AGGREGATOR } from '../streams/windows/aggregates-postgres.ts'

/** NOTIFY channel on which the ids of changed records are announced. */
export const PROGRESS_CHANNEL = 'pebbles_progress'
/** NOTIFY channel on which changed jobs are announced (`jobAnnouncementOf`). */
export const JOBS_CHANNEL = 'pebbles_jobs'
/** NOTIFY channel on which the ids of jobs are announced that somebody stopped. */
export const STOPS_CHANNEL = 'pebbles_job_stops'
const ANNOUNCE_MS = 100
const STOP_MS = 10
const HOUR_MS = 3_600_000

/** What every role stands on. */
export interface Base extends AsyncDisposable {
  database: Database
  /** Id of the database, by which what is shared with others tells whose it is. */
  installation: string
  /** Where the records are, when they are not in the database. */
  mongo: { answers: MongoDatabase['answers']; store: MongoStore } | undefined
  store: RecordStore
  /** Where the updates of every channel meet that come one by one. */
  ledger: Ledger
  /** Announces changed records to the live views of all processes. */
  announce: Notifier
  /** Announces changed jobs to theirs. */
  announceJobs: Notifier
  /** Tells the workers of all processes that a job was stopped. */
  announceStops: Notifier
  queue: JobQueue
  objects: ObjectStore
  objectsAnswer: WatchedObjects['answers']
  /** Events of all streams, in the order in which they came. */
  eventLog: EventLog
  /** What was declared about them. */
  streams: Streams
  /** What is measured in this process. */
  metrics: Metrics
  /** Counts what becomes of the updates of every channel. */
  tally: Tally
}

/** Opens the database (the embedded one without `DATABASE_URL`), brings its schema up, and keeps its partitions. */
export async function openBase(config: Config, log: Log): Promise<Base> {
  await using opened = new AsyncDisposableStack()
  const url = config.DATABASE_URL ?? opened.use(await startEmbedded(config, log)).url
  await migrate(url, 'up')
  const warn = createWarn(log)
  const database = opened.use(
    openDatabase({
      url,
      maxConnections: config.DATABASE_POOL,
      maxLanes: config.LEDGER_LANES,
      // Each import holds one for its commits and needs another for its lease; the queue has its own questions.
      maxJobConnections: 2 * config.IMPORT_CONCURRENCY + 2,
      log: warn,
    }),
  )
  await keepIdPartitions(database, log)
  const keeper = setInterval(() => void keepIdPartitions(database, log), HOUR_MS)
  opened.defer(() => clearInterval(keeper))
  const openNotifier = (channel: string, intervalMs = ANNOUNCE_MS) =>
    opened.use(createNotifier({ pool: database.pool, channel, intervalMs, log: warn }))
  const announce = openNotifier(PROGRESS_CHANNEL)
  const announceJobs = openNotifier(JOBS_CHANNEL)
  const announceStops = openNotifier(STOPS_CHANNEL, STOP_MS)
  const installation = await installationId(database)
  const queue = opened.use(await openQueue(config, database, installation, warn))
  const { objects, answers: objectsAnswer } = watchObjects(
    opened.use(await openObjects(objectsAt(config, installation))),
  )
  await requireObjects(objects)
  const metrics = opened.use(createMetrics())
  const { registry } = metrics
  const tally = createTally(registry)
  const { store: plainStore, mongo } = await openStore(config, database, opened, warn)
  // For good, so only once MongoDB has answered.
  await settleWhereRecordsAre(database.pool, config.MONGO_URI !== undefined)
  const store = measureStore(plainStore, registry)
  const told = (updates: readonly Update[], outcomes: readonly (Outcome | undefined)[]) => {
    announce.notify(changedRecords(updates, outcomes))
    tallyRequests(tally, updates, outcomes)
  }
  const ledger = opened.use(
    createLedger({
      apply: (updates) => applyAndTell(store, updates, told),
      lanes: config.LEDGER_LANES,
      maxPending: config.LEDGER_MAX_PENDING,
      maxPendingBytes: config.LEDGER_MAX_PENDING_BYTES,
    }),
  )
  const eventLog = measureLog(opened.use(await openEventLog(config, database, log)), registry)
  if (eventLog.partitions !== config.STREAM_PARTITIONS) {
    const { partitions } = eventLog
    log.warn(
      { partitions },
      'STREAM_PARTITIONS differs from the event log that is there, which keeps its number',
    )
  }
  const streams = createStreams(database.pool, config.STREAM_GRACE_MS)
  measureLedger(ledger, registry)
  measureQueue(database.pool, registry)
  const readers = [AGGREGATOR, ...(config.ARCHIVE_FORMAT === 'off' ? [] : [ARCHIVE_GROUPS.raw])]
  measureLag(eventLog, database.pool, readers, registry)
  const owned = opened.move()
  const notifiers = { announce, announceJobs, announceStops }
  return {
    database,
    installation,
    mongo,
    store,
    ledger,
    ...notifiers,
    queue,
    objects,
    objectsAnswer,
    eventLog,
    streams,
    metrics,
    tally,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function openEventLog(config: Config, { streams: pool }: Database, log: Log): Promise<EventLog> {
  const { STREAM_LOG, STREAM_PARTITIONS: partitions, STREAM_TOPIC: topic } = config
  if (STREAM_LOG === 'postgres') return openPostgresLog(pool, partitions)
  // Loaded only where it is used, as it takes a while.
  const { openKafkaLog } = await import('../streams/log/log-kafka.ts')
  const connection = await readKafkaConnection(config)
  const retentionDays = config.STREAM_RETENTION_DAYS
  return openKafkaLog({ connection, topic, partitions, retentionDays, pool, log })
}

async function openStore(
  { MONGO_URI: url, DATABASE_POOL: maxConnections }: Config,
  database: Database,
  opened: AsyncDisposableStack,
  warn: Warn,
): Promise<Pick<Base, 'store' | 'mongo'>> {
  if (url === undefined) return { store: createPostgresStore(database), mongo: undefined }
  // Loaded only where it is used.
  const { openMongo } = await import('../platform/mongo/connection.ts')
  const { openMongoStore } = await import('../progress/mongo/store-mongo.ts')
  const mongo = opened.use(openMongo({ url, maxConnections }))
  const store = await openMongoStore(mongo).catch((error: unknown) => {
    if (!(error instanceof PebblesError) || error.code === 'misconfigured') throw error
    throw new PebblesError(error.code, 'MongoDB cannot be used (MONGO_URI).', { cause: error.cause })
  })
  const sweep = () =>
    store.sweep().catch((error) => warn('issues without a record could not be swept; tried again', error))
  const sweeper = setInterval(() => void sweep(), HOUR_MS)
  opened.defer(() => clearInterval(sweeper))
  return { store, mongo: { answers: mongo.answers, store } }
}

/** Tells of what was applied, also of a batch of which a part was not. */
async function applyAndTell(
  store: RecordStore,
  updates: readonly Update[],
  tell: (updates: readonly Update[], outcomes: readonly (Outcome | undefined)[]) => void,
): Promise<Outcome[]> {
  try {
    const outcomes = await store.apply(updates)
    tell(updates, outcomes)
    return outcomes
  } catch (error) {
    if (error instanceof PartlyApplied) tell(updates, error.outcomes)
    throw error
  }
}

async function openQueue(
  { redisUrl: url }: Config,
  database: Database,
  installationId: string,
  log: Warn,
): Promise<JobQueue> {
  if (url === undefined) return createPostgresQueue({ database, log })
  // Loaded only where it is used: BullMQ takes a quarter of a second.
  const { createRedisQueue } = await import('../jobs/queue/queue-redis.ts')
  return createRedisQueue({ database, url, installationId, log })
}

/** Each database has its own objects, also where several share a folder or a bucket, and its own keys in a Redis. */
async function installationId({ pool }: Database): Promise<string> {
  const { rows } = await pool.query<{ id: string }>('SELECT id FROM installation')
  return rows[0]!.id
}

function objectsAt(config: Config, installation: string): ObjectLocation {
  const { S3_BUCKET: bucket, S3_PREFIX: prefix = installation, S3_ENDPOINT: endpoint } = config
  if (bucket === undefined) return { folder: join(config.dataDir, 'objects', installation) }
  return { bucket, prefix, endpoint, region: config.AWS_REGION }
}

function startEmbedded(config: Config, log: Log) {
  return startEmbeddedPostgres({
    dataDir: join(config.dataDir, 'postgres'),
    log: (message) => log.debug({ part: 'postgres' }, message),
  })
}

async function keepIdPartitions({ pool }: Database, log: Log): Promise<void> {
  try {
    await ensureIdPartitions(pool)
    await dropOldIdPartitions(pool)
  } catch (err) {
    log.warn({ err }, 'partitions of update ids could not be kept; tried again within the hour')
  }
}
