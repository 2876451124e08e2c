import pg, { type Pool } from 'pg'
import { rowId, rowIdPrefix } from '../../datasets/row-id.ts'
import { tableOf } from '../../datasets/table-postgres.ts'
import { PebblesError } from '../../platform/errors.ts'
import type { ObjectStore } from '../../platform/objects/objects.ts'
import { orAway } from '../../platform/postgres/database.ts'
import { isEnded, type JobStatus } from '../job.ts'
import { type JobName, noSuchJob, persistently } from './control-postgres.ts'

/** Rows of a file that one transaction removes: some tens of milliseconds. */
const CHUNK_ROWS = 10_000

/** What is left to do for a job that is being deleted. */
interface Deletion {
  id: string
  clientKrn: string
  dataset: string
  objectName: string
  /** Number of the last row that was read. */
  lastRow: number
}

/**
 * Deletes an ended job: its refused rows, receipts, file, and, when asked to, the rows that it imported. Its record in
 * the ledger stays, with its audit.
 *
 * In many short transactions: first the job is marked, so that nothing else happens to it any more, then its rows go
 * chunk by chunk, at last the job itself and then its file (which the sweep finds when this is the moment to die).
 * Each step may be done again, so whoever was interrupted asks once more.
 *
 * @throws PebblesError `not_found`, `wrong_state` or `unavailable`
 */
export async function deleteJob(
  { pool, objects }: { pool: Pool; objects: Pick<ObjectStore, 'remove'> },
  name: JobName,
  { withRows }: { withRows: boolean },
): Promise<void> {
  const job = await markDeleting(pool, name, withRows)
  await orAway(deleteInChunks(pool, job, withRows))
  await orAway(pool.query('DELETE FROM jobs WHERE id = $1', [job.id]))
  await objects.remove(job.objectName)
}

function markDeleting(pool: Pool, { id, clientKrn }: JobName, withRows: boolean): Promise<Deletion> {
  return persistently(pool, async (tx) => {
    const { rows } = await tx.query(
      `SELECT status, dataset, object_name, row_number FROM jobs
       WHERE id = $1 AND client_krn = $2 FOR NO KEY UPDATE`,
      [id, clientKrn],
    )
    const job = rows[0]
    if (!job) throw noSuchJob()
    const status: JobStatus = job.status
    if (!isEnded(status)) {
      throw new PebblesError('wrong_state', `The job is ${status}; cancel it first, then it can be deleted.`)
    }
    if (withRows) {
      const { rows: counted } = await tx.query(
        `SELECT p.id FROM job_corrections c JOIN jobs p ON p.id = c.job_id WHERE c.by_job_id = $1 LIMIT 1`,
        [id],
      )
      // The books of the parent would not balance any more.
      if (counted[0]) {
        const message = `Rows of this job count for job ${counted[0].id}, which it corrects: delete that one first.`
        throw new PebblesError('wrong_state', message)
      }
    }
    await tx.query('UPDATE jobs SET deleting_at = coalesce(deleting_at, now()) WHERE id = $1', [id])
    return { id, clientKrn, dataset: job.dataset, objectName: job.object_name, lastRow: job.row_number }
  })
}

/** Rows are found by their numbers, which are part of their keys: no scan, and nothing that was removed is met again. */
async function deleteInChunks(pool: Pool, job: Deletion, withRows: boolean): Promise<void> {
  const { id, lastRow } = job
  const table = pg.escapeIdentifier(tableOf(job.clientKrn, job.dataset))
  const prefix = rowIdPrefix(id)
  for (let from = 0; from <= lastRow; from += CHUNK_ROWS) {
    const to = Math.min(lastRow, from + CHUNK_ROWS - 1)
    for (const rejects of ['job_rejects', 'job_corrections'])
      await pool.query(`DELETE FROM ${rejects} WHERE job_id = $1 AND row_number BETWEEN $2 AND $3`, [
        id,
        from,
        to,
      ])
    if (withRows) {
      const ids = [rowId(prefix, from), rowId(prefix, to)]
      await pool.query(`DELETE FROM ${table} WHERE id BETWEEN $1 AND $2`, ids)
    }
  }
}
