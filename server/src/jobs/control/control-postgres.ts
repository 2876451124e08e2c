import type { ClientBase, Pool } from 'pg'
import { PebblesError } from '../../platform/errors.ts'
import {
  databaseAway,
  inTransaction,
  isTransient,
  isUnanswered,
  sqlState,
} from '../../platform/postgres/database.ts'
import { backOff } from '../../platform/wait.ts'
import { lockRecords } from '../../progress/postgres/sql-read.ts'
import { recordIdOf } from '../../progress/record.ts'
import { type Job, type JobEvent, type JobStatus, statusAfter, statusesBefore, TRANSITIONS } from '../job.ts'
import { reportToLedger } from '../ledger/ledger-report.ts'
import type { JobQueue } from '../queue/queue.ts'
import { JOB_COLUMNS, toJob } from '../sql-jobs.ts'

/** Which job of which client. */
export interface JobName {
  clientKrn: string
  id: string
}

export interface Cancelled {
  job: Job
  /** Its record in the ledger, which is closed now. */
  recordId: string
}

const CANCELLED = 'The import was cancelled.'

/**
 * Ends a job that has not ended. What is committed of it stays; nothing more will be, since every commit of a worker
 * names the status. Its record in the ledger is closed.
 *
 * The locks are taken in the order of a batch's commit, the record and then the job: so it waits for a batch that is
 * being committed, and the numbers of the job and of its record are those after it.
 *
 * @throws PebblesError `not_found`, `wrong_state` or `unavailable`
 */
export function cancelJob(pool: Pool, name: JobName): Promise<Cancelled> {
  return persistently(pool, async (tx, isInDoubt) => {
    const job = await lockWithRecord(tx, name)
    const recordId = recordIdOf(job.clientKrn, job.ledgerFilename)
    if (isInDoubt && job.status === 'cancelled') return { job, recordId }
    requireState(job.status, 'cancel')
    const errors = [{ line: 0, message: CANCELLED }]
    const report = { done: 0, failed: 0, total: null, isLast: true, errors }
    const closedId = await reportToLedger(tx, job, report)
    const { rows } = await tx.query(
      `UPDATE jobs SET status = $2, lease_until = NULL, completed_at = now(), sequence = sequence + 1
       WHERE id = $1 AND status = ANY ($3) RETURNING ${JOB_COLUMNS}`,
      [job.id, statusAfter('cancel'), statusesBefore('cancel')],
    )
    return { job: toJob(rows[0]), recordId: closedId }
  })
}

/**
 * Puts a failed or cancelled job in line again; it goes on from its checkpoint, with its failures forgotten. A worker
 * that still holds it from before is fenced off: the status is not what its commit names, and soon neither is the
 * attempt. Its closed record in the ledger stays; the next report goes to a new one, with all counts (`reportToLedger`).
 *
 * A job with a correction under way waits for it, and a correction for its parent: that keeps the numbers of a parent
 * at rest while corrections move them.
 *
 * @throws PebblesError `not_found`, `wrong_state` or `unavailable`
 */
export function retryJob(pool: Pool, queue: Pick<JobQueue, 'enqueue'>, name: JobName): Promise<Job> {
  return persistently(pool, async (tx, isInDoubt) => {
    await lockParentOf(tx, name)
    const job = await lockJob(tx, name)
    if (isInDoubt && TRANSITIONS[job.status].retry === null) return job
    requireState(job.status, 'retry')
    await requireNoCorrection(tx, job.id)
    const { rows } = await tx.query(
      `UPDATE jobs SET status = $2, lease_until = NULL, completed_at = NULL, error = NULL, stalled_attempts = 0,
              failures = 0, sequence = sequence + 1
       WHERE id = $1 AND status = ANY ($3) RETURNING ${JOB_COLUMNS}`,
      [job.id, statusAfter('retry'), statusesBefore('retry')],
    )
    await queue.enqueue(tx, job.id)
    return toJob(rows[0])
  })
}

