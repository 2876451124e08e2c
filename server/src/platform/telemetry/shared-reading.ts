/** After a failure it is tried again so soon. */
const RETRY_MS = 1_000
/** Nobody who asks waits longer; he goes without. */
const PATIENCE_MS = 1_000
/** However slow the reading: it fills no more than a twentieth of the time. */
const PAUSE_FACTOR = 20

/**
 * A reading that many ask for, such as scrapes and probes, and that costs something: however many ask, and however
 * often, it is made once in `pauseMs`, or in `retryMs` after it failed.
 *
 * @returns gives the newest value, or `undefined` when that cannot be had within a second; never rejects
 */
export function createSharedReading<T>(
  read: () => Promise<T>,
  { pauseMs = 5_000, retryMs = RETRY_MS } = {},
): () => Promise<T | undefined> {
  let newest: Promise<T | undefined> = Promise.resolve(undefined)
  let nextAt = 0

  function newestOf(): Promise<T | undefined> {
    const start = Date.now()
    if (start < nextAt) return newest
    nextAt = Number.POSITIVE_INFINITY
    newest = read().then(
      (found) => {
        nextAt = Date.now() + Math.max(pauseMs, PAUSE_FACTOR * (Date.now() - start))
        return found
      },
      () => {
        nextAt = Date.now() + retryMs
        return undefined
      },
    )
    return newest
  }

  return () => inTime(newestOf(), PATIENCE_MS)
}

async function inTime<T>(work: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
