import type { Log } from '../../platform/log.ts'
import type { LogHealth } from '../log/log.ts'

/** What goes on failing is said so often. */
const SAY_EVERY_MS = 60_000

/** How a part of the role `streams` is, in this process. */
export interface PartHealth {
  /** `running`: it reads, or there is nothing to read. `waiting`: something fails, and it tries again by itself. */
  status: 'running' | 'waiting'
  /** Since when it waits. */
  since: Date | undefined
  /** The last thing that went wrong; it may be long over. Not for everybody: it may name addresses. */
  lastError: { at: Date; message: string } | undefined
}

/** Who reads a log that is away waits for it, though nothing of its own has failed. */
export function healthWith(log: LogHealth | undefined, own: PartHealth): PartHealth {
  if (own.status === 'waiting' || log?.awaySinceMs === undefined) return own
  return { status: 'waiting', since: new Date(log.awaySinceMs), lastError: log.lastError }
}

/** What a part of the role `streams` does at several places, such as partitions, each of which fails by itself. */
export interface PartWatch {
  /** Keeps it, and logs it: at once when it is new, then once a minute. */
  failed(place: string | number, error: unknown, message: string): void
  /** All is well at a place, or it is nobody's business here any more. May be called often. */
  went(place: string | number): void
  health(): PartHealth
}

export function watchPart(part: string, log: Log): PartWatch {
  const failing = new Set<string | number>()
  const saidAt = new Map<string, number>()
  let failures = 0
  let since: Date | undefined
  let lastError: PartHealth['lastError']

  return {
    failed(place, err, message) {
      const at = new Date()
      failing.add(place)
      failures++
      since ??= at
      const {
        name,
        code = name,
        message: text,
      } = err instanceof Error ? (err as NodeJS.ErrnoException) : SOMETHING
      lastError = { at, message: text }
      // All partitions fail at once when the database is away, and fail each second.
      if (at.getTime() - (saidAt.get(code) ?? 0) < SAY_EVERY_MS) return
      saidAt.set(code, at.getTime())
      log.warn({ err, part, place, failures, since }, message)
    },
    went(place) {
      if (!failing.delete(place) || failing.size > 0) return
      log.info({ part, failures, since }, 'goes on after failures')
      saidAt.clear()
      failures = 0
      since = undefined
    },
    health: () => ({ status: failing.size > 0 ? 'waiting' : 'running', since, lastError }),
  }
}

const SOMETHING = { name: 'unknown', code: undefined, message: 'something that is no error was thrown' }
