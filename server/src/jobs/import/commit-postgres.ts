import type { ClientBase, Pool } from 'pg'
import type { Inserter } from '../../datasets/insert-postgres.ts'
import { copyIn } from '../../platform/postgres/copy-in.ts'
import { inTransaction } from '../../platform/postgres/database.ts'
import {
  type Checkpoint,
  type ClaimedJob,
  type Dialect,
  type JobEvent,
  statusAfter,
  statusesBefore,
} from '../job.ts'
import { reportToLedger } from '../ledger/ledger-report.ts'
import { type CorrectedParent, correctParent } from '../report/correct-parent.ts'
import { CLAIM_COLUMNS, toClaimedJob } from '../sql-jobs.ts'
import { LEASE_MS, leaseLost } from './claim-postgres.ts'
import { collectCorrections, collectRefused, type PreparedBatch } from './prepared-batch.ts'
import { COPY_REJECTS, rejectLines } from './reject-lines.ts'

/** What a transaction of a worker left behind. */
export interface Committed {
  job: ClaimedJob
  /** The record in the ledger that changed with it. None when there was no room even for a report. */
  recordId: string | undefined
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
  batch: PreparedBatch,
  inserter: Inserter,
): Promise<Committed> {
  return inTransaction(pool, async (tx) => {
    await inserter.takeTurn(tx)
    await requireHold(tx, job)
    const refused = collectRefused(batch.faulty, await inserter.insert(tx, batch.lines))
    await copyIn(tx, COPY_REJECTS, rejectLines(job.id, refused, batch.source))
    const parent = await correctParent(tx, job, collectCorrections(batch, refused))
    const rows = batch.source.rowNumbers.length
    const failed = refused.length
    const total = batch.isLast ? job.processedRows + rows : job.totalRows
    const recordId = await reportToLedger(tx, job, {
      done: rows - failed,
      failed,
      total,
      isLast: batch.isLast,
      errors: refused.map(({ rowNumber, message }) => ({ line: rowNumber, message })),
    })
    const progress = {
      done: rows - failed,
      failed,
      duplicates: refused.filter(({ isDuplicate }) => isDuplicate).length,
      checkpoint: batch.checkpoint,
    }
    const next = await (batch.isLast ? completeJob : advanceJob)(tx, job, progress)
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

/**
 * Ends a job for want of room, in which a report to the ledger would not find any either. Its record stays as it is, and
 * open, for whoever retries.
 */
export async function failUnreported(pool: Pool, job: ClaimedJob, reason: string): Promise<Committed> {
  const next = await inTransaction(pool, (tx) => markFailed(tx, job, reason))
  return { job: next, recordId: undefined }
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

/** Only spares the work, and the trouble of meeting one's own rows: who holds the job is decided at the end. */
async function requireHold(tx: ClientBase, job: ClaimedJob): Promise<void> {
  const { rowCount } = await tx.query({
    name: 'require-hold',
    text: `SELECT 1 FROM jobs WHERE ${IS_HELD}`,
    values: held(job, 'advance').slice(0, 5),
  })
  if (rowCount === 0) throw leaseLost()
}

async function advanceJob(tx: ClientBase, job: ClaimedJob, progress: Progress): Promise<ClaimedJob> {
  const { rows } = await tx.query({
    name: 'advance-job',
    text: `UPDATE jobs
           SET status = $6, processed_rows = processed_rows + $7 + $8, success_count = success_count + $7,
               failed_count = failed_count + $8, duplicate_count = duplicate_count + $9, byte_offset = $10,
               row_number = $11, lease_until = now() + $12 * interval '1 ms',
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
               failed_count = failed_count + $8, duplicate_count = duplicate_count + $9, byte_offset = $10,
               row_number = $11, total_rows = processed_rows + $7 + $8, lease_until = NULL, completed_at = now(),
               sequence = sequence + 1
           WHERE ${IS_HELD}
           RETURNING ${CLAIM_COLUMNS}`,
    values: [...held(job, 'complete'), ...progressValues(progress)],
  })
  return onlyJob(rows)
}

function progressValues({ done, failed, duplicates, checkpoint }: Progress): number[] {
  return [done, failed, duplicates, checkpoint.byteOffset, checkpoint.rowNumber]
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
           WHERE ${IS_HELD} AND (total_rows IS NULL OR dialect IS NULL)
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
