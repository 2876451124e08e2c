import type { JobState, JobStats, paths } from '@pebbles/client'

export type { JobStats }
export type JobStatus = JobState['status']

/** A refused row: every reason for it, and its cells as they stood in the file. */
export type JobError =
  paths['/api/jobs/{id}']['get']['responses'][200]['content']['application/json']['errors'][number]

/** What newer services tell of a job as well. */
interface JobExtras {
  dataset: string
  /** The job whose refused rows this one corrects. */
  parentId: string | null
  sizeBytes: number
  /** Of `failedCount`: rows that were there already. */
  duplicateCount: number
  /** Of `successCount`: rows that came back corrected. */
  correctedCount: number
}

export type Job = JobState & Partial<JobExtras>
export type JobWithErrors = Job & { errors: JobError[] }

/** What a list of jobs knows: the newest ones, and where the service goes on. */
export interface JobList {
  jobs: readonly Job[]
  /** Cursor behind the last one; null when there are no more. */
  next: string | null
}

export interface Dataset {
  name: string
  columns: readonly Column[]
}

export interface Column {
  name: string
  type?: string
  required?: boolean
  /** What an enum allows. */
  values?: readonly string[]
}

/** The dataset that every service has. */
export const CUSTOMERS: Dataset = {
  name: 'customers',
  columns: [
    { name: 'name', type: 'text', required: true },
    { name: 'email', type: 'email', required: true },
    { name: 'phone', type: 'text', required: false },
    { name: 'company', type: 'text', required: true },
  ],
}

/** A closed minute, as the service tells it: only those that have page views. */
export interface WindowCount {
  /** UTC, as in `2021-01-26T14:44:00`. */
  window_start: string
  pageview_count: number
}

export interface TopPostcode {
  postcode: string
  pageview_count: number
}

export const isActive = ({ status }: { status: JobStatus }): boolean =>
  status === 'pending' || status === 'processing'
