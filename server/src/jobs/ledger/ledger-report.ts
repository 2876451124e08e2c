import type { ClientBase } from 'pg'
import { PebblesError } from '../../platform/errors.ts'
import { applyWithin } from '../../progress/postgres/apply-postgres.ts'
import { noteInOutbox } from '../../progress/postgres/outbox-postgres.ts'
import { type Issue, recordIdOf, type Update } from '../../progress/record.ts'
import type { Outcome } from '../../progress/store.ts'
import type { Job } from '../job.ts'
import { findFreeLedgerName, renameInLedger } from './ledger-name-postgres.ts'

/** Most errors in one update, as for outside workers. */
const MAX_ERRORS = 10_000

/** What a job has to tell the ledger: an increment, as any worker sends it. */
export interface LedgerReport {
  done: number
  failed: number
  total: number | null
  isLast: boolean
  errors: Issue[]
}

/** Of the job, as it was before what is reported. */
export type Reporter = Pick<
  Job,
  'id' | 'clientKrn' | 'email' | 'filename' | 'ledgerFilename' | 'successCount' | 'failedCount'
>

/**
 * Reports to the ledger inside the transaction of what is reported.
 *
 * The record belongs to the job, but its owner may also report on it from outside, and close it. Then the file has to
 * go on all the same: the job takes a new name in the ledger and brings along all its counts.
 *
 * @returns the id of the record that changed
 */
export async function reportToLedger(tx: ClientBase, job: Reporter, report: LedgerReport): Promise<string> {
  const recordId = changedRecord(await applyWithin(tx, toUpdates(job, report)))
  if (recordId) {
    await noteInOutbox(tx, recordId)
    return recordId
  }
  // Before the lock of the names, as whoever cancels the job has it: a worker that the job has left behind comes here
  // with the name of an earlier record, and so without the lock on the record that keeps all others apart.
  await lockRow(tx, job.id)
  const name = await findFreeLedgerName(tx, job)
  await renameInLedger(tx, job.id, name)
  const all = { ...report, done: report.done + job.successCount, failed: report.failed + job.failedCount }
  const moved = changedRecord(
    await applyWithin(tx, toUpdates({ ...job, ledgerFilename: name.filename }, all)),
  )
  if (!moved) throw new PebblesError('internal', `The ledger refused a new record for job ${job.id}.`)
  await noteInOutbox(tx, moved)
  return moved
}

async function lockRow(tx: ClientBase, jobId: string): Promise<void> {
  await tx.query('SELECT FROM jobs WHERE id = $1 FOR NO KEY UPDATE', [jobId])
}

/** More errors than an update may have travel in updates of their own. */
function toUpdates(job: Reporter, { done, failed, total, isLast, errors }: LedgerReport): Update[] {
  const updates: Update[] = []
  for (let start = 0; start === 0 || start < errors.length; start += MAX_ERRORS) {
    const isFirst = start === 0
    updates.push({
      recordId: recordIdOf(job.clientKrn, job.ledgerFilename),
      clientKrn: job.clientKrn,
      filename: job.ledgerFilename,
      email: job.email,
      channel: 'import',
      counts: { done: isFirst ? done : 0, warn: 0, failed: isFirst ? failed : 0 },
      total: total ?? undefined,
      isLast: isLast && start + MAX_ERRORS >= errors.length,
      errors: errors.slice(start, start + MAX_ERRORS),
      warnings: [],
    })
  }
  return updates
}

function changedRecord(outcomes: Outcome[]): string | undefined {
  const last = outcomes.at(-1)!
  return 'recordId' in last ? last.recordId : undefined
}
