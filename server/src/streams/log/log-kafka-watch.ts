import type { Log } from '../../platform/log.ts'
import { createRepeats } from '../../platform/repeats.ts'
import type { LogHealth } from './log.ts'

/** What is over sooner is nothing to tell of: a leader that moves, a topic that was just made. */
const BRIEF_MS = 2_000

/** What goes wrong with the topic: told in the log once and not each second, and kept for who asks. */
export interface LogWatch {
  trouble(error: Error): void
  /** The same, when it may be over in a moment. */
  hitch(error: Error): void
  /** The brokers have answered. */
  well(): void
  refused(partition: number, offset: number, reason: string): void
  gone(partition: number, at: number, earliest: number): void
  health(): LogHealth
}

export function createLogWatch(topic: string, log: Log): LogWatch {
  let awaySinceMs: number | undefined
  let lastError: LogHealth['lastError']
  const repeats = createRepeats()
  let isTold = false
  let refusedRecords = 0
  let goneRecords = 0

  function keep(error: Error, briefMs: number): void {
    const now = Date.now()
    const message = describe(error)
    awaySinceMs ??= now
    lastError = { at: new Date(now), message }
    if (now - awaySinceMs < briefMs) return
    // Not at once again when it worked in between, such as for readers only.
    repeats.tell(message, () => {
      log.warn({ err: error, topic }, 'the event log on Kafka does not work; it is tried again')
      isTold = true
    })
  }

  return {
    trouble: (error) => keep(error, 0),
    hitch: (error) => keep(error, BRIEF_MS),
    well() {
      if (awaySinceMs === undefined) return
      awaySinceMs = undefined
      if (isTold) log.info({ topic }, 'the event log on Kafka goes on')
      isTold = false
    },
    refused(partition, offset, reason) {
      refusedRecords++
      repeats.tell('refused', (untold) =>
        log.warn(
          { topic, partition, offset, reason, records: untold + 1 },
          'records of the event log that are no events are passed over',
        ),
      )
    },
    gone(partition, at, earliest) {
      goneRecords += earliest - at
      lastError = {
        at: new Date(),
        message: `Retention took ${earliest - at} events of ${topic}/${partition} unread.`,
      }
      log.error(
        { topic, partition, at, earliest, events: earliest - at },
        'retention took events before they were read',
      )
    },
    health: () => ({ awaySinceMs, lastError, refusedRecords, goneRecords }),
  }
}

/** The innermost error says what it was about. */
function describe(error: Error): string {
  const inner = (error as { errors?: Error[] }).errors?.at(-1) ?? error.cause
  return inner instanceof Error ? describe(inner) : error.message
}
