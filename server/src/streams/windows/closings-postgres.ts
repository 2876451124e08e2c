import type { Pool } from 'pg'
import { numberArray } from '../../platform/postgres/arrays.ts'
import { orAway } from '../../platform/postgres/database.ts'
import type { Aggregate } from '../query/read-postgres.ts'

/** One window of one partition, with its keys there, or a part of them; or one aggregate that was revised. */
export interface ClosedWindow {
  partition: number
  sequence: number
  /** In the order of keys. */
  aggregates: Aggregate[]
  /** False when more keys of the window follow behind the last of these. */
  isWhole: boolean
  revision: { revision: number; delta: number } | undefined
}

/**
 * Of an entry `e` of closings: what it made known. A window is shown as it was when it closed.
 *
 * @param after key of which those behind it are meant, or NULL for all
 * @param limit most aggregates
 */
function aggregatesOf(after: string, limit: string): string {
  const ofWindow = (keys: string) => `
    (SELECT a.key, CASE WHEN a.revision = 0 THEN a.events ELSE a.first_events END,
            CASE WHEN a.revision = 0 THEN a.measures ELSE a.first_measures END
     FROM aggregates a
     WHERE e.key IS NULL AND a.scope_id = e.scope_id AND a.window_start = e.window_start
       AND a.partition = e.partition AND (a.revision = 0 OR a.first_events IS NOT NULL)
       AND a.key >= coalesce(${after} || chr(1), e.first_key, '') AND ${keys}
     ORDER BY a.key LIMIT ${limit})`
  // Each with both ends in its index, or a page would read the window to its end.
  return `SELECT e.key, e.total_events AS events, e.measures WHERE e.key IS NOT NULL
    UNION ALL ${ofWindow('e.last_key IS NULL')}
    UNION ALL ${ofWindow('a.key <= e.last_key')}`
}

/** How many windows each partition has closed. */
export async function readHeads(pool: Pool, partitions: number): Promise<number[]> {
  const { rows } = await orAway(
    pool.query({
      name: 'read-closing-heads',
      text: `SELECT coalesce(c.sequence, 0) AS sequence FROM generate_series(0, $1::int - 1) n
             LEFT JOIN log_checkpoints c ON c.partition = n AND c.reader_group = 'aggregator'
             ORDER BY n`,
      values: [partitions],
    }),
  )
  return rows.map(({ sequence }) => sequence)
}

/** A place in the closings of all partitions. */
export interface LiveCursor {
  /** Of each partition the last entry that is behind. */
  sequences: readonly number[]
  /** Of the next entry of the stream in one partition, all keys up to this one are behind, too. */
  within?: { partition: number; key: string } | undefined
}

export interface ClosedPage {
  /** In the order of partitions and sequences. */
  closed: ClosedWindow[]
  /** Nothing more is before the heads. */
  isLast: boolean
}

/**
 * Windows of one stream that closed behind a place and up to `heads`, of each partition.
 *
 * @param limit most aggregates in a page
 */
export async function readClosed(
  pool: Pool,
  { clientKrn, stream }: { clientKrn: string; stream: string },
  range: { after: LiveCursor; heads: readonly number[]; limit: number },
): Promise<ClosedPage> {
  const { after, heads, limit } = range
  const { sequences, within } = after
  const { rows } = await orAway(
    pool.query({
      name: 'read-closed',
      // No more entries than their keys fill the page; of the one within, who knows how many are left.
      text: `WITH found AS MATERIALIZED (
               SELECT c.*, c.partition = $6 AND c.sequence = r.after + 1 AS is_within
               FROM unnest($3::bigint[], $4::bigint[]) WITH ORDINALITY AS r (after, head, place)
               JOIN closings c ON c.partition = r.place - 1 AND c.sequence > r.after AND c.sequence <= r.head
               WHERE c.scope_id = (SELECT id FROM stream_scopes WHERE client_krn = $1 AND stream = $2)
               ORDER BY c.partition, c.sequence LIMIT $5
             ), entries AS (
               SELECT *, sum(CASE WHEN is_within THEN 0 ELSE keys END) OVER (ORDER BY partition, sequence)
                         - CASE WHEN is_within THEN 0 ELSE keys END AS before
               FROM found)
             SELECT e.partition, e.sequence, e.window_start, a.key, a.events, a.measures, e.revision, e.events AS delta
             FROM entries e
             CROSS JOIN LATERAL (${aggregatesOf('CASE WHEN e.is_within THEN $7 END', '$5')}) a
             WHERE e.before < $5
             ORDER BY e.partition, e.sequence, a.key LIMIT $5`,
      values: [
        clientKrn,
        stream,
        numberArray(sequences),
        numberArray(heads),
        limit + 1,
        within?.partition ?? null,
        within?.key ?? '',
      ],
    }),
  )
  const closed: ClosedWindow[] = []
  for (const row of rows.slice(0, limit)) {
    const { partition, sequence, key, window_start, events, measures, revision: number, delta } = row
    const aggregate = { key, startMs: window_start.getTime(), events, values: measures }
    const last = closed.at(-1)
    if (last !== undefined && last.partition === partition && last.sequence === sequence)
      last.aggregates.push(aggregate)
    else {
      const revision = number === null ? undefined : { revision: number, delta }
      closed.push({ partition, sequence, aggregates: [aggregate], isWhole: true, revision })
    }
  }
  const more = rows[limit]
  const last = closed.at(-1)
  if (more && last?.partition === more.partition && last?.sequence === more.sequence) last!.isWhole = false
  return { closed, isLast: more === undefined }
}

