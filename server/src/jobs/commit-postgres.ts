import type { ClientBase, Pool } from 'pg'
import { insertCustomers } from '../datasets/customers-postgres.ts'
import type { Binding } from '../datasets/header.ts'
import { booleanArray, byteaArray, numberArray, textArray } from '../platform/postgres/arrays.ts'
import { inTransaction } from '../platform/postgres/database.ts'
import { type Batch, collectCorrections, collectRejects, stageCustomers } from './batch.ts'
import { LEASE_MS, leaseLost } from './claim-postgres.ts'
import { type CorrectedParent, correctParent } from './correct-parent.ts'
import {
  type Checkpoint,
  type ClaimedJob,
  type Dialect,
  type JobEvent,
  type Reject,
  statusAfter,
  statusesBefore,
} from './job.ts'
import { reportToLedger } from './ledger-report.ts'
import { CLAIM_COLUMNS, toClaimedJob } from './sql-jobs.ts'

/** What a transaction of a worker left behind. */
export interface Committed {
  job: ClaimedJob
  /** The record in the ledger that changed with it. */
  recordId: string
  /** The job that this one corrects, and its record, when they changed with it. */
  parent?: CorrectedParent | undefined
}

/**
 * Commits a batch: rows, rejects, ledger, counters and checkpoint, or nothing of it.
 *
 * @throws PebblesError (see `isLeaseLost`) when another worker has the job by now, or the batch is committed already
 */
export function commitBatch(
  pool: Pool,
  job: ClaimedJob,
  batch: Batch,
  _binding: Binding,
): Promise<Committed> {
  return inTransaction(pool, async (tx) => {
    const origin = { jobId: job.id, clientKrn: job.clientKrn }
    const conflicts = await insertCustomers(tx, origin, stageCustomers(batch, job.id))
    const rejects = collectRejects(batch, conflicts, job.dialect?.delimiter ?? ',')
    await insertRejects(tx, job.id, rejects)
    const parent = await correctParent(tx, job, collectCorrections(batch, rejects))
    const failed = rejects.length
    const duplicates = rejects.filter(({ isDuplicate }) => isDuplicate).length
    const done = batch.rows.length - failed
    const total = batch.isLast ? job.processedRows + batch.rows.length : job.totalRows
    const recordId = await reportToLedger(tx, job, {
      done,
      failed,
      total,
      isLast: batch.isLast,
      errors: rejects.map(({ rowNumber, message }) => ({ line: rowNumber, message })),
    })
    const { checkpoint } = batch
    const next = batch.isLast
      ? await completeJob(tx, job, { done, failed, duplicates, checkpoint })
      : await advanceJob(tx, job, { done, failed, duplicates, checkpoint })
    return { job: next, recordId, parent }
  })
}

/** Makes the number of rows known before the first of them is imported. */
export function commitTotal(
  pool: Pool,
  job: ClaimedJob,
  total: number,
  dialect: Dialect,
): Promise<Committed> {
  return inTransaction(pool, async (tx) => {
    const report = { done: 0, failed: 0, total, isLast: false, errors: [] }
    const recordId = await reportToLedger(tx, job, report)
    return { job: await setTotal(tx, job, total, dialect), recordId }
  })
}

/** Ends a job that cannot be imported. What was committed of it stays, and its record is closed. */
export function failJob(pool: Pool, job: ClaimedJob, reason: string): Promise<Committed> {
  return inTransaction(pool, async (tx) => {
    const errors = [{ line: 0, message: reason }]
    const report = { done: 0, failed: 0, total: null, isLast: true, errors }
    const recordId = await reportToLedger(tx, job, report)
    return { job: await markFailed(tx, job, reason), recordId }
  })
}

async function insertRejects(tx: ClientBase, jobId: string, rejects: readonly Reject[]): Promise<void> {
  if (rejects.length === 0) return
  await tx.query({
    name: 'insert-rejects',
    text: `INSERT INTO job_rejects (job_id, row_number, message, raw, is_duplicate)
           SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::bytea[], $5::boolean[])`,
    values: [
      jobId,
      numberArray(rejects.map(({ rowNumber }) => rowNumber)),
      textArray(rejects.map(({ message }) => message)),
      byteaArray(rejects.map(({ raw }) => raw)),
      booleanArray(rejects.map(({ isDuplicate }) => isDuplicate)),
    ],
  })
}

