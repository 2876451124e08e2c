import type { ClientBase, Pool } from 'pg'
import { booleanArray, numberArray, plainArray, textArray } from '../../platform/postgres/arrays.ts'
import { inTransaction } from '../../platform/postgres/database.ts'
import { type ClosingWindow, type FoldRule, mergeTotals, type SavedScope, shownValues } from './fold.ts'
import { loadParked, type Parking, parkWindows, takeParked } from './parked-postgres.ts'
import { type Revision, reviseAggregates } from './revisions-postgres.ts'
import { createTotalsWriter, isoOf } from './totals-rows.ts'

/** The aggregator among the groups that read the log. */
export const GROUP = 'aggregator'
/** Aggregates read and written at once, with their sketches. */
const MAX_REVISED = 500
/** Of one entry of closings: who follows them, as archives do, has all keys of one in memory. */
const MAX_KEYS = 20_000

export interface SavedProgress extends SavedScope {
  scopeId: number
  clientKrn: string
  stream: string
  /** Events of its parked windows, by their start. */
  parked: ReadonlyMap<number, number>
}

/** Where the aggregator is in a partition. */
export interface Checkpoint {
  version: number
  /** Events before it are decided. */
  position: number
  /** Events from it on rebuild the windows that were open, as far as they are not parked. */
  resumeOffset: number
  scopes: SavedProgress[]
}

export interface Closing {
  scopeId: number
  window: ClosingWindow
  rule: FoldRule
}

export interface LateEvent {
  scopeId: number
  offset: number
  key: string
  windowStartMs: number
  payload: string
  /** It is in one of the revisions of its commit. */
  isRevision: boolean
}

/** What became of a scope since the last commit. */
export interface ScopeChange extends SavedScope {
  scopeId: number
  /** Events of the windows that closed, and late ones: what is added. */
  counted: number
  late: number
  /** Of the late ones those that revise an aggregate: what is added. */
  revised: number
  /** Events in open windows: what there is now. */
  open: number
}

/** What one commit brings, all or nothing. */
export interface Progress {
  position: number
  resumeOffset: number
  scopes: readonly ScopeChange[]
  /** In the order in which they closed. */
  closings: readonly Closing[]
  late: readonly LateEvent[]
  /** What the late events add to windows that closed; one for each key and window. */
  revisions: readonly Revision[]
  /** Open windows as far as they are no longer in memory. The resume offset is then the position. */
  parked: readonly Parking[]
}

/** The id of a stream of a client. */
export async function scopeIdOf(pool: Pool, clientKrn: string, stream: string): Promise<number> {
  const values = [clientKrn, stream]
  const find = () => pool.query('SELECT id FROM stream_scopes WHERE client_krn = $1 AND stream = $2', values)
  const found = await find()
  if (found.rows.length > 0) return found.rows[0].id
  await pool.query(
    'INSERT INTO stream_scopes (client_krn, stream) VALUES ($1, $2) ON CONFLICT (client_krn, stream) DO NOTHING',
    values,
  )
  return (await find()).rows[0].id
}

const NONE: SavedProgress['parked'] = new Map()

/** The checkpoint of a partition, made when it is the first time. */
export function loadCheckpoint(pool: Pool, partition: number): Promise<Checkpoint> {
  return inTransaction(pool, async (tx) => {
    await tx.query(
      'INSERT INTO log_checkpoints (reader_group, partition) VALUES ($1, $2) ON CONFLICT DO NOTHING',
      [GROUP, partition],
    )
    // Locked, so that the scopes below are those of this version.
    const { rows } = await tx.query(
      `SELECT version, position, resume_offset FROM log_checkpoints
       WHERE reader_group = $1 AND partition = $2 FOR UPDATE`,
      [GROUP, partition],
    )
    const scopes = await tx.query(
      `SELECT p.scope_id, s.client_krn, s.stream, p.watermark_ms, p.closed_ms, p.appended_ms
       FROM scope_progress p JOIN stream_scopes s ON s.id = p.scope_id WHERE p.partition = $1`,
      [partition],
    )
    const parked = await loadParked(tx, partition)
    return {
      version: rows[0].version,
      position: rows[0].position,
      resumeOffset: rows[0].resume_offset,
      scopes: scopes.rows.map((row) => ({
        scopeId: row.scope_id,
        clientKrn: row.client_krn,
        stream: row.stream,
        watermarkMs: row.watermark_ms,
        closedMs: row.closed_ms,
        appendedMs: row.appended_ms,
        parked: parked.get(row.scope_id) ?? NONE,
      })),
    }
  })
}