/**
 * A place in the entries of one partition: behind the entry `sequence` (the first is 1), or within it, behind `key`.
 * A window may have a million keys, so a page may end in the midst of one.
 */
export interface ClosingCursor {
  sequence: number
  key?: string | undefined
}

/** A window that closed, or some of its keys; or an aggregate that was revised after its window had closed. */
export interface ClosingEntry {
  sequence: number
  clientKrn: string
  stream: string
  startMs: number
  closedAt: Date
  /**
   * In the order of keys. Of a window, what they were when it closed, whatever was revised since; of a revision, the
   * one aggregate as the revision left it.
   */
  aggregates: Omit<Aggregate, 'startMs'>[]
  /** False when more keys of the window follow behind the last of these. */
  isWhole: boolean
  /** `revision` counts from 1 for each aggregate; `delta` are the events that it added, `events` what there are now. */
  revision: { key: string; revision: number; delta: number; events: number } | undefined
}

export const afterEntry = ({ sequence, isWhole, aggregates }: ClosingEntry): ClosingCursor =>
  isWhole ? { sequence } : { sequence, key: aggregates.at(-1)!.key }

/**
 * Entries of one partition, of all streams, in the order of commits. What is behind a cursor never changes; it only
 * becomes more.
 *
 * @param after `{ sequence: 0 }` to begin, then {@link afterEntry} of the last entry
 * @param limit most aggregates in a page
 * @throws PebblesError `unavailable`
 */
export async function readClosings(
  pool: Pool,
  partition: number,
  after: ClosingCursor,
  limit: number,
): Promise<ClosingEntry[]> {
  const { rows } = await orAway(
    pool.query({
      name: 'read-closings',
      // No more entries than their keys fill the page, so that no more is sorted than twice the page.
      text: `WITH entries AS MATERIALIZED (
               SELECT * FROM (
                 SELECT *, sum(keys) OVER (ORDER BY sequence) - keys AS before
                 FROM closings
                 WHERE partition = $1 AND sequence >= $2 AND (sequence > $2 OR $3::text IS NOT NULL)
                 ORDER BY sequence LIMIT $4) c
               WHERE before < $4)
             SELECT e.sequence, s.client_krn, s.stream, e.window_start, e.closed_at, a.key, a.events, a.measures,
                    e.revision, e.events AS delta
             FROM entries e
             JOIN stream_scopes s ON s.id = e.scope_id
             LEFT JOIN LATERAL (${aggregatesOf('CASE WHEN e.sequence = $2 THEN $3 END', '$4')}) a ON true
             ORDER BY e.sequence, a.key LIMIT $4`,
      values: [partition, after.sequence, after.key ?? null, limit + 1],
    }),
  )
  const entries: ClosingEntry[] = []
  for (const { sequence, key, events, measures, ...row } of rows.slice(0, limit)) {
    let entry = entries.at(-1)
    if (entry?.sequence !== sequence) {
      const { client_krn: clientKrn, stream, window_start, closed_at: closedAt, revision, delta } = row
      entry = {
        sequence,
        clientKrn,
        stream,
        startMs: window_start.getTime(),
        closedAt,
        aggregates: [],
        isWhole: true,
        revision: revision === null ? undefined : { key, revision, delta, events },
      }
      entries.push(entry)
    }
    if (key !== null) entry!.aggregates.push({ key, events, values: measures })
  }
  const last = entries.at(-1)
  if (last !== undefined && rows[limit]?.sequence === last.sequence) last.isWhole = false
  return entries
}
