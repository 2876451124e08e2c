import type { ClientBase } from 'pg'
import type { ClaimedJob } from '../job.ts'

/** Works on one job until it has ended or `signal` asks to stop; never throws for what a job can meet. */
export type JobHandler = (job: ClaimedJob, signal: AbortSignal) => Promise<void>

/**
 * Brings jobs to workers, first come, first served. What it carries are entries (`line.ts`), which say that a job is to
 * be begun for the nth time. It may bring an entry late, twice, or when there is nothing to do any more: who may work
 * on a job is decided by the claim on the job's row, which an entry fits only once. It may even lose what it was given:
 * PostgreSQL knows which jobs wait, and `recoverer.ts` puts back in line whatever the queue does not know.
 */
export interface JobQueue extends AsyncDisposable {
  /** Puts a job in line, in the transaction that makes it `pending`: a new one, or one that somebody wants again. */
  enqueue(tx: ClientBase, jobId: string): Promise<void>
  /** After that transaction: tells the workers, so that an idle one begins at once. A hint, which may be lost. */
  wake(jobId: string): void
  /** Runs `handle` for one job after the other, `concurrency` at a time; disposing it asks all to stop and waits. */
  consume(options: { concurrency: number; handle: JobHandler }): Promise<AsyncDisposable>
  /** Whether Redis answers; undefined where the queue is in the database itself. Never throws. */
  redisAnswers(): Promise<boolean | undefined>
}
