import type { Pool } from 'pg'
import { orAway } from '../../platform/postgres/database.ts'

/** What is published of a partition of the log: windows that closed, and events that came too late for theirs. */
export type PublicationKind = 'aggregates' | 'late'

/** The last thing that was published: of aggregates the sequence of a closing, of late events an offset of the log. */
export interface Place {
  sequence: number
  /** Within the window of the sequence, the last key; without it, all of them. */
  key?: string | undefined
}

export interface Publication {
  /** Moves with every change. */
  version: number
  place: Place
  /** Where it lies in which topic: what lies behind may be ours as well. Undefined until a topic was looked at. */
  at: { topicId: string; partition: number; offset: number } | undefined
}

/** An event that came after its window had closed. */
export interface LateEntry {
  offset: number
  clientKrn: string
  stream: string
  key: string
  windowStartMs: number
  /** As it was sent; null for another stream than the one that was asked for. */
  payload: string | null
}

/** By kind, of each partition: how far there is something to publish. */
export type Heads = Record<PublicationKind, number[]>

const HEADS = `coalesce((SELECT sequence FROM log_checkpoints c
                         WHERE c.partition = p AND reader_group = 'aggregator'), 0) AS aggregates,
               coalesce((SELECT max(log_offset) FROM late_events l WHERE l.partition = p), -1) AS late`

/**
 * Begins to publish partitions that were not published before, with what comes from now on. To be called before
 * anything aggregates.
 */
export async function beginPublications(pool: Pool, first: number, last: number): Promise<void> {
  await orAway(
    pool.query(
      `INSERT INTO publications (kind, partition, sequence)
       SELECT k.kind, p, CASE k.kind WHEN 'late' THEN h.late ELSE h.aggregates END
       FROM generate_series($1::int, $2::int) p, LATERAL (SELECT ${HEADS}) h, (VALUES ('aggregates'), ('late')) k (kind)
       ON CONFLICT DO NOTHING`,
      [first, last],
    ),
  )
}

/** @throws PebblesError `unavailable` */
export async function loadPublication(
  pool: Pool,
  kind: PublicationKind,
  partition: number,
): Promise<Publication> {
  const find = () =>
    orAway(
      pool.query({
        name: 'load-publication',
        text: `SELECT version, sequence, key, topic_id, topic_partition, topic_offset
               FROM publications WHERE kind = $1 AND partition = $2`,
        values: [kind, partition],
      }),
    )
  let { rows } = await find()
  if (rows.length === 0) {
    await beginPublications(pool, partition, partition)
    rows = (await find()).rows
  }
  const { version, sequence, key, topic_id: topicId, topic_partition, topic_offset: offset } = rows[0]
  return {
    version,
    place: key === null ? { sequence } : { sequence, key },
    at: topicId === null ? undefined : { topicId, partition: topic_partition, offset },
  }
}

/**
 * Notes how far a partition was published.
 *
 * @returns false when there is another version: somebody else goes on with it
 */
export async function savePublication(
  pool: Pool,
  kind: PublicationKind,
  partition: number,
  { version, place, at }: Publication,
): Promise<boolean> {
  const { rowCount } = await orAway(
    pool.query({
      name: 'save-publication',
      text: `UPDATE publications
             SET version = version + 1, sequence = $4, key = $5, topic_id = $6, topic_partition = $7, topic_offset = $8
             WHERE kind = $1 AND partition = $2 AND version = $3`,
      values: [
        kind,
        partition,
        version,
        place.sequence,
        place.key ?? null,
        at?.topicId,
        at?.partition,
        at?.offset,
      ],
    }),
  )
  return rowCount === 1
}

/** How far there is something to publish, of each of so many partitions. */
export async function readPublicationHeads(pool: Pool, partitions: number): Promise<Heads> {
  const { rows } = await orAway(
    pool.query({
      name: 'read-publication-heads',
      text: `SELECT ${HEADS} FROM generate_series(0, $1::int - 1) p ORDER BY p`,
      values: [partitions],
    }),
  )
  return { aggregates: rows.map(({ aggregates }) => aggregates), late: rows.map(({ late }) => late) }
}

/**
 * Late events of one partition behind an offset of the log, in the order of offsets, which is that of commits.
 *
 * @throws PebblesError `unavailable`
 */
export async function readLate(
  pool: Pool,
  stream: string,
  { partition, after, limit }: { partition: number; after: number; limit: number },
): Promise<LateEntry[]> {
  const { rows } = await orAway(
    pool.query({
      name: 'read-late-entries',
      text: `SELECT l.log_offset, s.client_krn, s.stream, l.key, l.window_start,
                    CASE WHEN s.stream = $1 THEN l.payload END AS payload
             FROM late_events l JOIN stream_scopes s ON s.id = l.scope_id
             WHERE l.partition = $2 AND l.log_offset > $3 ORDER BY l.log_offset LIMIT $4`,
      values: [stream, partition, after, limit],
    }),
  )
  return rows.map((row) => ({
    offset: row.log_offset,
    clientKrn: row.client_krn,
    stream: row.stream,
    key: row.key,
    windowStartMs: row.window_start.getTime(),
    payload: row.payload,
  }))
}
