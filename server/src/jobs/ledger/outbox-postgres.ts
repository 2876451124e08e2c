import type { ClientBase, Pool } from 'pg'
import { lockRecords } from '../../progress/postgres/sql-read.ts'
import { toJob } from '../sql-jobs.ts'
import { reportToLedger } from './ledger-report.ts'

/** A record of an import that has moved on from what was copied of it. */
export interface OpenRecord {
  recordId: string
  clientKrn: string
  filename: string
  email: string
  /** Its last event that was copied. */
  sent: number
  sentErrors: number
}

/** Some of those that wait, each time others when there are many. */
export async function listOpen(pool: Pool, limit: number): Promise<OpenRecord[]> {
  const { rows } = await pool.query<OpenRecord>({
    name: 'list-outbox',
    text: `SELECT o.record_id AS "recordId", r.client_krn AS "clientKrn", r.filename, r.email, o.sent,
                  o.sent_errors AS "sentErrors"
           FROM ledger_outbox o JOIN records r ON r.id = o.record_id
           WHERE o.noted > o.sent ORDER BY random() LIMIT $1`,
    values: [limit],
  })
  return rows
}

/** Another process may have come further. */
export async function markSent(
  pool: Pool,
  recordId: string,
  sent: number,
  sentErrors: number,
): Promise<void> {
  await pool.query({
    name: 'mark-sent',
    text: 'UPDATE ledger_outbox SET sent = $2, sent_errors = $3 WHERE record_id = $1 AND sent < $2',
    values: [recordId, sent, sentErrors],
  })
}

/**
 * Gives up a record whose name somebody else has, or closed, where the records are: it is closed here too, and no more
 * of it is copied. So its job takes a new name with its next report, and brings along all its counts; one that has
 * ended, and will report no more, does so here.
 *
 * The locks are those of a batch's commit, in their order: the record, then the job.
 *
 * @returns the id of the new record, when it was made here
 */
export async function giveUpRecord(
  tx: ClientBase,
  { recordId, clientKrn, filename }: Pick<OpenRecord, 'recordId' | 'clientKrn' | 'filename'>,
): Promise<string | undefined> {
  await lockRecords(tx, [{ recordId }])
  const { rowCount } = await tx.query(
    'UPDATE ledger_outbox SET sent = noted WHERE record_id = $1 AND noted > sent',
    [recordId],
  )
  // Another process did this meanwhile.
  if (rowCount === 0) return undefined
  await tx.query('UPDATE records SET is_completed = true WHERE id = $1', [recordId])
  const { rows } = await tx.query(
    'SELECT * FROM jobs WHERE client_krn = $1 AND ledger_filename = $2 FOR NO KEY UPDATE',
    [clientKrn, filename],
  )
  const job = rows[0] && toJob(rows[0])
  if (!job || job.completedAt === null) return undefined
  return reportToLedger(tx, job, { done: 0, failed: 0, total: job.totalRows, isLast: true, errors: [] })
}
