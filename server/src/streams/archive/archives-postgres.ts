import type { ClientBase, Pool } from 'pg'
import { numberArray } from '../../platform/postgres/arrays.ts'
import { inTransaction } from '../../platform/postgres/database.ts'
import type { ArchiveKind } from './archive-file.ts'
import type { ArchiveIntent } from './archive-plan.ts'

/**
 * The archives among the groups that have checkpoints. Positions of `raw` are offsets of the log; of `late` as well, but
 * it reads a table; those of `aggregates` are sequences of closings.
 */
export const ARCHIVE_GROUPS = {
  raw: 'archiver',
  aggregates: 'archiver-aggregates',
  late: 'archiver-late',
} as const satisfies Record<ArchiveKind, string>

/** An archive of a partition. */
export interface ArchivePart {
  kind: ArchiveKind
  partition: number
}

export interface ArchiveCheckpoint {
  version: number
  /** Rows before it are in objects. */
  position: number
  /** What was about to be written behind it. */
  intent: ArchiveIntent | undefined
}

/** Rows that are in objects, or that never will be. */
export interface ArchivedCount {
  kind: ArchiveKind | 'never'
  stream: string
  clientKrn: string
  rows: number
}

/** How far the archive of a partition is. */
export function loadArchive(pool: Pool, { kind, partition }: ArchivePart): Promise<ArchiveCheckpoint> {
  return inTransaction(pool, async (tx) => {
    const group = ARCHIVE_GROUPS[kind]
    await tx.query(
      'INSERT INTO log_checkpoints (reader_group, partition) VALUES ($1, $2) ON CONFLICT DO NOTHING',
      [group, partition],
    )
    // Locked, so that the intent below is that of this version.
    const { rows } = await tx.query(
      'SELECT version, position FROM log_checkpoints WHERE reader_group = $1 AND partition = $2 FOR UPDATE',
      [group, partition],
    )
    const intents = await tx.query(
      `SELECT first_position, next_position, format, objects FROM archive_intents
       WHERE kind = $1 AND partition = $2`,
      [kind, partition],
    )
    const [intent] = intents.rows.map(({ first_position, next_position, format, objects }) => ({
      first: first_position,
      next: next_position,
      format,
      objects,
    }))
    return { ...rows[0], intent }
  })
}

/**
 * Says what is about to be written behind the checkpoint of `version`.
 *
 * @returns false when there is another version: somebody else went on from here
 */
export function commitIntent(
  pool: Pool,
  { kind, partition }: ArchivePart,
  version: number,
  { first, next, format, objects }: ArchiveIntent,
): Promise<boolean> {
  return inTransaction(pool, async (tx) => {
    if (!(await moveCheckpoint(tx, { kind, partition }, version))) return false
    // One that is there already would break the primary key, and with it the commit.
    await tx.query(
      `INSERT INTO archive_intents (kind, partition, first_position, next_position, format, objects)
       VALUES ($1, $2, $3, $4, $5, $6)`,
      [kind, partition, first, next, format, JSON.stringify(objects)],
    )
    return true
  })
}

/**
 * Says what became of the intent: moves the position behind it and counts its rows.
 *
 * @returns false when there is another version, as in {@link commitIntent}
 */
export function commitWritten(
  pool: Pool,
  { kind, partition }: ArchivePart,
  version: number,
  next: number,
  counts: readonly ArchivedCount[],
): Promise<boolean> {
  return inTransaction(pool, async (tx) => {
    if (!(await moveCheckpoint(tx, { kind, partition }, version, next))) return false
    await tx.query('DELETE FROM archive_intents WHERE kind = $1 AND partition = $2', [kind, partition])
    await tx.query(
      `INSERT INTO archived AS a (kind, partition, client_krn, stream, archived_rows)
       SELECT kind, $1, client_krn, stream, archived_rows
       FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[]) c (kind, client_krn, stream, archived_rows)
       ON CONFLICT (client_krn, stream, kind, partition) DO UPDATE
         SET archived_rows = a.archived_rows + excluded.archived_rows`,
      [
        partition,
        counts.map(({ kind }) => kind),
        counts.map(({ clientKrn }) => clientKrn),
        counts.map(({ stream }) => stream),
        numberArray(counts.map(({ rows }) => rows)),
      ],
    )
    return true
  })
}

/**
 * Counts, as never archived, the events of a day of the log that are in no object, and moves the position behind them: the
 * day is about to go, which happens while the archive is off. Otherwise there are none.
 *
 * @param table of runs
 */
export async function passOver(tx: ClientBase, table: string): Promise<void> {
  const { rows } = await tx.query<{ partition: number }>(
    `WITH gone AS (
       SELECT r.partition, r.client_krn, r.stream, max(r.last_offset) + 1 AS next,
              sum(least(r.events, r.last_offset + 1 - coalesce(c.position, 0))) AS events
       FROM ${table} r
       LEFT JOIN log_checkpoints c ON c.reader_group = $1 AND c.partition = r.partition
       WHERE r.last_offset >= coalesce(c.position, 0)
       GROUP BY r.partition, r.client_krn, r.stream
     ), moved AS (
       INSERT INTO log_checkpoints AS c (reader_group, partition, position, resume_offset)
       SELECT $1, partition, max(next), max(next) FROM gone GROUP BY partition
       ON CONFLICT (reader_group, partition) DO UPDATE
         SET version = c.version + 1, position = excluded.position, resume_offset = excluded.resume_offset
     ), counted AS (
       INSERT INTO archived AS a (kind, partition, client_krn, stream, archived_rows)
       SELECT 'never', partition, client_krn, stream, events FROM gone
       ON CONFLICT (client_krn, stream, kind, partition) DO UPDATE
         SET archived_rows = a.archived_rows + excluded.archived_rows)
     SELECT DISTINCT partition FROM gone`,
    [ARCHIVE_GROUPS.raw],
  )
  const partitions = rows.map(({ partition }) => partition)
  await tx.query(`DELETE FROM archive_intents WHERE kind = 'raw' AND partition = ANY ($1)`, [partitions])
}

async function moveCheckpoint(
  tx: ClientBase,
  { kind, partition }: ArchivePart,
  version: number,
  position?: number,
): Promise<boolean> {
  const { rowCount } = await tx.query(
    `UPDATE log_checkpoints
     SET version = version + 1, position = coalesce($4, position), resume_offset = coalesce($4, position)
     WHERE reader_group = $1 AND partition = $2 AND version = $3`,
    [ARCHIVE_GROUPS[kind], partition, version, position],
  )
  return rowCount === 1
}
