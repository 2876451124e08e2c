/**
 * A job is one uploaded file on its way `pending → processing → completed | failed | cancelled`.
 *
 * Words: an *attempt* is one worker's hold on a job, numbered from 1; the number is the fencing token. A *lease* is
 * how long an attempt holds without being renewed. A *checkpoint* is what is committed of the file.
 */

export const JOB_STATUSES = ['pending', 'processing', 'completed', 'failed', 'cancelled'] as const
export type JobStatus = (typeof JOB_STATUSES)[number]

/**
 * What can happen to a job. `claim`: a worker takes it, also from one whose lease ran out. `advance`: a batch of rows
 * was committed. `release`: a worker gives it back unfinished. `fail`: the file cannot be imported, or not by us.
 * `cancel`: somebody does not want the rest of it. `retry`: somebody wants it to go on from its checkpoint after all.
 */
export const JOB_EVENTS = ['claim', 'advance', 'release', 'complete', 'fail', 'cancel', 'retry'] as const
export type JobEvent = (typeof JOB_EVENTS)[number]

/** The state machine, total: null where an event is refused. A status or an event without its cell does not compile. */
export const TRANSITIONS: Record<JobStatus, Record<JobEvent, JobStatus | null>> = {
  pending: {
    claim: 'processing',
    advance: null,
    release: null,
    complete: null,
    fail: null,
    cancel: 'cancelled',
    retry: null,
  },
  processing: {
    claim: 'processing',
    advance: 'processing',
    release: 'processing',
    complete: 'completed',
    fail: 'failed',
    cancel: 'cancelled',
    retry: null,
  },
  completed: {
    claim: null,
    advance: null,
    release: null,
    complete: null,
    fail: null,
    cancel: null,
    retry: null,
  },
  failed: {
    claim: null,
    advance: null,
    release: null,
    complete: null,
    fail: null,
    cancel: null,
    retry: 'pending',
  },
  cancelled: {
    claim: null,
    advance: null,
    release: null,
    complete: null,
    fail: null,
    cancel: null,
    retry: 'pending',
  },
}

/** The statuses in which an event is accepted, for the WHERE of the statement that makes it happen. */
export function statusesBefore(event: JobEvent): JobStatus[] {
  return JOB_STATUSES.filter((status) => TRANSITIONS[status][event] !== null)
}

/** The status that an event leads to, which is the same wherever it is accepted. */
export function statusAfter(event: JobEvent): JobStatus {
  return JOB_STATUSES.map((status) => TRANSITIONS[status][event]).find((status) => status !== null)!
}

/** Nothing happens to the job any more, unless somebody asks for it. */
export function isEnded(status: JobStatus): boolean {
  return TRANSITIONS[status].claim === null
}

/** Rows of a job. `processedRows` = `successCount` + `failedCount`, and `totalRows` once it is completed. */
export interface JobCounts {
  totalRows: number | null
  processedRows: number
  successCount: number
  failedCount: number
  /** Of `failedCount`: rows that were there already, in the file or in the dataset. */
  duplicateCount: number
  /** Of `successCount`: rows that were refused at first, and came back corrected in a file of their own. */
  correctedCount: number
}

/** How a file is read, found out at its beginning and kept, so that its refused rows can be read the same way. */
export interface Dialect {
  encoding: Encoding
  delimiter: string
  quote: '"' | "'"
  /** The cells of the header. */
  header: readonly string[]
}

export type Encoding = 'utf-8' | 'utf-16le' | 'utf-16be' | 'windows-1252'

export interface Job extends JobCounts {
  id: string
  clientKrn: string
  email: string
  filename: string
  /** Name of its record in the ledger. */
  ledgerFilename: string
  dataset: string
  datasetVersion: number
  /** The job whose refused rows this one corrects. */
  parentId: string | null
  objectName: string
  sizeBytes: number
  /** Of the file, as 64 hexadecimal digits. */
  sha256: string
  dialect: Dialect | null
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

/** A row that was refused: every reason in one message, and the row as it stood in the file, without its line end. */
export interface Reject {
  rowNumber: number
  message: string
  /** In UTF-8, also where the file was not; bytes that are no text are kept. */
  raw: Buffer
  isDuplicate: boolean
}
