import type { Pool } from 'pg'
import { orAway } from '../platform/postgres/database.ts'
import { JOB_STATUSES, type JobStatus } from './job.ts'

/** How many jobs a client has, all together and in each status. */
export type JobStats = Record<'total' | JobStatus, number>

/**
 * Counts the jobs of a client in one statement, which reads one index only.
 *
 * @throws PebblesError `unavailable` when the database cannot be reached
 */
export async function readJobStats(pool: Pool, clientKrn: string): Promise<JobStats> {
  const { rows } = await orAway(
    pool.query<{ status: JobStatus; jobs: number }>({
      name: 'read-job-stats',
      text: 'SELECT status, count(*) AS jobs FROM jobs WHERE client_krn = $1 GROUP BY status',
      values: [clientKrn],
    }),
  )
  const counts = new Map(rows.map(({ status, jobs }) => [status, jobs]))
  const total = rows.reduce((sum, { jobs }) => sum + jobs, 0)
  return { total, ...byStatus((status) => counts.get(status) ?? 0) }
}

function byStatus(count: (status: JobStatus) => number): Record<JobStatus, number> {
  return Object.fromEntries(JOB_STATUSES.map((status) => [status, count(status)])) as Record<
    JobStatus,
    number
  >
}
