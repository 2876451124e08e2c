/**
 * Brings a queue of updates to the service, one at a time and in order, until each is confirmed.
 *
 * An update that fails for a while stays where it is, with its key, and is tried again: what gives up is the call
 * that waits for it. A refusal is final, because nothing behind it could succeed either.
 */
import { isRetryable } from './errors.ts'
import { retryDelayMs, sleep, unref } from './retry.ts'
import type { PendingUpdate, UpdateQueue } from './update-queue.ts'
import { createWaiters } from './waiters.ts'

/** The service remembers keys for 24 hours; a later attempt could count a second time. */
const MAX_ATTEMPTS_MS = 20 * 3_600_000

export interface DeliveryOptions {
  queue: UpdateQueue
  /** Sends one update and resolves when it is confirmed. */
  send: (update: PendingUpdate, signal: AbortSignal) => Promise<void>
  intervalMs: number
  /** Hears of every confirmed update. */
  onConfirmed: () => void
  /** Hears of every failed attempt. */
  onError: (error: Error, context: { willRetry: boolean }) => void
}

export interface Delivery {
  /** Something was added: it goes out within the interval, or at once when more than one update waits. */
  schedule(): void
  /** Resolves once `isMet`, which is looked at after each confirmed update. Sends without pause meanwhile. */
  waitUntil(isMet: () => boolean, timeoutMs?: number): Promise<void>
  /** Resolves when all that is in the queue now was confirmed. */
  settled(timeoutMs: number): Promise<void>
  /** Ends all attempts; whoever waits, or will wait, gets the error. */
  fail(error: Error): void
  readonly failure: Error | undefined
}

export function createDelivery({ queue, send, intervalMs, onConfirmed, onError }: DeliveryOptions): Delivery {
  const stop = new AbortController()
  const waiters = createWaiters()
  let timer: ReturnType<typeof setTimeout> | undefined
  let isSending = false
  let failure: Error | undefined
  let lastError: Error | undefined
  /** Updates that were confirmed, which is the number of the newest of them. */
  let confirmed = 0

  /** Whether the next update goes now instead of collecting for another interval. */
  const isPressing = () => queue.size > 1 || waiters.size > 0

  function schedule(): void {
    if (isSending || failure || queue.size === 0) return
    if (isPressing()) return void sendAll()
    if (timer !== undefined) return
    timer = setTimeout(() => void sendAll(), intervalMs)
    unref(timer)
  }

  async function sendAll(): Promise<void> {
    isSending = true
    clearTimeout(timer)
    timer = undefined
    try {
      for (let next = queue.head(); next; next = isPressing() ? queue.head() : undefined) {
        await deliver(next)
        queue.removeHead()
        confirmed++
        onConfirmed()
        waiters.check()
      }
    } catch (error) {
      fail(error as Error)
    }
    isSending = false
    schedule()
  }

  /** @throws the refusal, or why it was ended */
  async function deliver(update: PendingUpdate): Promise<void> {
    const startedAt = Date.now()
    for (let failures = 1; ; failures++) {
      try {
        return await send(update, stop.signal)
      } catch (error) {
        if (stop.signal.aborted || !isRetryable(error) || Date.now() - startedAt > MAX_ATTEMPTS_MS)
          throw error
        lastError = error
        tell(error, true)
        await sleep(retryDelayMs(failures, error), stop.signal)
      }
    }
  }

  function fail(error: Error): void {
    if (failure) return
    failure = error
    queue.clear()
    clearTimeout(timer)
    stop.abort(error)
    waiters.rejectAll(error)
    tell(error, false)
  }

  /** In a task of its own: what a listener throws is the listener's, and must not stop the delivery. */
  const tell = (error: Error, willRetry: boolean) => queueMicrotask(() => onError(error, { willRetry }))

  async function waitUntil(isMet: () => boolean, timeoutMs?: number): Promise<void> {
    if (failure) throw failure
    if (isMet()) return
    const met = waiters.add(isMet, timeoutMs, () => lastError)
    schedule()
    await met
  }

  return {
    schedule,
    waitUntil,
    settled(timeoutMs) {
      const last = queue.lastNumber
      return waitUntil(() => confirmed >= last, timeoutMs)
    },
    fail,
    get failure() {
      return failure
    },
  }
}
