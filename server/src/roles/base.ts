import { join } from 'node:path'
import type { Config } from '../config.ts'
import type { JobQueue } from '../jobs/queue/queue.ts'
import { createPostgresQueue } from '../jobs/queue/queue-postgres.ts'
import type { Log } from '../platform/log.ts'
import { openObjectFolder } from '../platform/objects/folder.ts'
import type { ObjectStore } from '../platform/objects/objects.ts'
import { type Database, openDatabase } from '../platform/postgres/database.ts'
import { startEmbeddedPostgres } from '../platform/postgres/embedded.ts'
import { migrate } from '../platform/postgres/migrations.ts'
import { createNotifier, type Notifier } from '../platform/postgres/notifications.ts'
import { dropOldIdDays, ensureIdDays } from '../progress/ids-postgres.ts'
import type { RecordStore } from '../progress/store.ts'
import { createPostgresStore } from '../progress/store-postgres.ts'

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
  store: RecordStore
  /** Announces changed records to the live views of all processes. */
  announce: Notifier
  /** Announces changed jobs to theirs. */
  announceJobs: Notifier
  /** Tells the workers of all processes that a job was stopped. */
  announceStops: Notifier
  queue: JobQueue
  objects: ObjectStore
}

/** Opens the database (the embedded one without `DATABASE_URL`), brings its schema up, and keeps its partitions. */
export async function openBase(config: Config, log: Log): Promise<Base> {
  await using opened = new AsyncDisposableStack()
  const url = config.DATABASE_URL ?? opened.use(await startEmbedded(config, log)).url
  await migrate(url, 'up')
  const database = opened.use(
    openDatabase({
      url,
      maxConnections: config.DATABASE_POOL,
      maxLanes: config.LEDGER_LANES,
      // Each import holds one for its commits and needs another for its lease; the queue has its own questions.
      maxJobConnections: 2 * config.IMPORT_CONCURRENCY + 2,
      log: (message, err) => log.warn({ err }, message),
    }),
  )
  await keepIdDays(database, log)
  const keeper = setInterval(() => void keepIdDays(database, log), HOUR_MS)
  opened.defer(() => clearInterval(keeper))
  const warn = (message: string, err: Error) => log.warn({ err }, message)
  const openNotifier = (channel: string, intervalMs = ANNOUNCE_MS) =>
    opened.use(createNotifier({ pool: database.pool, channel, intervalMs, log: warn }))
  const announce = openNotifier(PROGRESS_CHANNEL)
  const announceJobs = openNotifier(JOBS_CHANNEL)
  const announceStops = openNotifier(STOPS_CHANNEL, STOP_MS)
  const installation = await installationId(database)
  const queue = opened.use(await openQueue(config, database, installation, warn))
  const objects = await openObjectFolder(join(config.dataDir, 'objects', installation))
  const store = createPostgresStore(database)
  const owned = opened.move()
  const parts = { database, store, announce, announceJobs, announceStops, queue, objects }
  return { ...parts, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

async function openQueue(
  { redisUrl: url }: Config,
  database: Database,
  installationId: string,
  log: (message: string, error: Error) => void,
): Promise<JobQueue> {
  if (url === undefined) return createPostgresQueue({ database, log })
  // Loaded only where it is used: BullMQ takes a quarter of a second.
  const { createRedisQueue } = await import('../jobs/queue/queue-redis.ts')
  return createRedisQueue({ database, url, installationId, log })
}

/** Each database has its own objects, also where several share a data folder, and its own keys in a Redis. */
async function installationId({ pool }: Database): Promise<string> {
  const { rows } = await pool.query<{ id: string }>('SELECT id FROM installation')
  return rows[0]!.id
}

function startEmbedded(config: Config, log: Log) {
  return startEmbeddedPostgres({
    dataDir: join(config.dataDir, 'postgres'),
    log: (message) => log.debug({ part: 'postgres' }, message),
  })
}

async function keepIdDays({ pool }: Database, log: Log): Promise<void> {
  try {
    await ensureIdDays(pool)
    await dropOldIdDays(pool)
  } catch (err) {
    log.warn({ err }, 'partitions of update ids could not be kept; tried again within the hour')
  }
}
