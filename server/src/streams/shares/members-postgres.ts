import type { ClientBase, Pool } from 'pg'
import { numberArray, plainArray, textArray } from '../../platform/postgres/arrays.ts'
import { inTransaction } from '../../platform/postgres/database.ts'
import { dealParts, type Holder } from './shares.ts'

/** A process that says nothing for so long is taken for dead. */
const ALIVE_MS = 6_000

/**
 * Says that this process reads in a group, and tells which of the parts of the work are its share. When processes came or
 * went, the first one that notices deals anew, see {@link dealParts}. Two may believe for a moment that a part is
 * theirs; a checkpoint decides then.
 *
 * @param parts their number; as a rule each is a partition of the log
 */
export async function takeShare(pool: Pool, group: string, id: string, parts: number): Promise<Set<number>> {
  const { rows } = await pool.query<Holder>(
    `WITH gone AS (DELETE FROM log_readers WHERE reader_group = $1 AND alive_until < now() AND id <> $2),
          me AS (INSERT INTO log_readers (reader_group, id, alive_until)
                 VALUES ($1, $2, now() + $3 * interval '1 millisecond')
                 ON CONFLICT (reader_group, id) DO UPDATE SET alive_until = excluded.alive_until
                 RETURNING id, parts)
     SELECT id, parts FROM log_readers WHERE reader_group = $1 AND alive_until >= now() AND id <> $2
     UNION ALL SELECT id, parts FROM me ORDER BY id`,
    [group, id, ALIVE_MS],
  )
  const dealt = dealParts(parts, rows)
  const isDealt = rows.every((row) => String(row.parts) === String(dealt.get(row.id)))
  const shares = isDealt ? dealt : await inTransaction(pool, (tx) => deal(tx, group, parts))
  return new Set(shares.get(id))
}

/** One at a time: a share is made of those before it. */
async function deal(tx: ClientBase, group: string, parts: number): Promise<Map<string, number[]>> {
  await tx.query(`SELECT pg_advisory_xact_lock(hashtext('pebbles.shares'), hashtext($1))`, [group])
  const { rows } = await tx.query<Holder>(
    'SELECT id, parts FROM log_readers WHERE reader_group = $1 AND alive_until >= now() ORDER BY id',
    [group],
  )
  const dealt = dealParts(parts, rows)
  await tx.query(
    `UPDATE log_readers r SET parts = d.parts::smallint[] FROM unnest($2::uuid[], $3::text[]) d (id, parts)
     WHERE r.reader_group = $1 AND r.id = d.id`,
    [group, plainArray([...dealt.keys()]), textArray(Array.from(dealt.values(), numberArray))],
  )
  return dealt
}

/** Leaves its share to the others at once. */
export async function leave(pool: Pool, group: string, id: string): Promise<void> {
  await pool.query('DELETE FROM log_readers WHERE reader_group = $1 AND id = $2', [group, id])
}
