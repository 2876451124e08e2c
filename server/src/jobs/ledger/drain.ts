import { setTimeout as delay } from 'node:timers/promises'
import type { Pool } from 'pg'
import { inTransaction } from '../../platform/postgres/database.ts'
import { announcementOf } from '../../progress/live/announcement.ts'
import type { Issue } from '../../progress/record.ts'
import type { LoggedUpdate, Outcome, ProgressEvent, RecordStore } from '../../progress/store.ts'
import { giveUpRecord, listOpen, markSent, type OpenRecord } from './outbox-postgres.ts'

const LOOK_EVERY_MS = 250
const AFTER_FAULT_MS = 1_000
const MAX_RECORDS = 50
/** Of one record at a time; fewer when they bring many errors. */
const MAX_EVENTS = 50
const MAX_ERRORS = 20_000

export interface DrainOptions {
  pool: Pool
  /** What the importer wrote. */
  books: Pick<RecordStore, 'events' | 'issues'>
  /** Applies updates of one record by their numbers, each once: what was applied of them before is undefined. */
  applyNumbered: (updates: readonly LoggedUpdate[]) => Promise<(Outcome | undefined)[]>
  announce: (changed: string[]) => void
  log: (message: string, error: Error) => void
}

/**
 * Copies the ledger records of imports to where the records are, event by event in the order of their sequence.
 *
 * The importer commits its counts together with its rows, in PostgreSQL; what moved is noted there in the same
 * transaction. An event's number is its sequence, and the record itself remembers which number it has come to: so any
 * number of processes may copy, stop anywhere and begin again. While MongoDB is away imports go on, and this waits.
 *
 * Where somebody else has the name, or closed the record, the copy is refused. Then the job takes a new name.
 */
export function startDrain({ pool, books, applyNumbered, announce, log }: DrainOptions): AsyncDisposable {
  const stopping = new AbortController()
  const running = run()

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      let pauseMs = LOOK_EVERY_MS
      try {
        const open = await listOpen(pool, MAX_RECORDS)
        for (const record of open) if (!stopping.signal.aborted) await copy(record)
        if (open.length > 0) pauseMs = 0
      } catch (error) {
        log('the ledger of imports could not be copied; tried again', error as Error)
        pauseMs = AFTER_FAULT_MS
      }
      await delay(pauseMs, undefined, { signal: stopping.signal }).catch(() => {})
    }
  }

  async function copy(record: OpenRecord): Promise<void> {
    const { recordId, clientKrn } = record
    // The first one alone: where it is refused, what comes after it must not be added to somebody else's record.
    const limit = record.sent === 0 ? 1 : MAX_EVENTS
    const events = cut(await books.events(recordId, { limit, after: record.sent }))
    if (events.length === 0) return
    const { updates, sentErrors } = await toUpdates(record, events)
    const outcomes = await applyNumbered(updates)
    if (outcomes.some((outcome) => outcome && !('totals' in outcome))) {
      await inTransaction(pool, (tx) => giveUpRecord(tx, record))
    } else {
      await markSent(pool, recordId, events.at(-1)!.sequence, sentErrors)
    }
    announce([announcementOf(clientKrn, recordId)])
  }

  async function toUpdates(record: OpenRecord, events: readonly ProgressEvent[]) {
    const { recordId, clientKrn, filename, email } = record
    const total = events.reduce((sum, event) => sum + event.errors, 0)
    const window = {
      recordId,
      kind: 'errors',
      after: record.sentErrors,
      upTo: record.sentErrors + total,
    } as const
    const [found] = total > 0 ? await books.issues([window]) : [[]]
    const issues = found!.map(({ line, message }): Issue => ({ line, message }))
    const updates = events.map((event): LoggedUpdate => {
      const errors = issues.splice(0, event.errors)
      const { sequence: offset, counts, isLast } = event
      const channel = event.channel === 'correction' ? 'correction' : 'import'
      const update = { recordId, clientKrn, filename, email, channel, counts, isLast, errors } as const
      return { ...update, warnings: [], total: event.total ?? undefined, isFirst: offset === 1, offset }
    })
    return { updates, sentErrors: record.sentErrors + total }
  }

  return {
    async [Symbol.asyncDispose]() {
      stopping.abort()
      await running
    },
  }
}

/** As many events as bring a bounded number of errors; at least one. */
function cut(events: ProgressEvent[]): ProgressEvent[] {
  let errors = 0
  const end = events.findIndex((event) => {
    errors += event.errors
    return errors > MAX_ERRORS
  })
  return end === -1 ? events : events.slice(0, Math.max(1, end))
}
