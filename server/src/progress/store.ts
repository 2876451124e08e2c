import type { Counts, Issue, IssueKind, Refusal, Totals, Update } from './record.ts'

/** What became of one update. `mismatch`: its id was used before, for something else. */
export type Outcome = Applied | { result: Refusal | 'mismatch'; isReplay: boolean }

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
  /** The sender's own id of the update, when there was one. */
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
   */
  apply(updates: readonly Update[]): Promise<Outcome[]>
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
  /**
   * Remembers what an idempotency key of a request with many updates stands for.
   * Returns false when the key stands for another request already.
   */
  bindKey(key: { id: string; fingerprint: string }): Promise<boolean>
}
