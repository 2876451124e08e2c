import { setTimeout as delay } from 'node:timers/promises'
import { Queue, Worker } from 'bullmq'
import type { Redis } from 'ioredis'
import type { Database } from '../../platform/postgres/database.ts'
import { connectRedis, requireNoEviction } from '../../platform/redis/connection.ts'
import { createDelivery } from './delivery.ts'
import { type Entry, entryKey, findWaiting, type Line, urgencyOf } from './line.ts'
import type { JobHandler, JobQueue } from './queue.ts'
import { createRecoverer } from './recoverer.ts'

const QUEUE = 'imports'
/** Greatest number that BullMQ takes for a priority; there the smallest is the most urgent. */
const LEAST_URGENT = 2 ** 21
/** An entry that a worker took without claiming its job, be it that it died just then, comes again within eight seconds. */
const LOCK_MS = 4_000
const STALLED_CHECK_MS = 2_000
/** How long a stopping worker tries to tell Redis what it did last. */
const CLOSE_MS = 2_000

const JOB_OPTIONS = {
  // What has to be done again is put in line anew, by the recoverer; its key must be free by then.
  attempts: 1,
  removeOnComplete: true,
  removeOnFail: true,
}

export interface RedisQueueOptions {
  database: Database
  url: string
  /** Names this database among those that share one Redis. */
  installationId: string
  log: (message: string, error: Error) => void
}

/**
 * The queue on Redis: BullMQ. The job's row is the outbox: its entry is sent when the transaction has committed, and by
 * the recoverer when that was not possible. Redis may be away or lose everything; it needs no persistence.
 *
 * @throws PebblesError `unavailable` when Redis does not answer, `misconfigured` when it evicts keys
 */
export async function createRedisQueue(options: RedisQueueOptions): Promise<JobQueue> {
  const { database, url, log } = options
  await using opened = new AsyncDisposableStack()
  const { client } = opened.use(await connectRedis({ url, waits: false, log }))
  await requireNoEviction(client, url)
  const line = opened.use(openLine(client, options))
  let unsent: string[] = []
  let sending: Promise<void> = Promise.resolve()
  opened.defer(() => sending)

  /** One after the other, so that they arrive in their order; what comes meanwhile goes together. */
  async function send(): Promise<void> {
    const jobIds = unsent
    unsent = []
    if (jobIds.length === 0) return
    try {
      await line.put(await findWaiting(database.pool, jobIds), { isNew: true })
    } catch (error) {
      log(
        'jobs could not be sent to Redis; they are brought there by the next look at the jobs',
        error as Error,
      )
    }
  }

  const owned = opened.move()
  return {
    // The row itself is what the transaction leaves behind.
    enqueue: async () => {},
    wake(jobId) {
      unsent.push(jobId)
      sending = sending.then(send)
    },
    consume: (work) => consume(options, line, work),
    redisAnswers: () =>
      client.ping().then(
        () => true,
        () => false,
      ),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function consume(
  options: RedisQueueOptions,
  line: Line,
  { concurrency, handle }: { concurrency: number; handle: JobHandler },
): Promise<AsyncDisposable> {
  const { database, url, log } = options
  const pool = database.jobs
  await using opened = new AsyncDisposableStack()
  const { client } = opened.use(await connectRedis({ url, waits: true, log }))
  const stopping = new AbortController()
  const recoverer = opened.use(createRecoverer({ pool, line, log }))
  const deliver = createDelivery({
    pool,
    handle,
    signal: stopping.signal,
    onGivenBack: (jobId) => recoverer.bring([jobId], { isNew: false }),
    log,
  })
  const inHand = new Set<Promise<void>>()
  async function work(entry: EntryData): Promise<void> {
    const delivered = deliver(entry)
    inHand.add(delivered)
    await delivered
    inHand.delete(delivered)
  }
  const worker = new Worker<EntryData>(QUEUE, ({ data }) => work(data), {
    connection: client,
    prefix: prefixOf(options),
    concurrency,
    lockDuration: LOCK_MS,
    stalledInterval: STALLED_CHECK_MS,
    runRetryDelay: 1_000,
  })
  worker.on('error', (error) => log('the queue in Redis is in trouble', error))
  opened.defer(async () => {
    // First no more entries are taken, so that none is used up for nothing.
    // While Redis is away only the forced way ends: else BullMQ waits for a connection to end that ioredis 5 has parked.
    const ended = worker.close(client.status !== 'ready')
    stopping.abort()
    await Promise.all(inHand)
    // What Redis is not told by then, because it went away just now, nobody needs.
    await Promise.race([ended, delay(CLOSE_MS, undefined, { ref: false })])
  })
  const owned = opened.move()
  return { [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

type EntryData = Pick<Entry, 'jobId' | 'attempt'>

const prefixOf = ({ installationId }: RedisQueueOptions) => `pebbles:${installationId}`

function openLine(client: Redis, options: RedisQueueOptions): Line & AsyncDisposable {
  const queue = new Queue<EntryData>(QUEUE, {
    connection: client,
    prefix: prefixOf(options),
    defaultJobOptions: JOB_OPTIONS,
    streams: { events: { maxLen: 100 } },
  })
  queue.on('error', (error) => options.log('the queue in Redis is in trouble', error))
  return {
    async findMissing(entries) {
      if (entries.length === 0) return []
      const asked = client.pipeline()
      for (const entry of entries) asked.exists(queue.toKey(entryKey(entry)))
      const answers = (await asked.exec()) ?? []
      return entries.filter((_, index) => {
        const [error, count] = answers[index]!
        if (error) throw error
        return count === 0
      })
    },
    async put(entries, { isNew }) {
      if (entries.length === 0) return
      await queue.addBulk(
        entries.map((entry) => ({
          name: 'import',
          data: { jobId: entry.jobId, attempt: entry.attempt },
          // The most urgent is 1 here, a new job 2, and so on.
          opts: {
            jobId: entryKey(entry),
            priority: Math.min(2 - urgencyOf(entry, { isNew }), LEAST_URGENT),
          },
        })),
      )
    },
    [Symbol.asyncDispose]: () => queue.close(),
  }
}
