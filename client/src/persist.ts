import { isRetryable, PebblesTimeoutError } from './errors.ts'
import { retryDelayMs, sleep } from './retry.ts'

export interface Persistence {
  /** Longest that is tried before it rejects. Default: 120,000. */
  timeoutMs?: number | undefined
  /** Ends the attempts. */
  signal?: AbortSignal | undefined
}

/**
 * Makes a function that runs attempts until one succeeds; all that it is given share one time.
 *
 * @throws PebblesTimeoutError from what it makes; other errors as they are when another attempt would not help
 */
export function persistUntil({ timeoutMs = 120_000, signal }: Persistence) {
  const untilMs = Date.now() + timeoutMs
  return async <T>(attempt: () => Promise<T>): Promise<T> => {
    for (let failures = 1; ; failures++) {
      try {
        return await attempt()
      } catch (error) {
        if (signal?.aborted || !isRetryable(error)) throw error
        const delayMs = retryDelayMs(failures, error)
        if (Date.now() + delayMs > untilMs)
          throw new PebblesTimeoutError(`Given up after ${timeoutMs} ms.`, { cause: error })
        await sleep(delayMs, signal, { keepsAlive: true })
      }
    }
  }
}
