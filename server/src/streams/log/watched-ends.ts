import { setTimeout as delay } from 'node:timers/promises'

export interface WatchedEnds {
  /** Waits until there is something in a partition from a position on, or the time is over. */
  wait(partition: number, from: number, options: { waitMs: number; signal: AbortSignal }): Promise<void>
  stop(): void
}

/**
 * Wakes readers that wait for news, with one question for all of them. Asking is cheap, and what they do takes its time:
 * nothing has to be announced.
 *
 * @param readEnds the position behind the last one, per partition
 */
export function watchEnds(readEnds: () => Promise<number[]>, everyMs: number): WatchedEnds {
  const waiting = new Set<{ partition: number; from: number; wake: () => void }>()
  let isLooking = false

  async function look(): Promise<void> {
    if (waiting.size === 0 || isLooking) return
    isLooking = true
    // A failure is met by the readers themselves when they read next.
    const ends = await readEnds().catch(() => [])
    isLooking = false
    for (const { partition, from, wake } of waiting) if ((ends[partition] ?? 0) > from) wake()
  }

  const timer = setInterval(() => void look(), everyMs)
  return {
    async wait(partition, from, { waitMs, signal }) {
      const woken = new AbortController()
      const waiter = { partition, from, wake: () => woken.abort() }
      waiting.add(waiter)
      await delay(waitMs, undefined, { signal: AbortSignal.any([signal, woken.signal]) }).catch(() => {})
      waiting.delete(waiter)
    },
    stop: () => clearInterval(timer),
  }
}
