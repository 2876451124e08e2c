/**
 * A job is one uploaded file on its way `pending → processing → completed | failed`.
 *
 * Words: an *attempt* is one worker's hold on a job, numbered from 1; the number is the fencing token. A *lease* is
 * how long an attempt holds without being renewed. A *checkpoint* is what is committed of the file.
 */

export const JOB_STATUSES = ['pending', 'processing', 'completed', 'failed'] as const
export type JobStatus = (typeof JOB_STATUSES)[number]

/**
 * What can happen to a job. `claim`: a worker takes it, also from one whose lease ran out. `advance`: a batch of rows
 * was committed. `release`: a worker gives it back unfinished. `fail`: the file cannot be imported, or not by us.
 */
export const JOB_EVENTS = ['claim', 'advance', 'release', 'complete', 'fail'] as const
export type JobEvent = (typeof JOB_EVENTS)[number]

/** The state machine, total: null where an event is refused. A status or an event without its cell does not compile. */
export const TRANSITIONS: Record<JobStatus, Record<JobEvent, JobStatus | null>> = {
  pending: { claim: 'processing', advance: null, release: null, complete: null, fail: null },
  processing: {
    claim: 'processing',
    advance: 'processing',
    release: 'processing',
    complete: 'completed',
    fail: 'failed',
  },
  completed: { claim: null, advance: null, release: null, complete: null, fail: null },
  failed: { claim: null, advance: null, release: null, complete: null, fail: null },
}

/** The statuses in which an event is accepted, for the WHERE of the statement that makes it happen. */
export function statusesBefore(event: JobEvent): JobStatus[] {
  return JOB_STATUSES.filter((status) => TRANSITIONS[status][event] !== null)
}

/** The status that an event leads to, which is the same wherever it is accepted. */
export function statusAfter(event: JobEvent): JobStatus {
  return JOB_STATUSES.map((status) => TRANSITIONS[status][event]).find((status) => status !== null)!
}

/** Nothing happens to the job any more. */
export function isEnded(status: JobStatus): boolean {
  return JOB_EVENTS.every((event) => TRANSITIONS[status][event] === null)
}

/** Rows of a job. `processedRows` = `successCount` + `failedCount`, and `totalRows` once it is completed. */
export interface JobCounts {
  totalRows: number | null
  processedRows: number
  successCount: number
  failedCount: number
}

export interface Job extends JobCounts {
  id: string
  clientKrn: string
  email: string
  filename: string
  /** Name of its record in the ledger. */
  ledgerFilename: string
  objectName: string
  sizeBytes: number
  status: JobStatus
  /** Why it failed, else null. */
  error: string | null
  /** Visible changes so far. */
  sequence: number
  createdAt: Date
  completedAt: Date | null
}

/** How far a file is imported: rows up to `rowNumber`, bytes up to `byteOffset`. */
export interface Checkpoint {
  byteOffset: number
  rowNumber: number
}

/** A job in the hands of one worker. */
export interface ClaimedJob extends Job {
  attempt: number
  /** Attempts since the last committed batch, this one included; those that a stopping process gave back do not count. */
  stalledAttempts: number
  /** How many of them ended by a fault of ours. */
  failures: number
  checkpoint: Checkpoint
}

/** A row that was refused: every reason in one message, and its original cells by column name. */
export interface Reject {
  rowNumber: number
  message: string
  row: Record<string, string>
}
