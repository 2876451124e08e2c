import { MAX_BATCH, type QueueMessage, type SqsQueue } from './queue.ts'

/** Messages are held without being asked for so long that a tenth of the time-out passes; and at least so often. */
const MIN_TICK_MS = 200
const MAX_TICK_MS = 5_000

/** A message in hand. */
export interface HeldMessage extends QueueMessage {
  readonly sizeBytes: number
  readonly heldSinceMs: number
  /** Until then nobody else receives it, as far as we know. */
  hiddenUntilMs: number
}

export interface Hold {
  /** How long a message stays hidden: the queue's visibility time-out. */
  visibilityMs: number
  readonly messages: number
  readonly bytes: number
  /** Takes messages in hand that were received no earlier than `sinceMs`. */
  add(messages: readonly QueueMessage[], sinceMs: number): HeldMessage[]
  /** Its time-out is not extended any more. It is in hand until it is dropped. */
  letGo(message: HeldMessage): void
  drop(message: HeldMessage): void
  /** All in hand. */
  all(): HeldMessage[]
  stop(): void
}

/**
 * The messages in hand. Those that wait for longer than half of the visibility time-out have it extended, so that
 * nobody else receives them meanwhile: while the database is away, that may go on for long.
 */
export function createHold(options: {
  queue: SqsQueue
  signal: AbortSignal
  onError: (error: unknown) => void
}): Hold {
  const { queue, signal, onError } = options
  const held = new Set<HeldMessage>()
  /** When the time-out of each is to be extended. */
  const dueMs = new Map<HeldMessage, number>()
  let bytes = 0
  let timer: NodeJS.Timeout | undefined

  const hold: Hold = {
    visibilityMs: 30_000,
    get messages() {
      return held.size
    },
    get bytes() {
      return bytes
    },
    add(messages, sinceMs) {
      const added = messages.map((message) => ({
        ...message,
        sizeBytes: 1_000 + 2 * message.body.length,
        heldSinceMs: sinceMs,
        hiddenUntilMs: sinceMs + hold.visibilityMs,
      }))
      for (const message of added) {
        held.add(message)
        dueMs.set(message, sinceMs + hold.visibilityMs / 2)
        bytes += message.sizeBytes
      }
      schedule()
      return added
    },
    letGo: (message) => void dueMs.delete(message),
    drop(message) {
      dueMs.delete(message)
      if (held.delete(message)) bytes -= message.sizeBytes
    },
    all: () => [...held],
    stop: () => clearTimeout(timer),
  }

  function schedule(): void {
    if (timer || dueMs.size === 0 || signal.aborted) return
    const tickMs = Math.max(MIN_TICK_MS, Math.min(MAX_TICK_MS, hold.visibilityMs / 10))
    timer = setTimeout(() => {
      timer = undefined
      extendDue()
      schedule()
    }, tickMs)
  }

  function extendDue(): void {
    const now = Date.now()
    const due = [...dueMs].filter(([, at]) => at <= now).map(([message]) => message)
    for (let start = 0; start < due.length; start += MAX_BATCH)
      void extend(due.slice(start, start + MAX_BATCH))
  }

  async function extend(messages: HeldMessage[]): Promise<void> {
    const now = Date.now()
    const { visibilityMs } = hold
    for (const message of messages) dueMs.set(message, now + visibilityMs / 2)
    const seconds = Math.max(1, Math.round(visibilityMs / 1_000))
    try {
      await queue.setVisibility(
        messages.map(({ handle }) => handle),
        seconds,
        signal,
      )
      for (const message of messages) message.hiddenUntilMs = now + seconds * 1_000
    } catch (error) {
      // The next tick tries again, until they have come back to the queue by themselves.
      for (const message of messages) if (dueMs.has(message)) dueMs.set(message, now)
      if (!signal.aborted) onError(error)
    }
  }

  return hold
}