interface Progress {
  done: number
  failed: number
  /** Of `failed`. */
  duplicates: number
  checkpoint: Checkpoint
}

/**
 * The fence: the newest attempt, and the position from which the work was done. A worker whom the job has left behind
 * finds no row, and all that it did is rolled back. Not even this worker's own batch commits a second time.
 */
const IS_HELD = 'id = $1 AND attempt = $2 AND byte_offset = $3 AND row_number = $4 AND status = ANY ($5)'

/** The first six values of a statement: those of {@link IS_HELD}, and the status that the event leads to. */
function held({ id, attempt, checkpoint }: ClaimedJob, event: JobEvent): unknown[] {
  const { byteOffset, rowNumber } = checkpoint
  return [id, attempt, byteOffset, rowNumber, statusesBefore(event), statusAfter(event)]
}

async function advanceJob(tx: ClientBase, job: ClaimedJob, progress: Progress): Promise<ClaimedJob> {
  const { rows } = await tx.query({
    name: 'advance-job',
    text: `UPDATE jobs
           SET status = $6, processed_rows = processed_rows + $7 + $8, success_count = success_count + $7,
               failed_count = failed_count + $8, byte_offset = $9, row_number = $10,
               duplicate_count = duplicate_count + $11, lease_until = now() + $12 * interval '1 ms',
               stalled_attempts = 0, failures = 0, sequence = sequence + 1
           WHERE ${IS_HELD}
           RETURNING ${CLAIM_COLUMNS}`,
    values: [...held(job, 'advance'), ...progressValues(progress), LEASE_MS],
  })
  return onlyJob(rows)
}

async function completeJob(tx: ClientBase, job: ClaimedJob, progress: Progress): Promise<ClaimedJob> {
  const { rows } = await tx.query({
    name: 'complete-job',
    text: `UPDATE jobs
           SET status = $6, processed_rows = processed_rows + $7 + $8, success_count = success_count + $7,
               failed_count = failed_count + $8, byte_offset = $9, row_number = $10,
               duplicate_count = duplicate_count + $11, total_rows = processed_rows + $7 + $8, lease_until = NULL,
               completed_at = now(), sequence = sequence + 1
           WHERE ${IS_HELD}
           RETURNING ${CLAIM_COLUMNS}`,
    values: [...held(job, 'complete'), ...progressValues(progress)],
  })
  return onlyJob(rows)
}

function progressValues({ done, failed, duplicates, checkpoint }: Progress): number[] {
  return [done, failed, checkpoint.byteOffset, checkpoint.rowNumber, duplicates]
}

async function setTotal(
  tx: ClientBase,
  job: ClaimedJob,
  total: number,
  dialect: Dialect,
): Promise<ClaimedJob> {
  const { rows } = await tx.query({
    name: 'set-total',
    text: `UPDATE jobs
           SET status = $6, total_rows = $7, dialect = $9, lease_until = now() + $8 * interval '1 ms', sequence = sequence + 1
           WHERE ${IS_HELD} AND total_rows IS NULL
           RETURNING ${CLAIM_COLUMNS}`,
    values: [...held(job, 'advance'), total, LEASE_MS, dialect],
  })
  return onlyJob(rows)
}

async function markFailed(tx: ClientBase, job: ClaimedJob, reason: string): Promise<ClaimedJob> {
  const { rows } = await tx.query({
    name: 'mark-failed',
    text: `UPDATE jobs
           SET status = $6, error = $7, lease_until = NULL, completed_at = now(), sequence = sequence + 1
           WHERE ${IS_HELD}
           RETURNING ${CLAIM_COLUMNS}`,
    values: [...held(job, 'fail'), reason],
  })
  return onlyJob(rows)
}

function onlyJob(rows: unknown[]): ClaimedJob {
  if (rows.length === 0) throw leaseLost()
  return toClaimedJob(rows[0])
}
