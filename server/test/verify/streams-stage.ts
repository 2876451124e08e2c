/** Where a storm plays: the log that is proven, where files go, and what has to be true when it is over. */
import { join } from 'node:path'
import type { Pool } from 'pg'
import pino from 'pino'
import { openDatabase } from '../../src/platform/postgres/database.ts'
import type { EventLog } from '../../src/streams/log/log.ts'
import { openKafkaLog } from '../../src/streams/log/log-kafka.ts'
import { openPostgresLog } from '../../src/streams/log/log-postgres.ts'
import { openTestPool } from '../helpers/database.ts'
import type { Scope } from '../helpers/scope.ts'
import { createTestDir, type SpawnedServer, spawnServer } from '../helpers/server.ts'
import { checkTables, countLog, type LatePolicy } from './streams-books.ts'
import { checkObjects, download } from './streams-objects.ts'
import type { Plan } from './streams-plan.ts'
import type { Sent } from './streams-sender.ts'
import { checkTopic, checkTopics, type ReadTopic, readCommitted } from './streams-topics.ts'

const TOPIC = 'pageviews'

export interface StageOptions {
  databaseUrl: string
  dataDir: string
  /** Brokers that keep the log, and what is published. Default: the log is in PostgreSQL, and nothing is. */
  bootstrapServers?: string | undefined
  /** How the topics are read when it is over. */
  readTopic?: ReadTopic
  /** Environment that leads to S3. Default: a folder. */
  s3?: Record<string, string> | undefined
  /** Default: `keep`. */
  latePolicy?: LatePolicy
  /** Of archives; instances take turns. Default: NDJSON. */
  formats?: readonly string[]
  /** Further settings of the instances. */
  env?: Record<string, string>
}

export interface Stage {
  spawn(idleMs: number): Promise<SpawnedServer>
  isThrough(): Promise<boolean>
  /** Everything that was made of the events against a plain count of the log. */
  check(plan: Plan, sent: Sent): Promise<Record<string, number>>
}

export function openStage(scope: Scope, options: StageOptions): Stage {
  const { databaseUrl, dataDir, bootstrapServers, s3, readTopic = readCommitted } = options
  const { latePolicy = 'keep', formats = ['ndjson'] } = options
  let spawned = 0
  const env = {
    ...s3,
    ...(bootstrapServers !== undefined && { STREAM_LOG: 'kafka', KAFKA_BOOTSTRAP_SERVERS: bootstrapServers }),
    DATABASE_URL: databaseUrl,
    PEBBLES_DATA: dataDir,
    PEBBLES_ROLES: 'api,streams',
    LATE_POLICY: latePolicy,
    // Many objects, so that many a kill comes between what is meant to be written and what is.
    ARCHIVE_MAX_EVENTS: '5000',
    ARCHIVE_MAX_AGE_MS: '1000',
    ...options.env,
  }
  const pool = openTestPool(scope, databaseUrl)

  async function openLog(opened: AsyncDisposableStack): Promise<EventLog> {
    const database = opened.use(
      openDatabase({
        url: databaseUrl,
        maxConnections: 2,
        maxLanes: 1,
        maxJobConnections: 1,
        log: () => {},
      }),
    )
    if (bootstrapServers === undefined) return opened.use(await openPostgresLog(database.streams, 1))
    return opened.use(
      await openKafkaLog({
        connection: { bootstrapBrokers: [bootstrapServers] },
        topic: TOPIC,
        partitions: 1,
        retentionDays: 7,
        pool: database.streams,
        log: pino({ level: 'silent' }),
      }),
    )
  }

  return {
    spawn(idleMs) {
      const ARCHIVE_FORMAT = formats[spawned++ % formats.length]!
      return spawnServer(scope, { ...env, ARCHIVE_FORMAT, STREAM_IDLE_MS: String(idleMs) })
    },
    isThrough: async () =>
      (await isArchived(pool)) && (bootstrapServers === undefined || (await isPublished(pool))),
    async check(plan, sent) {
      await using opened = new AsyncDisposableStack()
      const log = await openLog(opened)
      const count = await countLog(log, plan, sent.accepted, latePolicy)
      await checkTables(pool, count, latePolicy)
      const found = { windows: count.windows.length, late: count.late.size }
      const objects = await checkObjects(await archiveOf(), plan, count)
      if (bootstrapServers === undefined) return { ...found, ...objects }
      const topic = await checkTopic(bootstrapServers, TOPIC, plan, count)
      const published = await checkTopics(readTopic, bootstrapServers, plan, count)
      return { ...found, ...objects, ...topic, ...published }
    },
  }

  async function archiveOf(): Promise<string> {
    const { rows } = await pool.query('SELECT id FROM installation')
    if (s3 === undefined) return join(dataDir, 'objects', rows[0].id)
    const folder = await createTestDir(scope)
    await download(s3, rows[0].id, folder)
    return folder
  }
}

/** Whether everything that was decided is in objects. */
async function isArchived(pool: Pool): Promise<boolean> {
  const { rows } = await pool.query(
    `SELECT kind, archived, decided FROM (VALUES
       ('raw', (SELECT sum(counted + late + open) FROM scope_progress)),
       ('late', (SELECT count(*) FROM late_events)),
       ('aggregates', (SELECT sum(keys) FROM closings))) d (kind, decided)
     LEFT JOIN (SELECT kind, sum(archived_rows) AS archived FROM archived GROUP BY kind) a USING (kind)
     WHERE archived IS DISTINCT FROM decided`,
  )
  return rows.length === 0
}

/** Whether everything that was decided is published, and noted to be. */
async function isPublished(pool: Pool): Promise<boolean> {
  const { rows } = await pool.query(
    `SELECT FROM log_checkpoints c
     LEFT JOIN publications a ON a.partition = c.partition AND a.kind = 'aggregates'
     LEFT JOIN publications l ON l.partition = c.partition AND l.kind = 'late'
     WHERE c.reader_group = 'aggregator'
       AND (a.sequence IS DISTINCT FROM c.sequence OR a.key IS NOT NULL OR l.sequence IS DISTINCT FROM
            coalesce((SELECT max(log_offset) FROM late_events e WHERE e.partition = c.partition), -1))`,
  )
  return rows.length === 0
}
