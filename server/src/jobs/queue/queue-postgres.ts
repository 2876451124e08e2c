import type { Pool } from 'pg'
import type { PgBoss } from 'pg-boss'
import type { Database } from '../../platform/postgres/database.ts'
import { createNotifier, listenForChanges } from '../../platform/postgres/notifications.ts'
import { createBoss } from '../../platform/postgres/pg-boss.ts'
import { createDelivery } from './delivery.ts'
import { type Entry, entryKey, findWaiting, type Line, urgencyOf } from './line.ts'
import type { JobHandler, JobQueue } from './queue.ts'
import { createRecoverer } from './recoverer.ts'

const QUEUE = 'imports'
const WAKE_CHANNEL = 'pebbles_job_queue'
const WAKE_MS = 10
/** A wake-up can be lost. */
const POLL_S = 1

const QUEUE_OPTIONS = {
  // A sign of life every 15 s; without one for 30 s the entry is closed. It decides nothing here (the lease of the job
  // does, within 6 s), but an entry whose worker died is not shown as active for ever.
  heartbeatSeconds: 30,
  // The longest that pg-boss allows. An import that takes longer goes on, only its entry is closed.
  expireInSeconds: 24 * 3_600,
  // What has to be done again is put in line anew, by the recoverer.
  retryLimit: 0,
  deleteAfterSeconds: 3_600,
}

type Parts = { boss: PgBoss; database: Database; log: (message: string, error: Error) => void }

/**
 * The queue that needs nothing but the database: pg-boss, on connections of ours. A job's entry commits with the job.
 *
 * @throws what the database threw while the schema of pg-boss was made
 */
export async function createPostgresQueue(options: {
  database: Database
  log: (message: string, error: Error) => void
}): Promise<JobQueue> {
  const { database, log } = options
  const boss = createBoss(database.jobs, log)
  await boss.start()
  // `short`: one entry of a key can wait at a time.
  await boss.createQueue(QUEUE, { policy: 'short', ...QUEUE_OPTIONS })
  await boss.updateQueue(QUEUE, QUEUE_OPTIONS)
  const notifier = createNotifier({
    pool: database.pool,
    channel: WAKE_CHANNEL,
    intervalMs: WAKE_MS,
    log,
  })
  const wake = (jobIds: Iterable<string>) => notifier.notify(jobIds)
  return {
    async enqueue(tx, jobId) {
      const db = { executeSql: (text: string, values?: unknown[]) => tx.query(text, values) }
      for (const entry of await findWaiting(tx, [jobId])) {
        await boss.send(QUEUE, toData(entry), { ...toOptions(entry, { isNew: true }), db })
      }
    },
    wake: (jobId) => wake([jobId]),
    consume: (work) => consume({ boss, database, log }, wake, work),
    redisAnswers: async () => undefined,
    async [Symbol.asyncDispose]() {
      await notifier[Symbol.asyncDispose]()
      await boss.stop({ close: false })
    },
  }
}

async function consume(
  { boss, database, log }: Parts,
  wake: (jobIds: Iterable<string>) => void,
  { concurrency, handle }: { concurrency: number; handle: JobHandler },
): Promise<AsyncDisposable> {
  await using opened = new AsyncDisposableStack()
  const pool = database.jobs
  const stopping = new AbortController()
  const line = createLine({ boss, pool, wake })
  const recoverer = opened.use(createRecoverer({ pool, line, log }))
  const deliver = createDelivery({
    pool,
    handle,
    signal: stopping.signal,
    onGivenBack: (jobId) => recoverer.bring([jobId], { isNew: false }),
    log,
  })

  /** One worker of pg-boss, which would pause between two entries unless it is told not to. */
  async function startWorker(): Promise<string> {
    const id: string = await boss.work<EntryData>(
      QUEUE,
      { pollingIntervalSeconds: POLL_S },
      async ([job]) => {
        await deliver(job!.data)
        boss.notifyWorker(id)
      },
    )
    return id
  }

  const workers = await Promise.all(Array.from({ length: concurrency }, startWorker))
  opened.defer(async () => {
    // First no more entries are taken, so that none is used up for nothing.
    const ended = boss.offWork(QUEUE, { wait: true })
    stopping.abort()
    await ended
  })
  const ring = () => {
    for (const id of workers) boss.notifyWorker(id)
  }
  opened.use(
    await listenForChanges({ url: database.url, channels: { [WAKE_CHANNEL]: ring }, onReconnect: ring, log }),
  )
  const owned = opened.move()
  return { [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

type EntryData = Pick<Entry, 'jobId' | 'attempt'>

const toData = ({ jobId, attempt }: Entry): EntryData => ({ jobId, attempt })

const toOptions = (entry: Entry, options: { isNew: boolean }) => ({
  singletonKey: entryKey(entry),
  priority: urgencyOf(entry, options),
})

function createLine({
  boss,
  pool,
  wake,
}: {
  boss: PgBoss
  pool: Pool
  wake: (jobIds: Iterable<string>) => void
}): Line {
  return {
    /** An entry that a worker took without claiming its job, be it that it died just then, counts as missing. */
    async findMissing(entries) {
      if (entries.length === 0) return []
      const { rows } = await pool.query<{ key: string }>({
        name: 'find-entries',
        text: `SELECT singleton_key AS key FROM pgboss.job
               WHERE name = '${QUEUE}' AND singleton_key = ANY ($1) AND state < 'active'`,
        values: [entries.map(entryKey)],
      })
      const known = new Set(rows.map(({ key }) => key))
      return entries.filter((entry) => !known.has(entryKey(entry)))
    },
    /** One by one: those of one statement would have the same time, which is what their order is decided by. */
    async put(entries, options) {
      for (const entry of entries) await boss.send(QUEUE, toData(entry), toOptions(entry, options))
      if (entries.length > 0) wake(entries.map(({ jobId }) => jobId))
    },
  }
}
