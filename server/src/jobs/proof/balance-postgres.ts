import pg, { type Pool } from 'pg'
import { rowId, rowIdPrefix } from '../../datasets/row-id.ts'
import { tableOf } from '../../datasets/table-postgres.ts'
import { orAway } from '../../platform/postgres/database.ts'
import type { Job } from '../job.ts'
import type { Found } from './balance.ts'

/** No row of any file has a higher number: an id ends in ten hexadecimal digits. */
const LAST_ROW = 16 ** 10 - 1

/** `recordIdOf` in SQL: the job may have got another name in the ledger since it was read. */
const RECORD_ID = `left(encode(sha256(
  convert_to('record', 'UTF8') || '\\x00' || convert_to(j.client_krn, 'UTF8') || '\\x00' || convert_to(j.ledger_filename, 'UTF8')
), 'hex'), 32)::uuid`

/**
 * Counts what is there of a job, in one statement, and so at one instant, also while it runs.
 *
 * The rows of a job are a range of the table's primary key: the count reads that range of the index and nothing else,
 * where vacuum has been since the import. The pool's time-out of 30 s bounds it.
 *
 * @returns undefined when the job is no longer there
 * @throws PebblesError `unavailable`, also when counting took too long
 */
export async function countBooks(pool: Pool, job: Job): Promise<Found | undefined> {
  const table = pg.escapeIdentifier(tableOf(job.clientKrn, job.dataset))
  const prefix = rowIdPrefix(job.id)
  const text = `
    SELECT j.total_rows, j.processed_rows, j.success_count, j.failed_count, j.duplicate_count, j.corrected_count,
           r.rejected, r.duplicate, l.done, l.failed,
           (SELECT count(*) FROM ${table} WHERE id BETWEEN $2 AND $3) AS imported,
           (SELECT count(*) FROM job_corrections c
            JOIN ${table} t ON t.id = (left(c.by_job_id::text, 26) || lpad(to_hex(c.by_row_number), 10, '0'))::uuid
            WHERE c.job_id = j.id) AS corrected
    FROM jobs j
    CROSS JOIN LATERAL (
      SELECT count(*) FILTER (WHERE NOT is_duplicate) AS rejected, count(*) FILTER (WHERE is_duplicate) AS duplicate
      FROM job_rejects WHERE job_id = j.id) r
    LEFT JOIN records l ON l.id = ${RECORD_ID}
    WHERE j.id = $1`
  const { rows } = await orAway(pool.query(text, [job.id, rowId(prefix, 0), rowId(prefix, LAST_ROW)]))
  return rows.map(toFound)[0]
}

// biome-ignore lint/suspicious/noExplicitAny: a row comes untyped from the driver; this is where it gets its type.
const toFound = (row: any): Found => ({
  totalRows: row.total_rows,
  counters: {
    processedRows: row.processed_rows,
    successCount: row.success_count,
    failedCount: row.failed_count,
    duplicateCount: row.duplicate_count,
    correctedCount: row.corrected_count,
  },
  tables: {
    imported: row.imported,
    corrected: row.corrected,
    rejected: row.rejected,
    duplicate: row.duplicate,
  },
  ledger: row.done === null ? null : { done: row.done, failed: row.failed },
})
