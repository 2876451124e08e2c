import { setTimeout as delay } from 'node:timers/promises'

/**
 * Waits before the next try: any time up to `stepMs`, twice that after the next failure, and so on up to `maxMs`. By
 * chance, or those who met each other would meet again.
 *
 * @throws AbortError when the signal is aborted
 */
export async function backOff(
  failures: number,
  { stepMs, maxMs, signal }: { stepMs: number; maxMs: number; signal?: AbortSignal },
): Promise<void> {
  await delay(Math.random() * Math.min(maxMs, stepMs * 2 ** failures), undefined, signal && { signal })
}

/** Waits until a promise has settled, whichever way, but no longer than `ms`. */
export async function settleWithin(ms: number, promise: Promise<unknown>): Promise<void> {
  const { promise: timeIsUp, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  await Promise.race([promise.catch(() => {}), timeIsUp])
  clearTimeout(timer)
}

/** Lets so many pieces of work run at the same time; the others wait, first come, first served. */
export function createLanes(lanes: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = []
  let free = lanes
  return async (work) => {
    if (free > 0) free--
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else free++
    }
  }
}
