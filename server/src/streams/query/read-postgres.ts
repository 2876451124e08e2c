import type { Pool } from 'pg'
import { plainArray } from '../../platform/postgres/arrays.ts'
import { orAway } from '../../platform/postgres/database.ts'
import type { MeasureKind } from '../windows/fold.ts'

/** Closed windows of one stream, in [from, to). */
export interface WindowQuery {
  clientKrn: string
  stream: string
  fromMs: number
  toMs: number
}

export interface Aggregate {
  key: string
  startMs: number
  events: number
  /** The measures other than `count`; null when the stream has none. */
  values: number[] | null
}

const SCOPE = '(SELECT id FROM stream_scopes WHERE client_krn = $1 AND stream = $2)'
const RANGE = `scope_id = ${SCOPE} AND window_start >= $3 AND window_start < $4`

/**
 * Aggregates in the order of window and key; of one key when it is given.
 *
 * @param stepMs of one key: windows of so many milliseconds are made of the stored ones
 * @param measures of the stream: how those of several windows become one. With a step there is no `distinct` among them
 */
export async function listAggregates(
  pool: Pool,
  query: WindowQuery & { key?: string | undefined; stepMs?: number | undefined },
  measures: readonly MeasureKind[],
  page: { limit: number; after?: { ms: number; key: string } | undefined },
): Promise<Aggregate[]> {
  const values: unknown[] = [query.clientKrn, query.stream, new Date(query.fromMs), new Date(query.toMs)]
  const bind = (value: unknown) => `$${values.push(value)}`
  let where = RANGE
  if (query.key !== undefined) where += ` AND key = ${bind(query.key)}`
  // Not asked for, they need not be read: all the rest is in the index.
  const stored = measures.length > 0 ? 'measures' : 'NULL AS measures'
  let text = `SELECT key, window_start, events, ${stored} FROM aggregates WHERE ${where}`
  if (query.stepMs !== undefined) {
    const start = `date_bin(${bind(query.stepMs)}::bigint * interval '1 millisecond', window_start, 'epoch'::timestamptz)`
    const combined = measures.map((kind, index) => `${kind}(measures[${index + 1}])`)
    const array = combined.length > 0 ? `ARRAY[${combined.join(', ')}]` : 'NULL'
    text = `SELECT key, ${start} AS window_start, sum(events)::bigint AS events, ${array} AS measures
            FROM aggregates WHERE ${where} GROUP BY 1, 2`
  }
  const after = page.after
    ? `WHERE (window_start, key) > (${bind(new Date(page.after.ms))}, ${bind(page.after.key)})`
    : ''
  text = `SELECT * FROM (${text}) a ${after} ORDER BY window_start, key LIMIT ${bind(page.limit)}`
  const { rows } = await orAway(pool.query(text, values))
  return rows.map((row) => ({
    key: row.key,
    startMs: row.window_start.getTime(),
    events: row.events,
    values: row.measures,
  }))
}

/**
 * Keys with the most events, the most first.
 *
 * The windows are named one by one: of a range that is newer than its statistics, PostgreSQL expects a single row, and
 * sorts 300,000 on the disk instead of hashing them (three times as long).
 */
export async function topKeys(
  pool: Pool,
  { clientKrn, stream, fromMs, toMs }: WindowQuery,
  windowMs: number,
  limit: number,
): Promise<{ key: string; events: number }[]> {
  const starts: string[] = []
  for (let ms = Math.ceil(fromMs / windowMs) * windowMs; ms < toMs; ms += windowMs)
    starts.push(new Date(ms).toISOString())
  const { rows } = await orAway(
    pool.query({
      name: 'top-keys',
      text: `SELECT key, sum(events)::bigint AS events FROM aggregates
             WHERE scope_id = ${SCOPE} AND window_start = ANY ($3::timestamptz[])
             GROUP BY key ORDER BY events DESC, key LIMIT $4`,
      values: [clientKrn, stream, plainArray(starts), limit],
    }),
  )
  return rows
}

/** Events of windows over all keys. */
export async function listTotals(
  pool: Pool,
  { clientKrn, stream, fromMs, toMs }: WindowQuery,
  stepMs: number,
): Promise<{ startMs: number; events: number }[]> {
  const { rows } = await orAway(
    pool.query({
      name: 'list-totals',
      text: `SELECT date_bin($5::bigint * interval '1 millisecond', window_start, 'epoch'::timestamptz) AS start,
                    sum(events)::bigint AS events
             FROM closings WHERE ${RANGE} GROUP BY start ORDER BY start`,
      values: [clientKrn, stream, new Date(fromMs), new Date(toMs), stepMs],
    }),
  )
  return rows.map(({ start, events }) => ({ startMs: start.getTime(), events }))
}
