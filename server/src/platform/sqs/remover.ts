import { setTimeout as delay } from 'node:timers/promises'
import type { HeldMessage } from './hold.ts'
import { MAX_BATCH, type SqsQueue } from './queue.ts'

/** Removals gather for so long, as ten of them cost one request. */
const GATHER_MS = 5
const MAX_PAUSE_MS = 2_000

export interface Remover {
  /**
   * Resolves when they are removed, or when that was given up: then they come back, and are found to be done. At most
   * ten; they go in one request, in their order.
   */
  remove(messages: readonly HeldMessage[]): Promise<void>
}

/** Removes messages in batches. Tries again while nobody else can have received them. */
export function createRemover(options: {
  queue: SqsQueue
  signal: AbortSignal
  onError: (error: unknown) => void
}): Remover {
  const { queue, signal, onError } = options
  let gathering: { messages: HeldMessage[]; send: () => void; sent: Promise<void> } | undefined

  function remove(messages: readonly HeldMessage[]): Promise<void> {
    if (gathering && gathering.messages.length + messages.length > MAX_BATCH) gathering.send()
    gathering ??= gather()
    const { sent, send } = gathering
    gathering.messages.push(...messages)
    if (gathering.messages.length === MAX_BATCH) send()
    return sent
  }

  function gather() {
    const messages: HeldMessage[] = []
    const { promise, resolve } = Promise.withResolvers<void>()
    const send = () => {
      clearTimeout(timer)
      gathering = undefined
      resolve(removeNow(messages))
    }
    const timer = setTimeout(send, GATHER_MS)
    return { messages, send, sent: promise }
  }

  async function removeNow(messages: HeldMessage[]): Promise<void> {
    let left = messages
    for (let tries = 1; left.length > 0 && !signal.aborted; tries++) {
      try {
        const failed = new Set(
          await queue.remove(
            left.map(({ handle }) => handle),
            signal,
          ),
        )
        left = left.filter(({ handle }) => failed.has(handle))
      } catch (error) {
        if (!signal.aborted) onError(error)
      }
      const now = Date.now()
      left = left.filter(({ hiddenUntilMs }) => hiddenUntilMs > now)
      if (left.length > 0) await pause(Math.min(MAX_PAUSE_MS, 50 * 2 ** tries), signal)
    }
  }

  return { remove }
}

/** Ends early, and quietly, when the signal is aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => {})
}