/**
 * Commits progress behind the checkpoint of `version`.
 *
 * @returns false when there is another version: somebody else went on from here, and nothing was written
 */
export function commitProgress(
  pool: Pool,
  partition: number,
  version: number,
  progress: Progress,
): Promise<boolean> {
  return inTransaction(pool, async (tx) => {
    const { position, resumeOffset, closings, late, revisions, scopes, parked } = progress
    const entries = closings.length + revisions.length
    const { rows } = await tx.query({
      name: 'move-checkpoint',
      text: `UPDATE log_checkpoints
             SET version = version + 1, position = $4, resume_offset = $5, sequence = sequence + $6
             WHERE reader_group = $1 AND partition = $2 AND version = $3
             RETURNING sequence`,
      values: [GROUP, partition, version, position, resumeOffset, entries],
    })
    if (rows.length === 0) return false
    if (scopes.length > 0) await saveScopes(tx, partition, scopes)
    let after = rows[0].sequence - entries
    if (closings.length > 0) {
      const keys = await insertAggregates(tx, partition, closings)
      after += await insertClosings(tx, partition, after, closings, keys)
    }
    if (parked.length > 0) await parkWindows(tx, partition, version + 1, parked)
    if (late.length > 0) await insertLate(tx, partition, late)
    // After the windows: some of the same commit may be revised by it.
    for (let from = 0; from < revisions.length; from += MAX_REVISED) {
      const some = revisions.slice(from, from + MAX_REVISED)
      await reviseAggregates(tx, partition, after + from, some)
    }
    return true
  })
}

async function saveScopes(tx: ClientBase, partition: number, scopes: readonly ScopeChange[]): Promise<void> {
  const column = (of: (scope: ScopeChange) => number) => numberArray(scopes.map(of))
  await tx.query({
    name: 'save-scopes',
    text: `INSERT INTO scope_progress AS p (partition, scope_id, watermark_ms, closed_ms, appended_ms, counted, late, revised, open)
           SELECT $1, * FROM unnest($2::integer[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])
           ON CONFLICT (scope_id, partition) DO UPDATE SET
             watermark_ms = excluded.watermark_ms, closed_ms = excluded.closed_ms, appended_ms = excluded.appended_ms,
             counted = p.counted + excluded.counted, late = p.late + excluded.late,
             revised = p.revised + excluded.revised, open = excluded.open`,
    values: [
      partition,
      column(({ scopeId }) => scopeId),
      column(({ watermarkMs }) => watermarkMs),
      column(({ closedMs }) => closedMs),
      column(({ appendedMs }) => appendedMs),
      column(({ counted }) => counted),
      column(({ late }) => late),
      column(({ revised }) => revised),
      column(({ open }) => open),
    ],
  })
}

/**
 * A window of more keys than an entry has becomes several, in the order of keys. There is one entry for each in the
 * sequence already.
 *
 * @returns how many there are
 */
