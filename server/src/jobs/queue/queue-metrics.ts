import type { Pool } from 'pg'
import { Gauge, type Registry } from 'prom-client'
import { createSharedReading } from '../../platform/telemetry/shared-reading.ts'
import type { JobStatus } from '../job.ts'

type Waiting = Extract<JobStatus, 'pending' | 'processing'>
type Depth = Record<Waiting, number>

const QUERY_TIMEOUT_MS = 3_000

/** Shows how many jobs wait and are under way, in all processes together. Left out while the database is away. */
export function measureQueue(pool: Pool, registry: Registry): void {
  const depth = createSharedReading(() => readDepth(pool))
  new Gauge({
    name: 'pebbles_jobs',
    help: 'Jobs that wait (pending) or are under way (processing), in all processes together.',
    labelNames: ['status'],
    registers: [registry],
    async collect() {
      const found = await depth()
      this.reset()
      for (const [status, jobs] of Object.entries(found ?? {})) this.set({ status }, jobs)
    },
  })
}

/** Counts by an index that finds those which have not ended: the others may be millions. */
async function readDepth(pool: Pool): Promise<Depth> {
  const { rows } = await pool.query<{ status: Waiting; jobs: number }>({
    name: 'read-queue-depth',
    text: `SELECT status, count(*) AS jobs FROM jobs WHERE status IN ('pending', 'processing') GROUP BY status`,
    query_timeout: QUERY_TIMEOUT_MS,
  } as { name: string; text: string })
  return { pending: 0, processing: 0, ...Object.fromEntries(rows.map(({ status, jobs }) => [status, jobs])) }
}
