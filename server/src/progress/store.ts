import type { Channel, Counts, Issue, IssueKind, Refusal, Totals, Update } from './record.ts'

/** What became of one update. `mismatch`: its id was used before, for something else. */
export type Outcome = Applied | Refused

export interface Refused {
  result: Refusal | 'mismatch'
  isReplay: boolean
}

export interface Applied {
  result: 'created' | 'updated'
  recordId: string
  /** The totals that this update left behind, also when the outcome is given again later. */
  totals: Totals
  /** The update had been decided before and was not applied again. */
  isReplay: boolean
}

/** A record as it is read. */
export interface ProgressRecord extends Totals {
  id: string
  clientKrn: string
  filename: string
  email: string
  createdAt: Date
  updatedAt: Date
}

/** Position in a list that is ordered by (updatedAt, id), newest first. */
export interface RecordCursor {
  updatedAtMs: number
  id: string
}

/** Issues with `after < ordinal <= upTo`, ascending. */
export interface IssueWindow {
  recordId: string
  kind: IssueKind
  after: number
  upTo: number
}

export interface NumberedIssue extends Issue {
  ordinal: number
}

/** One applied update, as the audit has it. Who sent it is the record's owner: nobody else's counts. */
export interface ProgressEvent {
  sequence: number
  at: Date
  channel: string
  /** The sender's own id of the update, else its place in the log that it came from, when there was either. */
  updateId: string | null
  /** What it added. */
  counts: Counts
  errors: number
  warnings: number
  /** The record's total after it. */
  total: number | null
  isLast: boolean
  countsAfter: Counts
}

/** An update from a queue or a log that was refused. There its sender hears of it from nobody else. */
export interface RefusedUpdate {
  /** Position among the record's refusals, ascending with time. */
  ordinal: number
  at: Date
  channel: Channel
  updateId: string | null
  /** Who sent it. */
  email: string
  result: Refused['result']
  /** What it would have added. */
  counts: Counts
}

/**
 * One partition of a log, as one group reads it. The cluster and the topic are told by their ids: a topic that was
 * deleted and made again is another one.
 */
export interface LogSource {
  cluster: string
  topicId: string
  partition: number
  group: string
}

/** A stretch of a log: all updates with `from ≤ offset < next`, ascending. Offsets may have gaps. */
export interface LogBatch {
  source: LogSource
  /** The position that the reader began at. */
  from: number
  next: number
  updates: readonly LoggedUpdate[]
}

export type LoggedUpdate = Update & { offset: number }

export interface LogOutcome {
  /** The offset that is to be read next. Not the batch's `next` when others moved it, or it never was at `from`. */
  position: number
  /** One per update; undefined for those that were decided before, or not at all. */
  outcomes: (Outcome | undefined)[]
}

export interface RecordFilter {
  clientKrn: string
  filename?: string | undefined
  email?: string | undefined
}

/**
 * Where records live. Every adapter passes the contract suite in `test/progress/store-contract.ts`.
 *
 * All methods throw PebblesError `unavailable` when the database cannot be reached.
 */
export interface RecordStore {
  /**
   * Applies updates in their order, atomically and each at most once; one outcome per update.
   * Updates of one file that are in flight elsewhere are waited for.
   *
   * @throws PartlyApplied where only each record for itself is atomic, and not all of them could be written
   */
  apply(updates: readonly Update[]): Promise<Outcome[]>
  /**
   * Applies a stretch of a log and moves the position of its source, atomically. What lies below the position was
   * applied before and is passed over; where the position has not come to `from` yet, nothing is applied. So any
   * number of readers may hold the same partition, and any of them read it again.
   */
  applyFrom(batch: LogBatch): Promise<LogOutcome>
  /** The offset that is to be read next; undefined when nothing of this source was ever applied. */
  position(source: LogSource): Promise<number | undefined>
  /** Newest update first. */
  list(
    filter: RecordFilter,
    page: { limit: number; after?: RecordCursor | undefined },
  ): Promise<ProgressRecord[]>
  /** The records with these ids, in no particular order. */
  byIds(ids: string[]): Promise<ProgressRecord[]>
  /** The issues of each window, in the order of the windows. */
  issues(windows: readonly IssueWindow[]): Promise<NumberedIssue[][]>
  /** Audit events with `sequence > after`, ascending. */
  events(recordId: string, page: { limit: number; after: number }): Promise<ProgressEvent[]>
  /** Refused updates of queues and logs with `ordinal > after`, ascending. */
  refusals(recordId: string, page: { limit: number; after: number }): Promise<RefusedUpdate[]>
  /**
   * Remembers what an idempotency key of a request with many updates stands for.
   * Returns false when the key stands for another request already.
   */
  bindKey(key: { id: string; fingerprint: string }): Promise<boolean>
}

/**
 * Some updates of a call were applied and others were not, as can happen where each record is written by itself.
 * What became of each, in their order.
 */
export class PartlyApplied extends Error {
  readonly endings: readonly (Outcome | Error)[]

  constructor(endings: readonly (Outcome | Error)[]) {
    super('not all updates were applied')
    this.endings = endings
  }

  /** One per update; undefined for those that were not applied. */
  get outcomes(): (Outcome | undefined)[] {
    return this.endings.map((ending) => (ending instanceof Error ? undefined : ending))
  }
}
