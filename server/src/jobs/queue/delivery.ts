import { setTimeout as delay } from 'node:timers/promises'
import type { Pool } from 'pg'
import { claimJob } from '../import/claim-postgres.ts'
import type { Entry } from './line.ts'
import type { JobHandler } from './queue.ts'

const RETRY_MS = 1_000

/**
 * What a queue does with each entry that it brings to a worker: the job is claimed and worked on, or there is nothing
 * to do. Never throws, so no queue's own handling of failures comes into it.
 */
export type Deliver = (entry: Pick<Entry, 'jobId' | 'attempt'>) => Promise<void>

export function createDelivery(options: {
  pool: Pool
  handle: JobHandler
  /** Aborted when this process stops. */
  signal: AbortSignal
  /** Called for a job that was given back because this process stops. */
  onGivenBack: (jobId: string) => Promise<void>
  log: (message: string, error: Error) => void
}): Deliver {
  const { pool, handle, signal, onGivenBack, log } = options
  return async (entry) => {
    const job = await claimPersistently(entry)
    if (!job) return
    try {
      await handle(job, signal)
      if (signal.aborted) await onGivenBack(job.id)
    } catch (error) {
      log('a job was left behind; it is taken up again when its lease has run out', error as Error)
    }
  }

  /** While the database is away the worker waits here: otherwise it would use up one entry after the other. */
  async function claimPersistently(entry: Pick<Entry, 'jobId' | 'attempt'>) {
    while (!signal.aborted) {
      try {
        return await claimJob(pool, entry)
      } catch (error) {
        log('a job could not be claimed; tried again', error as Error)
        await delay(RETRY_MS, undefined, { signal }).catch(() => {})
      }
    }
    return undefined
  }
}
