import type { ClientBase } from 'pg'
import type { ClaimedJob } from './job.ts'

/** Works on one job until it has ended or `signal` asks to stop; never throws for what a job can meet. */
export type JobHandler = (job: ClaimedJob, signal: AbortSignal) => Promise<void>

/**
 * Brings jobs to workers, first come, first served. It may bring a job twice or late: who may work on it is decided
 * by the claim on the job's row (`claim-postgres.ts`), whose attempt number fences off everybody else. So a queue
 * needs no promises of its own beyond not losing what was committed.
 */
export interface JobQueue extends AsyncDisposable {
  /** Puts a job in line, in the transaction that makes the job. */
  enqueue(tx: ClientBase, jobId: string): Promise<void>
  /** After that transaction: wakes a worker that has nothing to do. A hint, which may be lost. */
  wake(jobId: string): void
  /** Runs `handle` for one job after the other, `concurrency` at a time; disposing it asks all to stop and waits. */
  consume(options: { concurrency: number; handle: JobHandler }): Promise<AsyncDisposable>
}
