import { setTimeout as delay } from 'node:timers/promises'
import type { Pool } from 'pg'
import { findWaiting, type Line, listWaiting, type Place } from './line.ts'

/** With a lease of six seconds: a dead worker is replaced within eight. */
const LOOK_EVERY_MS = 1_000
/** Only the head of the line decides what comes next; behind it nothing is looked at while the head is complete. */
const HEAD = 100
/**
 * A new job that is younger is on its way into the queue. Brought there by a look that came in between, it would count
 * as one that was in line before, and go before others that are older.
 */
const MIN_AGE_MS = 2_000

export interface Recoverer extends AsyncDisposable {
  /** Puts these in line at once, as far as they wait and are not there. */
  bring(jobIds: readonly string[], options: { isNew: boolean }): Promise<void>
}

/**
 * Keeps a queue complete: every second it puts the waiting jobs back in line that the queue does not know. A job comes
 * to wait without the queue's doing when its worker died (the lease ran out), when it was given back for a while and
 * that has passed, and when the queue lost it. This one look at the jobs table takes the place of every queue's own
 * handling of dead workers, delays and failures, which all differ; and it is what makes a queue that forgets safe.
 */
export function createRecoverer(options: {
  pool: Pool
  line: Line
  log: (message: string, error: Error) => void
}): Recoverer {
  const { pool, line, log } = options
  const stopping = new AbortController()
  const running = run()

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await restore().catch((error) => log('the queue could not be compared with the jobs', error))
      await delay(LOOK_EVERY_MS, undefined, { signal: stopping.signal }).catch(() => {})
    }
  }

  /** Goes on behind the head for as long as all of it was missing, as after a queue lost everything. */
  async function restore(): Promise<void> {
    for (let after: Place | undefined; !stopping.signal.aborted; ) {
      const waiting = await listWaiting(pool, { after, limit: HEAD, minAgeMs: MIN_AGE_MS })
      const missing = await line.findMissing(waiting)
      await line.put(missing, { isNew: false })
      if (waiting.length < HEAD || missing.length === 0) return
      after = waiting.at(-1)
    }
  }

  return {
    async bring(jobIds, { isNew }) {
      await line.put(await line.findMissing(await findWaiting(pool, jobIds)), { isNew })
    },
    async [Symbol.asyncDispose]() {
      stopping.abort()
      await running
    },
  }
}
