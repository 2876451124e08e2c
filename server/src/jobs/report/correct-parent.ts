import type { ClientBase } from 'pg'
import { numberArray } from '../../platform/postgres/arrays.ts'
import { correctWithin } from '../../progress/postgres/correct-postgres.ts'
import { lockRecords } from '../../progress/postgres/sql-read.ts'
import { recordIdOf } from '../../progress/record.ts'
import type { Job } from '../job.ts'

/** A row that was imported, and the one of the parent job's refused rows that it names. */
export interface CorrectedRow {
  rowNumber: number
  parentRow: number
}

/** The parent job and its record in the ledger, which both have changed. */
export interface CorrectedParent {
  jobId: string
  recordId: string
}

/**
 * Moves rows that came back corrected from failed to done on the job that had refused them, in the transaction that
 * imports them: the refused row goes, a note of what stands for it comes, the counters of the job and of its record in
 * the ledger move. A row that is not (any more) among those refused there counts for the correcting job alone, so each
 * can be corrected once, whoever else corrects at the same time.
 *
 * Call it after the rows were inserted and before the job's own report to the ledger. Order of the locks: both ledger
 * records by their ids, the parent's job; the caller's own job comes after them. A parent cannot go on while a
 * correction of it is under way (see `retryJob`), so its counters are at rest.
 *
 * @returns undefined when nothing moved: no parent, one that is gone, or none of its refused rows
 */
export async function correctParent(
  tx: ClientBase,
  job: Pick<Job, 'id' | 'clientKrn' | 'parentId' | 'ledgerFilename'>,
  imported: readonly CorrectedRow[],
): Promise<CorrectedParent | undefined> {
  if (job.parentId === null || imported.length === 0) return undefined
  const parent = await lockParent(tx, job, job.parentId)
  if (!parent) return undefined
  const moved = await moveRefused(tx, parent.id, job.id, imported)
  if (moved.rows === 0) return undefined
  const { clientKrn } = job
  const { recordId, filename } = parent
  await correctWithin(tx, { recordId, clientKrn, filename, rows: moved.rows })
  await moveCounters(tx, parent.id, moved)
  return { jobId: parent.id, recordId }
}

async function lockParent(
  tx: ClientBase,
  { clientKrn, ledgerFilename }: Pick<Job, 'clientKrn' | 'ledgerFilename'>,
  parentId: string,
): Promise<{ id: string; recordId: string; filename: string } | undefined> {
  const found = await tx.query({
    name: 'find-parent',
    text: 'SELECT ledger_filename FROM jobs WHERE id = $1 AND client_krn = $2',
    values: [parentId, clientKrn],
  })
  if (!found.rows[0]) return undefined
  const filename: string = found.rows[0].ledger_filename
  const recordId = recordIdOf(clientKrn, filename)
  await lockRecords(tx, [{ recordId }, { recordId: recordIdOf(clientKrn, ledgerFilename) }])
  const { rowCount } = await tx.query({
    name: 'lock-parent',
    text: 'SELECT FROM jobs WHERE id = $1 AND deleting_at IS NULL FOR NO KEY UPDATE',
    values: [parentId],
  })
  return rowCount === 1 ? { id: parentId, recordId, filename } : undefined
}

interface Moved {
  rows: number
  /** Of them, rows that had been refused for being there already. */
  duplicates: number
}

/** A statement of its own after the lock: only its snapshot is sure to see what the holder before has corrected. */
async function moveRefused(
  tx: ClientBase,
  parentId: string,
  jobId: string,
  imported: readonly CorrectedRow[],
): Promise<Moved> {
  const { rows } = await tx.query<Moved>({
    name: 'move-refused',
    text: `WITH wanted AS (
             SELECT DISTINCT ON (row_number) row_number, by_row_number
             FROM unnest($3::bigint[], $4::bigint[]) AS w (row_number, by_row_number)
             ORDER BY row_number, by_row_number
           ), moved AS (
             DELETE FROM job_rejects r USING wanted
             WHERE r.job_id = $1 AND r.row_number = wanted.row_number
             RETURNING r.row_number, r.is_duplicate, wanted.by_row_number
           ), noted AS (
             INSERT INTO job_corrections (job_id, row_number, by_job_id, by_row_number)
             SELECT $1, row_number, $2, by_row_number FROM moved
           )
           SELECT count(*)::int AS rows, count(*) FILTER (WHERE is_duplicate)::int AS duplicates FROM moved`,
    values: [
      parentId,
      jobId,
      numberArray(imported.map(({ parentRow }) => parentRow)),
      numberArray(imported.map(({ rowNumber }) => rowNumber)),
    ],
  })
  return rows[0]!
}

async function moveCounters(tx: ClientBase, parentId: string, { rows, duplicates }: Moved): Promise<void> {
  await tx.query({
    name: 'move-parent-counters',
    text: `UPDATE jobs
           SET failed_count = failed_count - $2, success_count = success_count + $2,
               corrected_count = corrected_count + $2, duplicate_count = duplicate_count - $3,
               sequence = sequence + 1
           WHERE id = $1`,
    values: [parentId, rows, duplicates],
  })
}
