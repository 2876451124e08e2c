import type { Pool } from 'pg'
import { PebblesError } from '../../platform/errors.ts'
import { type ClaimedJob, statusAfter, statusesBefore } from '../job.ts'
import type { Entry } from '../queue/line.ts'
import { CLAIM_COLUMNS, toClaimedJob } from '../sql-jobs.ts'

/** A worker that says nothing for this long is taken for dead, and another one goes on from the checkpoint. */
export const LEASE_MS = 6_000
/** Three renewals fit into a lease, so that one which is late or lost costs nothing. */
export const RENEW_MS = 2_000

/** One attempt at one job: what every write of a worker has to name. */
export interface Hold {
  id: string
  attempt: number
}

/**
 * Takes the job of a queue's entry, with a new attempt number that fences off every earlier worker; undefined when
 * there is nothing to do: the job is gone, has ended, is held or kept back, or was begun since the entry was made.
 */
export async function claimJob(
  pool: Pool,
  { jobId, attempt }: Pick<Entry, 'jobId' | 'attempt'>,
): Promise<ClaimedJob | undefined> {
  const { rows } = await pool.query({
    name: 'claim-job',
    text: `UPDATE jobs
           SET status = $3, attempt = attempt + 1, stalled_attempts = stalled_attempts + 1,
               lease_until = now() + $4 * interval '1 ms',
               started_at = coalesce(started_at, now()), sequence = sequence + 1
           WHERE id = (
             SELECT id FROM jobs
             WHERE id = $1 AND attempt = $2 AND status = ANY ($5) AND (lease_until IS NULL OR lease_until < now())
             FOR UPDATE SKIP LOCKED)
           RETURNING ${CLAIM_COLUMNS}`,
    values: [jobId, attempt, statusAfter('claim'), LEASE_MS, statusesBefore('claim')],
  })
  return rows.map(toClaimedJob)[0]
}

/** Prolongs the lease; false when another worker has the job by now. */
export async function renewLease(pool: Pool, { id, attempt }: Hold): Promise<boolean> {
  const { rowCount } = await pool.query({
    name: 'renew-lease',
    text: `UPDATE jobs SET lease_until = now() + $3 * interval '1 ms'
           WHERE id = $1 AND attempt = $2 AND status = ANY ($4)`,
    values: [id, attempt, LEASE_MS, statusesBefore('advance')],
  })
  return rowCount === 1
}

/** Gives a job back unfinished, as if it had not been begun; nothing happens when the lease was lost. */
export async function releaseJob(pool: Pool, { id, attempt }: Hold): Promise<void> {
  await pool.query({
    name: 'release-job',
    text: `UPDATE jobs SET status = $3, lease_until = now(), stalled_attempts = greatest(stalled_attempts - 1, 0)
           WHERE id = $1 AND attempt = $2 AND status = ANY ($4)`,
    values: [id, attempt, statusAfter('release'), statusesBefore('release')],
  })
}

/** Gives a job back to be tried again after `delayMs`; nothing happens when the lease was lost. */
export async function postponeJob(
  pool: Pool,
  { id, attempt }: Hold,
  { delayMs, isFailure }: { delayMs: number; isFailure: boolean },
): Promise<void> {
  await pool.query({
    name: 'postpone-job',
    text: `UPDATE jobs SET status = $3, lease_until = now() + $5 * interval '1 ms', failures = failures + $6
           WHERE id = $1 AND attempt = $2 AND status = ANY ($4)`,
    values: [id, attempt, statusAfter('release'), statusesBefore('release'), delayMs, Number(isFailure)],
  })
}

/**
 * The job as it is committed; undefined when this worker no longer has it.
 *
 * Locked for a moment: a COMMIT whose connection broke may still be on its way. Its transaction holds the row until it
 * has ended, and a look without the lock would see the checkpoint before it, from where all of it would count again.
 */
export async function reloadClaim(pool: Pool, { id, attempt }: Hold): Promise<ClaimedJob | undefined> {
  const { rows } = await pool.query({
    name: 'reload-claim',
    text: `SELECT ${CLAIM_COLUMNS} FROM jobs WHERE id = $1 AND attempt = $2 AND status = ANY ($3) FOR UPDATE`,
    values: [id, attempt, statusesBefore('advance')],
  })
  return rows.map(toClaimedJob)[0]
}

const LEASE_LOST = 'The job went on without this worker.'

/** Thrown inside a worker's transaction to roll it back. */
export const leaseLost = () => new PebblesError('in_use', LEASE_LOST)

export const isLeaseLost = (error: unknown): boolean =>
  error instanceof PebblesError && error.code === 'in_use' && error.message === LEASE_LOST
