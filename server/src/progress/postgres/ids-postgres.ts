import type { DatabaseError, Pool } from 'pg'
import { inTransaction, sqlState } from '../../platform/postgres/database.ts'
import type { IdKind } from '../record.ts'

/** Where the ids of one kind are remembered: in partitions by date, made ahead and dropped whole. */
interface IdTable {
  table: string
  /** The column with the date that a partition begins at, and what that is at this moment. */
  column: string
  current: string
  ensure: string
  /** Days for which partitions are made ahead. */
  daysAhead: number
  /** A partition that began so many days before the current one is forgotten. */
  keptDays: number
}

export const ID_TABLES: Record<IdKind, IdTable> = {
  // Today and the two days before it, so at least 48 hours: twice what the API promises.
  request: {
    table: 'applied_ids',
    column: 'day',
    current: "(now() AT TIME ZONE 'UTC')::date",
    ensure: 'ensure_applied_ids_days',
    daysAhead: 3,
    keptDays: 3,
  },
  // This week and the four before it, so at least 28 days: 14 in a queue and as many again in its dead-letter queue.
  message: {
    table: 'message_ids',
    column: 'week',
    current: "date_trunc('week', now() AT TIME ZONE 'UTC')::date",
    ensure: 'ensure_message_ids_weeks',
    daysAhead: 21,
    keptDays: 35,
  },
}

/** Days for which a message that comes again is surely known. What is older cannot be counted exactly. */
export const KEPT_MESSAGE_DAYS = ID_TABLES.message.keptDays - 7

/**
 * Making or dropping a partition locks the table against all writers, who would queue up behind a lock that is waited
 * for: behind a backup, for hours. So the wait is short, and the next run tries again.
 */
const LOCK_TIMEOUT = "SET LOCAL lock_timeout = '500ms'"

/** Makes the partitions that ids are written to, for some time ahead. */
export async function ensureIdPartitions(pool: Pool): Promise<void> {
  for (const { ensure, daysAhead } of Object.values(ID_TABLES)) {
    await inTransaction(pool, async (tx) => {
      await tx.query(LOCK_TIMEOUT)
      await tx.query(
        `SELECT ${ensure}(today, today + $1::int) FROM (SELECT (now() AT TIME ZONE 'UTC')::date AS today) t`,
        [daysAhead],
      )
    })
  }
}

/** PostgreSQL says so with the code of a violated check; of which this one has no name. */
export function isPartitionMissing(error: unknown): boolean {
  return sqlState(error) === '23514' && (error as DatabaseError).constraint === undefined
}

/** Drops, whole, the partitions of what is no longer remembered. */
export async function dropOldIdPartitions(pool: Pool): Promise<void> {
  for (const { table, current, keptDays } of Object.values(ID_TABLES)) {
    const { rows } = await pool.query<{ name: string }>(
      `SELECT c.relname AS name
       FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
       WHERE i.inhparent = '${table}'::regclass
         AND right(c.relname, 8) <= to_char(${current} - $1::int, 'YYYYMMDD')`,
      [keptDays],
    )
    for (const { name } of rows) {
      await inTransaction(pool, async (tx) => {
        await tx.query(LOCK_TIMEOUT)
        await tx.query(`DROP TABLE IF EXISTS ${name}`)
      })
    }
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
    await ensureIdPartitions(pool)
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
    [id, fingerprint, ID_TABLES.request.keptDays],
  )
  // No row at all: somebody bound it this instant, and is seen only by a second look.
  return rows.length === 0 ? bindId(pool, id, fingerprint) : rows[0]!.fingerprint === fingerprint
}
