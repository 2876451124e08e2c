/**
 * Tells the workers of this process that something happened to a job, so that one which holds it looks at its lease at
 * once, not only at the next renewal. A hint: it may be lost, or come for nothing.
 */
export interface LeaseHints {
  /** Jobs that somebody has stopped. */
  tell(jobIds: Iterable<string>): void
  /** Anything may have happened: after the listening connection was lost. */
  tellAll(): void
  /** Calls `look` for each hint about a job, until it is disposed. */
  listen(jobId: string, look: () => void): Disposable
}

export function createLeaseHints(): LeaseHints {
  const listeners = new Map<string, Set<() => void>>()
  return {
    tell(jobIds) {
      for (const id of jobIds) for (const look of listeners.get(id) ?? []) look()
    },
    tellAll() {
      for (const set of listeners.values()) for (const look of set) look()
    },
    listen(jobId, look) {
      const set = listeners.get(jobId) ?? new Set()
      listeners.set(jobId, set.add(look))
      return {
        [Symbol.dispose]() {
          set.delete(look)
          if (set.size === 0) listeners.delete(jobId)
        },
      }
    },
  }
}
