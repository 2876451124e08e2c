import { PebblesApiError } from './errors.ts'

const BASE_MS = 200
const MAX_MS = 10_000

/**
 * Milliseconds to wait before another attempt: exponential backoff with full jitter (anything from zero to the
 * limit, so that many workers do not come back together), and never less than a Retry-After asked for.
 *
 * @param failures attempts that failed so far, 1 or more
 */
export function retryDelayMs(failures: number, error: unknown, random = Math.random): number {
  const backoffMs = random() * Math.min(MAX_MS, BASE_MS * 2 ** (failures - 1))
  const askedMs = error instanceof PebblesApiError ? (error.retryAfterMs ?? 0) : 0
  // Those who were told the same time should not arrive at the same time either.
  return askedMs > 0 ? askedMs + random() * BASE_MS : backoffMs
}

/** Milliseconds of a Retry-After header (RFC 9110 § 10.2.3: seconds or a date), or `undefined`. */
export function parseRetryAfter(header: string | null, now = Date.now()): number | undefined {
  if (header === null) return undefined
  if (/^\d{1,7}$/.test(header)) return Number(header) * 1000
  const at = Date.parse(header)
  return Number.isNaN(at) ? undefined : Math.max(0, at - now)
}

/** Waits, or returns early when the signal is aborted. Alone it keeps a process alive only when told so. */
export function sleep(ms: number, signal?: AbortSignal, { keepsAlive = false } = {}): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const end = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    if (!keepsAlive) unref(timer)
    signal?.addEventListener('abort', end)
  })
}

/** Lets a process end although a timer waits; browsers have no such thing. */
export function unref(timer: unknown): void {
  ;(timer as { unref?: () => void }).unref?.()
}