async function insertClosings(
  tx: ClientBase,
  partition: number,
  after: number,
  closings: readonly Closing[],
  keys: ReadonlyMap<Closing, number>,
): Promise<number> {
  const { rowCount } = await tx.query({
    name: 'insert-closings',
    text: `WITH closed AS (
             SELECT * FROM unnest($3::integer[], $4::timestamptz[], $5::integer[], $6::bigint[])
               WITH ORDINALITY AS c (scope_id, window_start, keys, events, place)
           ), entries AS (
             SELECT *, NULL AS first_key, NULL AS last_key FROM closed WHERE keys <= ${MAX_KEYS}
             UNION ALL
             SELECT c.scope_id, c.window_start, p.keys, p.events, c.place, p.first_key, p.last_key
             FROM closed c CROSS JOIN LATERAL (
               SELECT count(*) AS keys, sum(events) AS events, min(key) AS first_key, max(key) AS last_key
               FROM (SELECT a.key, a.events, (row_number() OVER (ORDER BY a.key) - 1) / ${MAX_KEYS} AS part
                     FROM aggregates a
                     WHERE a.scope_id = c.scope_id AND a.window_start = c.window_start AND a.partition = $1) k
               GROUP BY part) p
             WHERE c.keys > ${MAX_KEYS})
           INSERT INTO closings (partition, sequence, scope_id, window_start, keys, events, first_key, last_key)
           SELECT $1, $2 + row_number() OVER (ORDER BY place, first_key), scope_id, window_start, keys, events,
                  first_key, last_key
           FROM entries`,
    values: [
      partition,
      after,
      numberArray(closings.map(({ scopeId }) => scopeId)),
      plainArray(closings.map(({ window }) => isoOf(window.startMs))),
      numberArray(closings.map((closing) => keys.get(closing)!)),
      numberArray(closings.map(({ window }) => window.events)),
    ],
  })
  const entries = rowCount!
  if (entries > closings.length)
    await tx.query(
      'UPDATE log_checkpoints SET sequence = sequence + $3 WHERE reader_group = $1 AND partition = $2',
      [GROUP, partition, entries - closings.length],
    )
  return entries
}

/**
 * A window that is there already would break the primary key, and with it the whole commit.
 *
 * @returns how many keys each window has
 */
async function insertAggregates(
  tx: ClientBase,
  partition: number,
  closings: readonly Closing[],
): Promise<Map<Closing, number>> {
  const writer = createTotalsWriter(tx, INSERT_AGGREGATES, partition)
  const keysOf = new Map<Closing, number>()
  const ofParked = closings.filter(({ window }) => window.isParked)
  for (const [scopeId, some] of Map.groupBy(ofParked, (closing) => closing.scopeId)) {
    const { rule } = some[0]!
    const byStart = new Map(some.map((closing) => [closing.window.startMs, closing]))
    // Windows close in the order of time: what is parked of the scope up to the last one belongs to these.
    const lastStartMs = some.at(-1)!.window.startMs
    for await (const page of takeParked(tx, partition, scopeId, rule, lastStartMs))
      for (const { startMs, key, totals } of page) {
        const closing = byStart.get(startMs)!
        const { keys } = closing.window
        const inMemory = keys.get(key)
        if (inMemory !== undefined) mergeTotals(rule, totals, inMemory)
        keys.delete(key)
        keysOf.set(closing, (keysOf.get(closing) ?? 0) + 1)
        if (writer.isFull) await writer.flush()
        writer.add(scopeId, isoOf(startMs), key, totals, shownValues(rule, totals))
      }
  }
  for (const closing of closings) {
    const { scopeId, window, rule } = closing
    const start = isoOf(window.startMs)
    keysOf.set(closing, (keysOf.get(closing) ?? 0) + window.keys.size)
    for (const [key, totals] of window.keys) {
      if (writer.isFull) await writer.flush()
      writer.add(scopeId, start, key, totals, shownValues(rule, totals))
    }
  }
  await writer.flush()
  return keysOf
}

const INSERT_AGGREGATES = {
  name: 'insert-aggregates',
  text: `INSERT INTO aggregates (partition, scope_id, key, window_start, events, measures, sketches)
         SELECT $1, scope_id, key, window_start, events, measures::double precision[], sketches::bytea[]
         FROM unnest($2::integer[], $3::text[], $4::timestamptz[], $5::bigint[], $6::text[], $7::text[])
           AS a (scope_id, key, window_start, events, measures, sketches)`,
}

async function insertLate(tx: ClientBase, partition: number, late: readonly LateEvent[]): Promise<void> {
  await tx.query({
    name: 'insert-late-events',
    text: `INSERT INTO late_events (partition, log_offset, scope_id, key, window_start, payload, revised)
           SELECT $1, * FROM unnest($2::bigint[], $3::integer[], $4::text[], $5::timestamptz[], $6::text[], $7::boolean[])`,
    values: [
      partition,
      numberArray(late.map(({ offset }) => offset)),
      numberArray(late.map(({ scopeId }) => scopeId)),
      textArray(late.map(({ key }) => key)),
      plainArray(late.map(({ windowStartMs }) => isoOf(windowStartMs))),
      textArray(late.map(({ payload }) => payload)),
      booleanArray(late.map(({ isRevision }) => isRevision)),
    ],
  })
}
