import type { Pool } from 'pg'
import { type Hold, RENEW_MS, renewLease } from './claim-postgres.ts'

export interface Lease extends Disposable {
  /** Aborted when another worker has the job by now, or when `stop` was. */
  signal: AbortSignal
  isLost(): boolean
}

/**
 * Renews a lease while a worker has it. A renewal that cannot be made is tried again: should the lease run out
 * meanwhile and somebody else take the job, then the next commit finds out, whatever is known here.
 */
export function keepLease(
  pool: Pool,
  hold: Hold,
  { stop, log }: { stop: AbortSignal; log: (message: string, error: Error) => void },
): Lease {
  const lost = new AbortController()
  let isRenewing = false
  const timer = setInterval(() => void renew(), RENEW_MS)

  async function renew(): Promise<void> {
    if (isRenewing) return
    isRenewing = true
    try {
      if (!(await renewLease(pool, hold))) lost.abort()
    } catch (error) {
      log('the lease of a job could not be renewed', error as Error)
    } finally {
      isRenewing = false
    }
  }

  return {
    signal: AbortSignal.any([lost.signal, stop]),
    isLost: () => lost.signal.aborted,
    [Symbol.dispose]: () => clearInterval(timer),
  }
}
