import type { Pool } from 'pg'
import { orAway } from '../../platform/postgres/database.ts'
import type { WindowQuery } from './read-postgres.ts'

/** An event that came after its window had closed. */
export interface StoredLateEvent {
  partition: number
  offset: number
  startMs: number
  seenAt: Date
  /** It was added to the aggregate of its key. */
  isRevision: boolean
  /** JSON, as it was sent. */
  payload: string
}

/** Place behind an event in the order of windows. */
export interface LateCursor {
  ms: number
  partition: number
  offset: number
}

/** Late events of one stream whose windows are in [from, to), in the order of windows, then of the log. */
export async function listLate(
  pool: Pool,
  { clientKrn, stream, fromMs, toMs }: WindowQuery,
  { limit, after }: { limit: number; after: LateCursor | undefined },
): Promise<StoredLateEvent[]> {
  const { ms, partition, offset } = after ?? { ms: fromMs, partition: -1, offset: -1 }
  const { rows } = await orAway(
    pool.query({
      name: 'list-late',
      // The first condition alone is one that the index knows how to begin at.
      text: `SELECT partition, log_offset, window_start, seen_at, revised, payload FROM late_events
             WHERE scope_id = (SELECT id FROM stream_scopes WHERE client_krn = $1 AND stream = $2)
               AND window_start >= greatest($3::timestamptz, $5) AND window_start < $4
               AND (window_start, partition, log_offset) > ($5::timestamptz, $6::smallint, $7::bigint)
             ORDER BY window_start, partition, log_offset LIMIT $8`,
      values: [clientKrn, stream, new Date(fromMs), new Date(toMs), new Date(ms), partition, offset, limit],
    }),
  )
  return rows.map((row) => ({
    partition: row.partition,
    offset: row.log_offset,
    startMs: row.window_start.getTime(),
    seenAt: row.seen_at,
    isRevision: row.revised,
    payload: row.payload,
  }))
}