async function lockWithRecord(tx: ClientBase, name: JobName): Promise<Job> {
  const { rows } = await tx.query(
    'SELECT ledger_filename AS filename FROM jobs WHERE id = $1 AND client_krn = $2',
    [name.id, name.clientKrn],
  )
  if (!rows[0]) throw noSuchJob()
  await lockRecords(tx, [{ recordId: recordIdOf(name.clientKrn, rows[0].filename) }])
  const job = await lockJob(tx, name)
  // A batch moved it to another record while this waited: locking that one now would be out of order.
  if (job.ledgerFilename !== rows[0].filename) throw movedOn()
  return job
}

async function lockJob(tx: ClientBase, { id, clientKrn }: JobName): Promise<Job> {
  const { rows } = await tx.query(
    `SELECT ${JOB_COLUMNS}, deleting_at FROM jobs WHERE id = $1 AND client_krn = $2 FOR NO KEY UPDATE`,
    [id, clientKrn],
  )
  if (!rows[0]) throw noSuchJob()
  if (rows[0].deleting_at !== null) throw new PebblesError('wrong_state', 'The job is being deleted.')
  return toJob(rows[0])
}

async function lockParentOf(tx: ClientBase, { id, clientKrn }: JobName): Promise<void> {
  const { rows } = await tx.query<{ status: JobStatus }>(
    `SELECT p.status FROM jobs j JOIN jobs p ON p.id = j.parent_id
     WHERE j.id = $1 AND j.client_krn = $2 FOR SHARE OF p`,
    [id, clientKrn],
  )
  const status = rows[0]?.status
  if (status !== undefined && TRANSITIONS[status].claim !== null) {
    throw new PebblesError(
      'wrong_state',
      `The job that it corrects is ${status}; retry it when that has ended.`,
    )
  }
}

async function requireNoCorrection(tx: ClientBase, id: string): Promise<void> {
  const { rowCount } = await tx.query('SELECT FROM jobs WHERE parent_id = $1 AND status = ANY ($2) LIMIT 1', [
    id,
    statusesBefore('claim'),
  ])
  if (rowCount! > 0) {
    throw new PebblesError(
      'wrong_state',
      'A correction of the job is under way; retry it when that has ended.',
    )
  }
}

const WHY_NOT: Partial<Record<JobEvent, string>> = {
  cancel: 'only a pending or processing job can be cancelled',
  retry: 'only a failed or cancelled job can be retried',
}

function requireState(status: JobStatus, event: JobEvent): void {
  if (TRANSITIONS[status][event] !== null) return
  throw new PebblesError('wrong_state', `The job is ${status}; ${WHY_NOT[event]}.`)
}

export const noSuchJob = () => new PebblesError('not_found', 'There is no such job.')

const movedOn = () => new PebblesError('unavailable', 'The job changes too fast at the moment.')
const hasMovedOn = (error: unknown) => error instanceof PebblesError && error.code === 'unavailable'

const RETRY_FOR_MS = 5_000
const UNIQUE_VIOLATION = '23505'

/**
 * Runs a transaction until it has happened or was refused. `isInDoubt` tells `work` that the COMMIT of an earlier try
 * may have taken effect without an answer: what it wants may be there already.
 */
export async function persistently<T>(
  pool: Pool,
  work: (tx: ClientBase, isInDoubt: boolean) => Promise<T>,
): Promise<T> {
  const deadline = Date.now() + RETRY_FOR_MS
  let isInDoubt = false
  for (let attempt = 1; ; attempt++) {
    let isCommitSent = false
    try {
      return await inTransaction(pool, async (tx) => {
        const result = await work(tx, isInDoubt)
        isCommitSent = true
        return result
      })
    } catch (error) {
      if (isCommitSent && isUnanswered(error)) isInDoubt = true
      const isPassing = isTransient(error) || hasMovedOn(error) || sqlState(error) === UNIQUE_VIOLATION
      if (!isPassing) throw error
      if (Date.now() > deadline) throw databaseAway(error)
      await backOff(attempt, { stepMs: 10, maxMs: 500 })
    }
  }
}
