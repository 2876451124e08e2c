import type { Pool } from 'pg'
import { headerNames } from '../datasets/header.ts'
import { showRow } from '../datasets/validate.ts'
import { PebblesError } from '../platform/errors.ts'
import { splitCells } from './csv/cells.ts'
import type { Job, Reject } from './job.ts'
import { isJobId } from './job-id.ts'
import { findJob, readFirstRejects, readRejects } from './read-postgres.ts'
import { LISTED_ERRORS, SHOWN_ERRORS } from './schema.ts'

/** Bytes of rejected rows in one answer. A single row may have 1 MiB, so a number alone would bound nothing. */
const MAX_SHOWN_BYTES = 4 * 1024 * 1024

/** A job with its rejected rows, as it is answered. */
function showJob(job: Job, rejects: Reject[]) {
  const { id, filename, dataset, parentId, sizeBytes, status, error } = job
  const { totalRows, processedRows, successCount, failedCount, duplicateCount, correctedCount } = job
  const createdAt = job.createdAt.toISOString()
  const completedAt = job.completedAt?.toISOString() ?? null
  const errors = rejects.map((reject) => showReject(job, reject))
  const file = { id, filename, dataset, parentId, sizeBytes }
  const counts = { totalRows, processedRows, successCount, failedCount, duplicateCount, correctedCount }
  return { ...file, status, ...counts, errors, error, createdAt, completedAt, sequence: job.sequence }
}

/** A job as the live view of all jobs shows it: like in the list, without its rejected rows. */
export function showJobState(job: Job) {
  const { errors: _, ...state } = showJob(job, [])
  return state
}

/** Read as its file was: the dialect is kept with the job, the row as it stood there. */
function showReject({ dialect }: Job, { rowNumber, message, raw }: Reject) {
  const cells = splitCells(raw.toString(), dialect!)
  return { rowNumber, message, row: showRow(headerNames(dialect!.header), cells) }
}

export async function showJobWithErrors(pool: Pool, job: Job) {
  const window = { after: 0, limit: SHOWN_ERRORS, maxBytes: MAX_SHOWN_BYTES }
  return showJob(job, job.failedCount === 0 ? [] : await readRejects(pool, job.id, window))
}

export async function showJobList(pool: Pool, jobs: Job[]) {
  const failing = jobs.filter(({ failedCount }) => failedCount > 0).map(({ id }) => id)
  const window = { limit: LISTED_ERRORS, maxBytes: MAX_SHOWN_BYTES }
  const errors = failing.length === 0 ? undefined : await readFirstRejects(pool, failing, window)
  return jobs.map((job) => showJob(job, errors?.get(job.id) ?? []))
}

/** A job as live views show it. */
export function showProgress({ id, totalRows, processedRows, successCount, failedCount, status }: Job) {
  return { jobId: id, processedRows, totalRows, successCount, failedCount, status }
}

/** @throws PebblesError `not_found`, also for another client's job and for what cannot be an id */
export async function requireJob(pool: Pool, clientKrn: string, id: string): Promise<Job> {
  const job = isJobId(id) ? await findJob(pool, clientKrn, id) : undefined
  if (!job) throw new PebblesError('not_found', 'There is no such job.')
  return job
}
