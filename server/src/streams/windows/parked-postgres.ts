import type { ClientBase } from 'pg'
import { numberArray, plainArray } from '../../platform/postgres/arrays.ts'
import { type FoldRule, mergeTotals, type OpenWindow, type Totals } from './fold.ts'
import { decodeSketch } from './sketch.ts'
import { createTotalsWriter, isoOf, MAX_ROWS_WITH_SKETCHES } from './totals-rows.ts'

/** Parked rows that are read at once. */
const PAGE_ROWS = 5_000

/** A window that is open, and was taken out of memory. */
export interface Parking {
  scopeId: number
  rule: FoldRule
  window: OpenWindow
}

/** What is parked of one key and window. */
export interface ParkedTotals {
  startMs: number
  key: string
  totals: Totals
}

/** Events of parked windows by their start, of each scope that has some in the partition. */
export async function loadParked(
  tx: ClientBase,
  partition: number,
): Promise<Map<number, Map<number, number>>> {
  const { rows } = await tx.query(
    'SELECT scope_id, window_start, events FROM parked_windows WHERE partition = $1',
    [partition],
  )
  const parked = new Map<number, Map<number, number>>()
  for (const { scope_id: scopeId, window_start, events } of rows) {
    const windows = parked.get(scopeId) ?? new Map<number, number>()
    parked.set(scopeId, windows)
    windows.set(window_start.getTime(), events)
  }
  return parked
}

/**
 * Adds rows, and merges nothing: of each key that would mean to look for what is parked of it already, while who closes
 * a window reads all of them in their order.
 *
 * @param version of the checkpoint that this commit makes; nothing else is parked with it
 */
export async function parkWindows(
  tx: ClientBase,
  partition: number,
  version: number,
  parked: readonly Parking[],
): Promise<void> {
  await tx.query({
    name: 'park-windows',
    text: `INSERT INTO parked_windows AS p (partition, scope_id, window_start, events)
           SELECT $1, * FROM unnest($2::integer[], $3::timestamptz[], $4::bigint[])
           ON CONFLICT (partition, scope_id, window_start) DO UPDATE SET events = p.events + excluded.events`,
    values: [
      partition,
      numberArray(parked.map(({ scopeId }) => scopeId)),
      plainArray(parked.map(({ window }) => isoOf(window.startMs))),
      numberArray(parked.map(({ window }) => window.events)),
    ],
  })
  const writer = createTotalsWriter(tx, PARK, partition, version)
  for (const { scopeId, window } of parked) {
    const start = isoOf(window.startMs)
    for (const [key, totals] of window.keys) {
      if (writer.isFull) await writer.flush()
      writer.add(scopeId, start, key, totals, totals.values)
    }
  }
  await writer.flush()
}

const PARK = {
  name: 'park-totals',
  text: `INSERT INTO parked_totals (partition, scope_id, key, window_start, events, measures, sketches, version)
         SELECT $1, scope_id, key, window_start, events, measures::double precision[], sketches::bytea[], $8
         FROM unnest($2::integer[], $3::text[], $4::timestamptz[], $5::bigint[], $6::text[], $7::text[])
           AS t (scope_id, key, window_start, events, measures, sketches)`,
}

/**
 * Takes what is parked of a scope, up to and with a window, in pages: each key of each window once, in the order of
 * windows and keys. A page is all that is in memory, however many keys a window has.
 */
export async function* takeParked(
  tx: ClientBase,
  partition: number,
  scopeId: number,
  rule: FoldRule,
  lastStartMs: number,
): AsyncGenerator<ParkedTotals[]> {
  const until = isoOf(lastStartMs)
  await tx.query('DELETE FROM parked_windows WHERE partition = $1 AND scope_id = $2 AND window_start <= $3', [
    partition,
    scopeId,
    until,
  ])
  const limit = rule.measures.includes('distinct') ? MAX_ROWS_WITH_SKETCHES : PAGE_ROWS
  const page: ParkedTotals[] = []
  for (let after: Place = ['-infinity', '', 0]; ; ) {
    const { rows } = await tx.query({
      name: 'read-parked',
      text: `SELECT window_start, key, version, events, measures, sketches FROM parked_totals
             WHERE partition = $1 AND scope_id = $2 AND window_start <= $3
               AND (window_start, key, version) > ($4, $5, $6)
             ORDER BY window_start, key, version LIMIT $7`,
      values: [partition, scopeId, until, ...after, limit],
    })
    for (const { window_start, key, events, measures, sketches } of rows) {
      const startMs = window_start.getTime()
      const totals: Totals = { events, values: measures ?? [], sketches: sketches?.map(decodeSketch) }
      const last = page.at(-1)
      if (last !== undefined && last.key === key && last.startMs === startMs)
        mergeTotals(rule, last.totals, totals)
      else page.push({ startMs, key, totals })
    }
    const end = rows.at(-1)
    if (end === undefined) break
    const place: Place = [end.window_start.toISOString(), end.key, end.version]
    await tx.query({
      name: 'delete-parked',
      text: `DELETE FROM parked_totals
             WHERE partition = $1 AND scope_id = $2
               AND (window_start, key, version) > ($3, $4, $5) AND (window_start, key, version) <= ($6, $7, $8)`,
      values: [partition, scopeId, ...after, ...place],
    })
    after = place
    if (rows.length < limit) break
    // More of the last key may follow.
    yield page.splice(0, page.length - 1)
  }
  yield page
}

type Place = [start: string, key: string, version: number]
