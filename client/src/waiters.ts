import { PebblesTimeoutError } from './errors.ts'

/** Longest interval that a timer takes: it only keeps the process alive. */
const FOREVER_MS = 2 ** 31 - 1

/** Calls that wait for something to become true. While there is one, the process stays alive. */
export interface Waiters {
  /**
   * Resolves once `isMet`, which {@link Waiters.check} looks at.
   *
   * @throws PebblesTimeoutError after `timeoutMs`, with the cause that `lastError` tells; without it, waits on
   */
  add(isMet: () => boolean, timeoutMs?: number, lastError?: () => unknown): Promise<void>
  check(): void
  rejectAll(error: Error): void
  readonly size: number
}

interface Waiter {
  isMet: () => boolean
  resolve: () => void
  reject: (error: Error) => void
}

export function createWaiters(): Waiters {
  const waiting = new Set<Waiter>()
  let keepAlive: ReturnType<typeof setInterval> | undefined

  async function add(isMet: () => boolean, timeoutMs?: number, lastError?: () => unknown): Promise<void> {
    const { promise, resolve, reject } = withResolvers()
    const waiter = { isMet, resolve, reject }
    const late = () =>
      reject(new PebblesTimeoutError(`Not confirmed within ${timeoutMs} ms.`, { cause: lastError?.() }))
    const timeout = timeoutMs === undefined ? undefined : setTimeout(late, timeoutMs)
    waiting.add(waiter)
    keepAlive ??= setInterval(() => {}, FOREVER_MS)
    try {
      await promise
    } finally {
      clearTimeout(timeout)
      waiting.delete(waiter)
      if (waiting.size === 0) {
        clearInterval(keepAlive)
        keepAlive = undefined
      }
    }
  }

  return {
    add,
    check() {
      for (const { isMet, resolve } of waiting) if (isMet()) resolve()
    },
    rejectAll(error) {
      for (const { reject } of waiting) reject(error)
    },
    get size() {
      return waiting.size
    },
  }
}

/** `Promise.withResolvers`, which Node 20 has not. */
function withResolvers() {
  let resolve!: () => void
  let reject!: (error: Error) => void
  const promise = new Promise<void>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
