import type { Database } from '../platform/postgres/database.ts'
import { createNotifier, listenForChanges } from '../platform/postgres/notifications.ts'
import { claimNextJob } from './claim-postgres.ts'
import type { JobHandler, JobQueue } from './queue.ts'

const QUEUE_CHANNEL = 'pebbles_job_queue'
const WAKE_MS = 10
/** Wake-ups can be lost, and leases run out without one. */
const POLL_MS = 1_000

/** The queue that needs nothing but the jobs table: a job's row is its entry, and its claim the taking from the line. */
export function createPostgresQueue(options: {
  database: Pick<Database, 'pool' | 'url'>
  log: (message: string, error: Error) => void
}): JobQueue {
  const { database, log } = options
  const { pool, url } = database
  const notifier = createNotifier({ pool, channel: QUEUE_CHANNEL, intervalMs: WAKE_MS, log })

  async function consume({ concurrency, handle }: { concurrency: number; handle: JobHandler }) {
    await using opened = new AsyncDisposableStack()
    const stopping = new AbortController()
    const bell = createBell()
    opened.use(
      await listenForChanges({
        url,
        channels: { [QUEUE_CHANNEL]: bell.ring },
        onReconnect: bell.ring,
        log,
      }),
    )
    const lines = Array.from({ length: concurrency }, () => work(handle, bell, stopping.signal))
    opened.defer(async () => {
      stopping.abort()
      bell.ring()
      await Promise.all(lines)
    })
    const owned = opened.move()
    return { [Symbol.asyncDispose]: () => owned.disposeAsync() }
  }

  async function work(handle: JobHandler, bell: Bell, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      // Asked for before the look, so that a ring during it is not missed.
      const rung = bell.next()
      try {
        const job = await claimNextJob(pool)
        if (job) await handle(job, signal)
        else await waitFor(rung, POLL_MS)
      } catch (error) {
        log('no job could be taken from the queue', error as Error)
        await waitFor(rung, POLL_MS)
      }
    }
  }

  return {
    // The row that the same transaction inserts is the entry.
    enqueue: async () => {},
    wake: (jobId) => notifier.notify([jobId]),
    consume,
    [Symbol.asyncDispose]: () => notifier[Symbol.asyncDispose](),
  }
}

interface Bell {
  ring(): void
  /** Resolves at the next ring. */
  next(): Promise<void>
}

function createBell(): Bell {
  let { promise, resolve } = Promise.withResolvers<void>()
  return {
    ring() {
      resolve()
      ;({ promise, resolve } = Promise.withResolvers<void>())
    },
    next: () => promise,
  }
}

async function waitFor(event: Promise<void>, atMostMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, atMostMs)
  })
  await Promise.race([event, timeout])
  clearTimeout(timer)
}
