import type { DatabaseError, Pool } from 'pg'
import { inTransaction, sqlState } from '../platform/postgres/database.ts'

/**
 * Days for which the id of an HTTP update or an import batch is remembered: today and the two before it, so at least
 * 48 hours, twice what the API promises.
 */
export const KEPT_DAYS = 3
const DAYS_AHEAD = 3

/**
 * Making or dropping a partition locks the table against all writers, who would queue up behind a lock that is waited
 * for: behind a backup, for hours. So the wait is short, and the next run tries again.
 */
const LOCK_TIMEOUT = "SET LOCAL lock_timeout = '500ms'"

/** Makes the partitions that ids are written to, for some days ahead. */
export function ensureIdDays(pool: Pool): Promise<void> {
  return inTransaction(pool, async (tx) => {
    await tx.query(LOCK_TIMEOUT)
    await tx.query(
      `SELECT ensure_applied_ids_days(today, today + $1::int)
       FROM (SELECT (now() AT TIME ZONE 'UTC')::date AS today) t`,
      [DAYS_AHEAD],
    )
  })
}

/** PostgreSQL says so with the code of a violated check; of which this one has no name. */
export function isPartitionMissing(error: unknown): boolean {
  return sqlState(error) === '23514' && (error as DatabaseError).constraint === undefined
}

/** Drops, whole, the partitions of days that are no longer remembered. */
export async function dropOldIdDays(pool: Pool): Promise<void> {
  const { rows } = await pool.query<{ name: string }>(
    `SELECT c.relname AS name
     FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'applied_ids'::regclass
       AND right(c.relname, 8) <= to_char((now() AT TIME ZONE 'UTC')::date - $1::int, 'YYYYMMDD')`,
    [KEPT_DAYS],
  )
  for (const { name } of rows) {
    await inTransaction(pool, async (tx) => {
      await tx.query(LOCK_TIMEOUT)
      await tx.query(`DROP TABLE IF EXISTS ${name}`)
    })
  }
}

/**
 * Binds an id to a fingerprint; false when it is bound to another one already.
 * The id of a request with many updates, each of which has an id of its own.
 */
export async function bindIdToday(pool: Pool, id: string, fingerprint: string): Promise<boolean> {
  try {
    return await bindId(pool, id, fingerprint)
  } catch (error) {
    if (!isPartitionMissing(error)) throw error
    await ensureIdDays(pool)
    return bindId(pool, id, fingerprint)
  }
}

async function bindId(pool: Pool, id: string, fingerprint: string): Promise<boolean> {
  const { rows } = await pool.query<{ fingerprint: string }>(
    `WITH bound AS (
       INSERT INTO applied_ids (day, id, fingerprint, result)
       SELECT (now() AT TIME ZONE 'UTC')::date, $1::uuid, $2::uuid, 'bound'
       WHERE NOT EXISTS (SELECT FROM applied_ids WHERE id = $1::uuid AND day > (now() AT TIME ZONE 'UTC')::date - $3::int)
       ON CONFLICT DO NOTHING
       RETURNING fingerprint)
     SELECT fingerprint FROM bound
     UNION ALL
     SELECT fingerprint FROM applied_ids WHERE id = $1::uuid AND day > (now() AT TIME ZONE 'UTC')::date - $3::int`,
    [id, fingerprint, KEPT_DAYS],
  )
  // No row at all: somebody bound it this instant, and is seen only by a second look.
  return rows.length === 0 ? bindId(pool, id, fingerprint) : rows[0]!.fingerprint === fingerprint
}
