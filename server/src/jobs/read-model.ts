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

/** Cells beyond the header that are shown; all of them are in the report. */
const MAX_EXTRA_CELLS = 100

/** A job with its rejected rows, as it is answered. */
function showJob(job: Job, rejects: Reject[], showRejects: ReturnType<typeof createRejectView>) {
  const { id, filename, dataset, parentId, sizeBytes, status, error } = job
  const { totalRows, processedRows, successCount, failedCount, duplicateCount, correctedCount } = job
  const createdAt = job.createdAt.toISOString()
  const completedAt = job.completedAt?.toISOString() ?? null
  const errors = showRejects(job, rejects)
  const file = { id, filename, dataset, parentId, sizeBytes }
  const counts = { totalRows, processedRows, successCount, failedCount, duplicateCount, correctedCount }
  return { ...file, status, ...counts, errors, error, createdAt, completedAt, sequence: job.sequence }
}

/** A job as the live view of all jobs shows it: like in the list, without its rejected rows. */
export function showJobState(job: Job) {
  const { errors: _, ...state } = showJob(job, [], () => [])
  return state
}

/**
 * Shows rejected rows, read as their file was, as long as one answer has room for them. The bytes of the rows bound
 * nothing here: in a row of commas each is a cell, and each cell has a name.
 */
function createRejectView() {
  let left = MAX_SHOWN_BYTES
  return ({ dialect }: Job, rejects: Reject[]) => {
    const names = dialect ? headerNames(dialect.header) : []
    const shown = []
    for (const { rowNumber, message, raw } of rejects) {
      if (left <= 0) break
      const cells = splitCells(raw.toString(), dialect!).slice(0, names.length + MAX_EXTRA_CELLS)
      for (const [index, cell] of cells.entries()) left -= cell.length + (names[index]?.length ?? 0)
      shown.push({ rowNumber, message, row: showRow(names, cells) })
    }
    return shown
  }
}

export async function showJobWithErrors(pool: Pool, job: Job) {
  const window = { after: 0, limit: SHOWN_ERRORS, maxBytes: MAX_SHOWN_BYTES }
  const rejects = job.failedCount === 0 ? [] : await readRejects(pool, job.id, window)
  return showJob(job, rejects, createRejectView())
}

export async function showJobList(pool: Pool, jobs: Job[]) {
  const failing = jobs.filter(({ failedCount }) => failedCount > 0).map(({ id }) => id)
  const window = { limit: LISTED_ERRORS, maxBytes: MAX_SHOWN_BYTES }
  const errors = failing.length === 0 ? undefined : await readFirstRejects(pool, failing, window)
  const showRejects = createRejectView()
  return jobs.map((job) => showJob(job, errors?.get(job.id) ?? [], showRejects))
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
