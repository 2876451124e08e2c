import { type FollowOptions, followEvents } from './follow.ts'
import type { paths } from './openapi.ts'

type StreamOf<Path extends keyof paths> = paths[Path] extends {
  get: { responses: { 200: { content: { 'text/event-stream': infer Message } } } }
}
  ? Message
  : never

/** A record's totals, without its errors and warnings. */
export type LiveRecord = StreamOf<'/clients/{clientKrn}/progress/stream'>

/** A job's counts and status. */
export type JobProgress = StreamOf<'/api/jobs/{id}/stream'>

type JobsMessage = StreamOf<'/api/jobs/stream'>

/** A job in the view of all jobs: as in the list, without its refused rows. */
export type JobState = Extract<JobsMessage, { sequence: number }>

/** How many jobs a client has, all together and in each status. */
export type JobStats = Extract<JobsMessage, { total: number }>

/** What happened to the jobs of a client. */
export type JobsEvent =
  /** How things stand: the newest 100 jobs, and the cursor (`?after=`) of those behind them. */
  | { event: 'snapshot'; data: Extract<JobsMessage, { jobs: unknown }> }
  /** A job was created, or has changed: of two states the one with the higher `sequence` is newer. */
  | { event: 'job'; data: JobState }
  | { event: 'deleted'; data: Extract<JobsMessage, { jobId: string }> }
  | { event: 'stats'; data: JobStats }

export interface WatchProgressOptions extends FollowOptions {
  clientKrn: string
  /** Only this file; all files of the client when absent. */
  filename?: string | undefined
}

/**
 * Iterates over the states of a client's records: first as they are, then each change, at most one per record and
 * 300 ms. A state in between may be left out, the last one never; after a lost connection a state may come again.
 * With `filename` it ends when the file is completed; else when `signal` is aborted or the loop is left.
 *
 * @throws PebblesApiError when the service refuses
 */
export async function* watchProgress(options: WatchProgressOptions): AsyncGenerator<LiveRecord, void> {
  const { clientKrn, filename } = options
  const query = filename === undefined ? '' : `?filename=${encodeURIComponent(filename)}`
  const path = `/clients/${encodeURIComponent(clientKrn)}/progress/stream${query}`
  for await (const { event, data } of followEvents(path, options)) {
    // `reset` says that what follows starts anew: each state replaces the one before anyway.
    if (event !== 'message') continue
    const record = JSON.parse(data) as LiveRecord
    yield record
    if (filename !== undefined && record.isCompleted) return
  }
}

export interface WatchJobOptions extends FollowOptions {
  jobId: string
}

/**
 * Iterates over the states of a job, first as it is, at most one in 300 ms, and ends with the job: after the state
 * `completed`, `failed` or `cancelled`.
 *
 * @throws PebblesApiError when the service refuses
 */
export async function* watchJob(options: WatchJobOptions): AsyncGenerator<JobProgress, void> {
  const path = `/api/jobs/${encodeURIComponent(options.jobId)}/stream`
  for await (const { event, data } of followEvents(path, options)) {
    if (event !== 'message') continue
    const job = JSON.parse(data) as JobProgress
    yield job
    if (job.status !== 'pending' && job.status !== 'processing') return
  }
}

/**
 * Iterates over what happens to the jobs of the caller's client: first a snapshot and the counts, then each change, at
 * most one per job and 300 ms. A new snapshot follows every lost connection; it replaces what was known of the jobs in
 * it. Ends when `signal` is aborted or the loop is left.
 *
 * @throws PebblesApiError when the service refuses
 */
export async function* watchJobs(options: FollowOptions): AsyncGenerator<JobsEvent, void> {
  for await (const { event, data } of followEvents('/api/jobs/stream', options)) {
    if (JOBS_EVENTS.has(event)) yield { event, data: JSON.parse(data) } as JobsEvent
  }
}

const JOBS_EVENTS = new Set<string>(['snapshot', 'job', 'deleted', 'stats'] satisfies JobsEvent['event'][])
