import { setTimeout as delay } from 'node:timers/promises'
import type { Heads, Place, PublicationKind } from './publications-postgres.ts'

const LOOK_MS = 500
/** Whoever waits for longer lets go of its connections. */
const IDLE_MS = 5 * 60_000

export interface NewsOptions {
  signal: AbortSignal
  /** There is nothing yet. */
  onNone: () => void
}

export interface PublicationNews extends Disposable {
  /** Looks at once. */
  look(): Promise<void>
  /** Waits until there is something behind a place; false when there was nothing for long, or it is to stop. */
  wait(kind: PublicationKind, partition: number, place: Place, options: NewsOptions): Promise<boolean>
  /** As it was when somebody last looked. */
  readonly heads: Heads | undefined
}

/** Looks for all who wait for something to publish, with one query. */
export function watchPublicationNews(readHeads: () => Promise<Heads>): PublicationNews {
  const waiting = new Set<{ hasNews: (heads: Heads) => boolean; wake: () => void; onNone: () => void }>()
  let heads: Heads | undefined
  let isLooking = false

  async function look(): Promise<void> {
    if (isLooking) return
    isLooking = true
    // A failure is met by whoever reads next.
    const read = await readHeads().catch(() => undefined)
    isLooking = false
    if (read === undefined) return
    heads = read
    for (const { hasNews, wake, onNone } of waiting) (hasNews(read) ? wake : onNone)()
  }

  const timer = setInterval(() => void look(), LOOK_MS)
  return {
    look,
    async wait(kind, partition, { sequence, key }, { signal, onNone }) {
      const woken = new AbortController()
      const waiter = {
        // Of a window of which a part was published there may be more.
        hasNews: (heads: Heads) => heads[kind][partition]! > (key === undefined ? sequence : sequence - 1),
        wake: () => woken.abort(),
        onNone,
      }
      waiting.add(waiter)
      void look()
      await delay(IDLE_MS, undefined, { signal: AbortSignal.any([signal, woken.signal]) }).catch(() => {})
      waiting.delete(waiter)
      return woken.signal.aborted && !signal.aborted
    },
    get heads() {
      return heads
    },
    [Symbol.dispose]: () => clearInterval(timer),
  }
}
