import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Pool } from 'pg'
import type { Log } from '../../platform/log.ts'
import { leave, takeShare } from './members-postgres.ts'
import { type PartHealth, watchPart } from './part-health.ts'

const SHARE_EVERY_MS = 1_000
/** Pause after a failure, so that a database that is away is not asked without end. */
const PAUSE_MS = 1_000

export interface SharedWork {
  pool: Pool
  /** Processes that name the same group share its parts. */
  group: string
  /** Number of parts; as a rule each is a partition of the log. */
  parts: number
  /**
   * Works on a part until it is told to stop, or finds that another process has gone on with it. It begins from what is
   * committed, and is called again when it returns or throws. After a failure it calls `went` as soon as it has
   * committed all that it has; until then it counts as failing.
   */
  work: (part: number, signal: AbortSignal, went: () => void) => Promise<void>
  logger: Log
}

/** Stops, and waits until all work has ended, when it is disposed of. */
export interface Workers extends AsyncDisposable {
  health(): PartHealth
}

/**
 * Works on this process's share of a group's parts. Whether two processes work on the same part is a matter of speed
 * only: whatever is committed names the version of the checkpoint that it started from.
 */
export function shareWork({ pool, group, parts, work, logger }: SharedWork): Workers {
  const id = randomUUID()
  const watch = watchPart(group, logger)
  const closing = new AbortController()
  const running = new Map<number, { stop: AbortController; ended: Promise<void> }>()
  const sharing = keepShare()

  async function keepShare(): Promise<void> {
    while (!closing.signal.aborted) {
      try {
        share(await takeShare(pool, group, id, parts))
        watch.went('share')
      } catch (err) {
        watch.failed('share', err, 'the share of partitions could not be told; going on with the last one')
      }
      await pause(SHARE_EVERY_MS, closing.signal)
    }
  }

  function share(mine: ReadonlySet<number>): void {
    if (closing.signal.aborted) return
    for (const [part, { stop }] of running) if (!mine.has(part)) stop.abort()
    for (const part of mine) {
      if (running.has(part)) continue
      const stop = new AbortController()
      const signal = AbortSignal.any([stop.signal, closing.signal])
      const ended = keepWorking(part, signal).finally(() => {
        running.delete(part)
        watch.went(part)
      })
      running.set(part, { stop, ended })
    }
  }

  async function keepWorking(part: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await work(part, signal, () => watch.went(part))
      } catch (err) {
        if (signal.aborted) return
        watch.failed(part, err, 'a part could not be read or committed; done again from its checkpoint')
        await pause(PAUSE_MS, signal)
      }
    }
  }

  return {
    health: watch.health,
    async [Symbol.asyncDispose]() {
      closing.abort()
      await sharing
      await Promise.all(Array.from(running.values(), ({ ended }) => ended))
      await leave(pool, group, id).catch((err) =>
        logger.warn({ err, group }, 'the share of partitions could not be given back'),
      )
    },
  }
}

/** Ends early, and without an error, when told to stop. */
export const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  delay(ms, undefined, { signal }).catch(() => {})
