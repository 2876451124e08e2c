import type { Pool } from 'pg'
import { inTransaction } from '../../platform/postgres/database.ts'
import { passOver } from '../archive/archives-postgres.ts'

const DAYS_AHEAD = 3
/** Ids are looked for on two days, which is 24 hours at least. */
const ID_DAYS = 2

/** Making or dropping a partition locks its table against all writers; see `progress/postgres/ids-postgres.ts`. */
const LOCK_TIMEOUT = "SET LOCAL lock_timeout = '500ms'"

/** Makes the partitions that events are written to, for some days ahead. */
export function ensureLogDays(pool: Pool): Promise<void> {
  return inTransaction(pool, async (tx) => {
    // Others that make them keep nobody else waiting: processes that start together wait for each other.
    await tx.query(`SELECT pg_advisory_xact_lock(hashtext('pebbles.log_days'))`)
    await tx.query(LOCK_TIMEOUT)
    await tx.query(
      `SELECT ensure_log_days(today, today + $1::int) FROM (SELECT (now() AT TIME ZONE 'UTC')::date AS today) t`,
      [DAYS_AHEAD],
    )
  })
}

/**
 * Drops, whole, the days of the log that are older than `keptDays`, and of ids those that nobody looks at any more.
 * A day with an event that one of `groups` still needs stays, however old: what was taken in is decided first.
 *
 * @param groups of readers that are there to read it; others may have left a checkpoint, or count something else
 * @returns the tables that are gone
 */
export async function dropOldLogDays(
  pool: Pool,
  keptDays: number,
  groups: readonly string[],
): Promise<string[]> {
  const ids = await oldDays(pool, 'event_ids', ID_DAYS)
  const runs: string[] = []
  for (const name of await oldDays(pool, 'log_runs', keptDays)) {
    if (await isNeeded(pool, name, groups)) break
    runs.push(name)
  }
  for (const name of [...ids, ...runs]) {
    await inTransaction(pool, async (tx) => {
      await tx.query(LOCK_TIMEOUT)
      if (runs.includes(name)) await passOver(tx, name)
      await tx.query(`DROP TABLE IF EXISTS ${name}`)
    })
  }
  return [...ids, ...runs]
}

/** The oldest first. */
async function oldDays(pool: Pool, parent: string, keptDays: number): Promise<string[]> {
  const { rows } = await pool.query<{ name: string }>(
    `SELECT c.relname AS name
     FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = $1::regclass
       AND right(c.relname, 8) <= to_char((now() AT TIME ZONE 'UTC')::date - $2::int, 'YYYYMMDD')
     ORDER BY c.relname`,
    [parent, keptDays],
  )
  return rows.map(({ name }) => name)
}

/** A partition that a group has not read yet is needed from its beginning. */
async function isNeeded(pool: Pool, table: string, groups: readonly string[]): Promise<boolean> {
  const { rows } = await pool.query(
    `SELECT EXISTS (
       SELECT FROM log_partitions p
       CROSS JOIN unnest($1::text[]) AS g (reader_group)
       LEFT JOIN log_checkpoints c ON c.partition = p.partition AND c.reader_group = g.reader_group
       CROSS JOIN LATERAL (SELECT max(last_offset) AS last_offset FROM ${table} r WHERE r.partition = p.partition) r
       WHERE r.last_offset >= coalesce(c.resume_offset, 0)) AS needed`,
    [groups],
  )
  return rows[0].needed
}
