import type { Pool } from 'pg'
import { type Hold, RENEW_MS, renewLease } from './claim-postgres.ts'
import type { LeaseHints } from './lease-hints.ts'

export interface Lease extends Disposable {
  /** Aborted when another worker has the job by now, when it was cancelled, or when `stop` was aborted. */
  signal: AbortSignal
  isLost(): boolean
}

/**
 * Renews a lease while a worker has it. A renewal that cannot be made is tried again: should the lease run out
 * meanwhile and somebody else take the job, then the next commit finds out, whatever is known here. A hint that
 * somebody stopped the job is answered by a renewal at once, which finds out whether that is so.
 */
export function keepLease(
  pool: Pool,
  hold: Hold,
  {
    stop,
    hints,
    log,
  }: { stop: AbortSignal; hints: LeaseHints; log: (message: string, error: Error) => void },
): Lease {
  const lost = new AbortController()
  let isRenewing = false
  let isHinted = false
  const timer = setInterval(() => void renew(), RENEW_MS)
  const hint = hints.listen(hold.id, () => {
    isHinted = true
    void renew()
  })

  async function renew(): Promise<void> {
    if (isRenewing) return
    isRenewing = true
    try {
      do {
        // A hint during a renewal may be about what that one was too early to see.
        isHinted = false
        if (!(await renewLease(pool, hold))) lost.abort()
      } while (isHinted && !lost.signal.aborted)
    } catch (error) {
      log('the lease of a job could not be renewed', error as Error)
    } finally {
      isRenewing = false
    }
  }

  return {
    signal: AbortSignal.any([lost.signal, stop]),
    isLost: () => lost.signal.aborted,
    [Symbol.dispose]() {
      hint[Symbol.dispose]()
      clearInterval(timer)
    },
  }
}
