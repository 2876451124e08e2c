import type { Pool } from 'pg'
import { claimJob } from '../../src/jobs/import/claim-postgres.ts'
import type { ClaimedJob } from '../../src/jobs/job.ts'
import { listWaiting } from '../../src/jobs/queue/line.ts'

/** What a worker with an empty queue in front of it would be brought: the first job in line that nobody else takes. */
export async function claimNextJob(pool: Pool): Promise<ClaimedJob | undefined> {
  for (const entry of await listWaiting(pool, { limit: 10, minAgeMs: -1_000 })) {
    const job = await claimJob(pool, entry)
    if (job) return job
  }
  return undefined
}
