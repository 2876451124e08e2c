import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Pool } from 'pg'
import type { ClaimedJob } from '../../src/jobs/job.ts'
import type { Entry } from '../../src/jobs/queue/line.ts'
import type { JobHandler, JobQueue } from '../../src/jobs/queue/queue.ts'
import { createJob } from '../../src/jobs/upload/create-postgres.ts'
import { inTransaction, openDatabase } from '../../src/platform/postgres/database.ts'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'

/** What a suite needs of the server behind a queue, to do to it what no queue would do by itself. */
export interface QueueServer {
  /** Where the queue is; undefined: in the database. */
  redisUrl: string | undefined
  /** Everything that the queue knew is gone. */
  forget(bench: QueueBench): Promise<void>
  /** The server goes away and comes back `awayMs` later. */
  restart(bench: QueueBench, awayMs: number): Promise<void>
  /** Brings an entry to the workers that no one asked for. */
  redeliver(bench: QueueBench, entry: Entry): Promise<void>
  /** How many entries are kept, in whatever state. */
  count(bench: QueueBench): Promise<number>
}

export interface QueueBench {
  databaseUrl: string
  pool: Pool
  queue: JobQueue
  /** A second queue on the same servers, as another process has it. */
  openQueue(): Promise<JobQueue>
  /** Makes a job, as an upload does. */
  newJob(): Promise<string>
  /** Makes a transaction that makes a job, and ends as `after` does. */
  newJobIn(after: () => Promise<void>): Promise<string>
}

/** The queue that a process with these variables has. */
export async function openQueueOn(
  scope: Scope,
  { databaseUrl, redisUrl }: { databaseUrl: string; redisUrl: string | undefined },
): Promise<JobQueue> {
  const log = () => {}
  const sizes = { maxConnections: 5, maxLanes: 1, maxJobConnections: 6 }
  const database = openDatabase({ url: databaseUrl, ...sizes, log })
  atEnd(scope, () => database[Symbol.asyncDispose]())
  const { rows } = await database.pool.query<{ id: string }>('SELECT id FROM installation')
  const installationId = rows[0]!.id
  // Each is loaded where it is used: the many processes of a suite start sooner.
  const queue = redisUrl
    ? await (await import('../../src/jobs/queue/queue-redis.ts')).createRedisQueue({
        database,
        url: redisUrl,
        installationId,
        log,
      })
    : await (await import('../../src/jobs/queue/queue-postgres.ts')).createPostgresQueue({ database, log })
  atEnd(scope, () => queue[Symbol.asyncDispose]())
  return queue
}

export async function openQueueBench(scope: Scope, server: QueueServer): Promise<QueueBench> {
  const databaseUrl = await createTestDatabase(scope)
  const pool = openTestPool(scope, databaseUrl)
  // A database that goes away breaks the idle connections of this pool, too.
  pool.on('error', () => {})
  const openQueue = () => openQueueOn(scope, { databaseUrl, redisUrl: server.redisUrl })
  const queue = await openQueue()

  const toJob = (id: string) => {
    const file = { filename: `${id}.csv`, objectName: id, sizeBytes: 1, sha256: '' }
    return { id, clientKrn: 'krn:queue', email: 'alice@example.com', dataset: 'customers', ...file }
  }

  async function newJob(): Promise<string> {
    const id = randomUUID()
    await createJob(pool, queue, toJob(id))
    queue.wake(id)
    return id
  }

  async function newJobIn(after: () => Promise<void>): Promise<string> {
    const id = randomUUID()
    await createJob(pool, { enqueue: (tx, jobId) => queue.enqueue(tx, jobId).then(after) }, toJob(id))
    queue.wake(id)
    return id
  }

  return { databaseUrl, pool, queue, openQueue, newJob, newJobIn }
}

/** A handler that does nothing and is done, and what it was brought so far. */
export function createFinisher(pool: Pool, { takesMs = 0 }: { takesMs?: number } = {}) {
  const handled: { id: string; attempt: number }[] = []
  let running = 0
  const most = { running: 0 }
  const handle: JobHandler = async (job, stop) => {
    handled.push({ id: job.id, attempt: job.attempt })
    most.running = Math.max(most.running, ++running)
    if (takesMs > 0) await delay(takesMs)
    running--
    await finish(pool, job, stop)
  }
  return { handle, handled, most, ids: () => handled.map(({ id }) => id) }
}

/** Ends a job as its last batch does, if this attempt still has it; tried again while the database is away. */
export async function finish(
  pool: Pool,
  { id, attempt }: Pick<ClaimedJob, 'id' | 'attempt'>,
  stop?: AbortSignal,
): Promise<void> {
  do {
    try {
      await pool.query(
        `UPDATE jobs SET status = 'completed', lease_until = NULL, completed_at = now()
         WHERE id = $1 AND attempt = $2 AND status = 'processing'`,
        [id, attempt],
      )
      return
    } catch {
      await delay(100)
    }
  } while (!stop?.aborted)
}

/** Makes a job that has ended wanted again, as a retry does. */
export function retry({ pool, queue }: QueueBench, jobId: string): Promise<void> {
  return inTransaction(pool, async (tx) => {
    await tx.query(`UPDATE jobs SET status = 'pending', completed_at = NULL WHERE id = $1`, [jobId])
    await queue.enqueue(tx, jobId)
  })
}

export async function countOf(pool: Pool, status: string): Promise<number> {
  const { rows } = await pool.query('SELECT count(*)::int AS n FROM jobs WHERE status = $1', [status])
  return rows[0].n
}
