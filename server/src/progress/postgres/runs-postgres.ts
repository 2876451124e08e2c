/**
 * A *run*: updates of one record that followed each other in one batch, on one channel. They are one row of `events`:
 * a record that is updated a hundred times a second costs a row for each batch, not for each update. The newest
 * update's totals are in the columns, those of the ones before it in `earlier`. So the event with a sequence lies in
 * the row with the smallest sequence that is not below it.
 */
import type { AppliedUpdate } from '../batch.ts'
import type { RecordState } from '../record.ts'
import type { ProgressEvent } from '../store.ts'

/** An update of a run before its newest one: `[done, warn, failed, total, errors_total, warnings_total, update_id]`. */
export type EarlierUpdate = [number, number, number, number | null, number, number, string | null]

/** A row of `events` that is to be written. */
export interface Run {
  newest: AppliedUpdate
  /** Oldest first; null for a single update. */
  earlier: EarlierUpdate[] | null
}

/** So a row stays small, whatever comes in one batch, and a page of the audit does not have to read much more. */
const MAX_EARLIER = 255

/** The runs of a batch, each record's in their order. */
export function runsOf(applied: readonly AppliedUpdate[]): Run[] {
  const runs: Run[] = []
  const open = new Map<string, Run>()
  for (const next of applied) {
    const run = open.get(next.state.id)
    const earlier = run?.earlier ?? []
    if (run && run.newest.update.channel === next.update.channel && earlier.length < MAX_EARLIER) {
      earlier.push(earlierUpdate(run.newest))
      run.earlier = earlier
      run.newest = next
    } else {
      const begun: Run = { newest: next, earlier: null }
      open.set(next.state.id, begun)
      runs.push(begun)
    }
  }
  return runs
}

function earlierUpdate({ update, state }: AppliedUpdate): EarlierUpdate {
  const { counts, total, errorsTotal, warningsTotal } = state
  return [counts.done, counts.warn, counts.failed, total, errorsTotal, warningsTotal, nameOf(update)]
}

/** What the audit calls an update: as its sender did, else by its place in the log that it came from. */
export const nameOf = ({ id, place }: AppliedUpdate['update']): string | null => id?.key ?? place ?? null

/** A row of `events` as it is read. */
export interface EventRow {
  sequence: number
  at: Date
  channel: string
  update_id: string | null
  done: number
  warn: number
  failed: number
  total: number | null
  errors_total: number
  warnings_total: number
  is_completed: boolean
  earlier: EarlierUpdate[] | null
}

/** The totals right after each update of a run, oldest first. */
function stepsOf(row: EventRow): EventRow[] {
  const { earlier, at, channel } = row
  if (earlier === null) return [row]
  const first = row.sequence - earlier.length
  const steps = earlier.map(([done, warn, failed, total, errors_total, warnings_total, update_id], index) => {
    const counts = { done, warn, failed, total, errors_total, warnings_total }
    // An update that completes a record is the last one of it.
    return { sequence: first + index, at, channel, update_id, ...counts, is_completed: false, earlier: null }
  })
  return [...steps, row]
}

/** The events of these rows, which begin with the record's first or with one that is not asked for. */
export function eventsOf(rows: readonly EventRow[]): ProgressEvent[] {
  const steps = rows.flatMap(stepsOf)
  return steps.map((step, index) => toEvent(step, steps[index - 1] ?? NOTHING))
}

const NOTHING = { done: 0, warn: 0, failed: 0, errors_total: 0, warnings_total: 0 }

/** A row holds the totals after its update; what that added is the difference to the one before it. */
function toEvent(row: EventRow, before: typeof NOTHING): ProgressEvent {
  return {
    sequence: row.sequence,
    at: row.at,
    channel: row.channel,
    updateId: row.update_id,
    counts: {
      done: row.done - before.done,
      warn: row.warn - before.warn,
      failed: row.failed - before.failed,
    },
    errors: row.errors_total - before.errors_total,
    warnings: row.warnings_total - before.warnings_total,
    total: row.total,
    isLast: row.is_completed,
    countsAfter: { done: row.done, warn: row.warn, failed: row.failed },
  }
}

/** Totals as they stand in a row of `events`, or in one of its earlier updates. */
export function totalsOf(
  sequence: number,
  row: Omit<EventRow, 'at' | 'channel' | 'update_id' | 'earlier'>,
  earlier: EarlierUpdate | null,
): Omit<RecordState, 'id' | 'email'> {
  const [done, warn, failed, total, errorsTotal, warningsTotal] = earlier ?? [
    row.done,
    row.warn,
    row.failed,
    row.total,
    row.errors_total,
    row.warnings_total,
  ]
  const isCompleted = earlier === null && row.is_completed
  return { counts: { done, warn, failed }, total, isCompleted, errorsTotal, warningsTotal, sequence }
}
