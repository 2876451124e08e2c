import type { Pool, QueryConfig } from 'pg'
import { plainArray } from '../platform/postgres/arrays.ts'
import { orAway } from '../platform/postgres/database.ts'
import type { Job, Reject } from './job.ts'
import { JOB_COLUMNS, toJob } from './sql-jobs.ts'

/** Position in the list of a client's jobs, newest first: when the last one was created, and its id. */
export interface JobCursor {
  ms: number
  id: string
}

/** @throws PebblesError `unavailable` when the database cannot be reached */
const read = (pool: Pool, query: QueryConfig) => orAway(pool.query(query))

/** One job of a client; undefined also when it is another client's. */
export async function findJob(pool: Pool, clientKrn: string, id: string): Promise<Job | undefined> {
  const { rows } = await read(pool, {
    name: 'find-job',
    text: `SELECT ${JOB_COLUMNS} FROM jobs WHERE id = $1 AND client_krn = $2`,
    values: [id, clientKrn],
  })
  return rows.map(toJob)[0]
}

/** Jobs of a client, newest first. */
export async function listJobs(
  pool: Pool,
  clientKrn: string,
  page: { limit: number; after?: JobCursor | undefined },
): Promise<Job[]> {
  const { limit, after } = page
  const { rows } = after
    ? await read(pool, {
        name: 'list-jobs-after',
        text: `SELECT ${JOB_COLUMNS} FROM jobs WHERE client_krn = $1 AND (created_at, id) < ($3, $4)
               ORDER BY created_at DESC, id DESC LIMIT $2`,
        values: [clientKrn, limit, new Date(after.ms), after.id],
      })
    : await read(pool, {
        name: 'list-jobs',
        text: `SELECT ${JOB_COLUMNS} FROM jobs WHERE client_krn = $1 ORDER BY created_at DESC, id DESC LIMIT $2`,
        values: [clientKrn, limit],
      })
  return rows.map(toJob)
}

/** The jobs with these ids, in no particular order. */
export async function jobsByIds(pool: Pool, ids: readonly string[]): Promise<Job[]> {
  const { rows } = await read(pool, {
    name: 'jobs-by-ids',
    text: `SELECT ${JOB_COLUMNS} FROM jobs WHERE id = ANY ($1::uuid[])`,
    values: [plainArray(ids)],
  })
  return rows.map(toJob)
}

/** Those of the ids that belong to a job, of whichever client. */
export async function findJobIds(pool: Pool, ids: readonly string[]): Promise<string[]> {
  const { rows } = await read(pool, {
    name: 'find-job-ids',
    text: 'SELECT id FROM jobs WHERE id = ANY ($1::uuid[])',
    values: [plainArray(ids)],
  })
  return rows.map(({ id }) => id)
}

/**
 * Rejected rows with `rowNumber > after`, ascending: at most `limit`, and about `maxBytes`, but at least one when there
 * is one. The length of a large value is known without reading it, so no large row is read to find out that it is too
 * large.
 */
export async function readRejects(
  pool: Pool,
  jobId: string,
  { after, limit, maxBytes }: { after: number; limit: number; maxBytes: number },
): Promise<Reject[]> {
  const { rows } = await read(pool, {
    name: 'read-rejects',
    text: `SELECT r.row_number, r.message, r.raw, r.is_duplicate
           FROM (
             SELECT job_id, row_number, row_bytes, sum(row_bytes) OVER (ORDER BY row_number) AS bytes_to_here
             FROM (SELECT job_id, row_number, octet_length(raw) AS row_bytes FROM job_rejects
                   WHERE job_id = $1 AND row_number > $2 ORDER BY row_number LIMIT $3) page
           ) sized
           JOIN job_rejects r USING (job_id, row_number)
           WHERE sized.bytes_to_here - sized.row_bytes < $4
           ORDER BY r.row_number`,
    values: [jobId, after, limit, maxBytes],
  })
  return rows.map(toReject)
}

/**
 * The first rejected rows of many jobs, by job: at most `limit` of each, and about `maxBytes` of all together, with the
 * jobs in their given order going first.
 */
export async function readFirstRejects(
  pool: Pool,
  jobIds: readonly string[],
  { limit, maxBytes }: { limit: number; maxBytes: number },
): Promise<Map<string, Reject[]>> {
  const { rows } = await read(pool, {
    name: 'read-first-rejects',
    text: `SELECT r.job_id, r.row_number, r.message, r.raw, r.is_duplicate
           FROM (
             SELECT page.*, sum(row_bytes) OVER (ORDER BY place, row_number) AS bytes_to_here
             FROM unnest($1::uuid[]) WITH ORDINALITY AS wanted (job_id, place)
             CROSS JOIN LATERAL (
               SELECT job_id, row_number, octet_length(raw) AS row_bytes FROM job_rejects
               WHERE job_id = wanted.job_id ORDER BY row_number LIMIT $2) page
           ) sized
           JOIN job_rejects r USING (job_id, row_number)
           WHERE sized.bytes_to_here <= $3
           ORDER BY r.row_number`,
    values: [plainArray(jobIds), limit, maxBytes],
  })
  const byJob = new Map<string, Reject[]>(jobIds.map((id) => [id, []]))
  for (const row of rows) byJob.get(row.job_id)!.push(toReject(row))
  return byJob
}

// biome-ignore lint/suspicious/noExplicitAny: a row comes untyped from the driver; this is where it gets its type.
const toReject = (row: any): Reject => ({
  rowNumber: row.row_number,
  message: row.message,
  raw: row.raw,
  isDuplicate: row.is_duplicate,
})
