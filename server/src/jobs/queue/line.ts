import type { ClientBase, Pool } from 'pg'
import { statusesBefore } from '../job.ts'

/**
 * What stands in a queue: a job is to be begun, having been begun `attempt` times so far. Beginning it raises the
 * number, so an entry is used up by its claim, and one that comes late or twice finds nothing to do.
 */
export interface Entry {
  jobId: string
  attempt: number
  /** How often it was begun in vain beyond the three times that may have been anything. */
  setbacks: number
}

/** Where the entries of one queue are kept. */
export interface Line {
  /** Those of the entries that are not there, in the same order. */
  findMissing(entries: readonly Entry[]): Promise<Entry[]>
  /** Puts them in, the first one first. An entry that is there already may be put in once more. */
  put(entries: readonly Entry[], options: { isNew: boolean }): Promise<void>
}

/** Names the entry within the queue. */
export const entryKey = ({ jobId, attempt }: Pick<Entry, 'jobId' | 'attempt'>) => `${jobId}.${attempt}`

/**
 * The higher, the sooner; among equals the first comes first. A job that was in line before goes before new ones, for
 * it is older; one that was begun again and again without getting further goes behind them, for it may be the one that
 * kills its process.
 */
export function urgencyOf({ attempt, setbacks }: Entry, { isNew }: { isNew: boolean }): number {
  if (setbacks > 0) return -setbacks
  return isNew && attempt === 0 ? 0 : 1
}

/** Where a page of the line ended. */
export type Place = { setbacks: number; createdAt: Date; jobId: string }

/** The jobs that wait for a worker: not ended, and held by nobody. The order is that of the index `jobs_claimable`. */
const WAITING = `status IN ('pending', 'processing') AND status = ANY ($1)
  AND (lease_until IS NULL OR lease_until < now())`
const SETBACKS = 'greatest(stalled_attempts - 2, 0)'

/** The first waiting jobs in line, or the next ones behind `after`; of the new ones those that are `minAgeMs` old. */
export async function listWaiting(
  pool: Pool,
  { after, limit, minAgeMs }: { after?: Place | undefined; limit: number; minAgeMs: number },
): Promise<(Entry & Place)[]> {
  const { rows } = await pool.query<Entry & Place>({
    name: 'list-waiting',
    text: `SELECT id AS "jobId", attempt, ${SETBACKS} AS setbacks, created_at AS "createdAt" FROM jobs
           WHERE ${WAITING} AND (${SETBACKS}, created_at, id) > ($2, $3, $4)
             AND (attempt > 0 OR created_at < now() - $6 * interval '1 ms')
           ORDER BY ${SETBACKS}, created_at, id LIMIT $5`,
    values: [
      statusesBefore('claim'),
      after?.setbacks ?? -1,
      after?.createdAt ?? new Date(0),
      after?.jobId ?? '00000000-0000-0000-0000-000000000000',
      limit,
      minAgeMs,
    ],
  })
  return rows
}

/** Those of the jobs that wait. */
export async function findWaiting(db: Pool | ClientBase, jobIds: readonly string[]): Promise<Entry[]> {
  const { rows } = await db.query<Entry>({
    name: 'find-waiting',
    text: `SELECT id AS "jobId", attempt, ${SETBACKS} AS setbacks FROM jobs
           WHERE ${WAITING} AND id = ANY ($2) ORDER BY ${SETBACKS}, created_at, id`,
    values: [statusesBefore('claim'), jobIds],
  })
  return rows
}
