import type { ClientBase } from 'pg'
import { bytesArray, numberArray, plainArray, textArray } from '../../platform/postgres/arrays.ts'
import { type FoldRule, mergeTotals, shownValues, type Totals } from './fold.ts'
import { decodeSketch, encodeSketch } from './sketch.ts'
import { isoOf } from './totals-rows.ts'

/** What late events of one key and window add to its aggregate. */
export interface Revision {
  scopeId: number
  rule: FoldRule
  key: string
  windowStartMs: number
  totals: Totals
}

/**
 * Adds late events to the aggregates of their keys, and an entry for each to the closings. Called in the transaction
 * that moves the checkpoint past these events, behind its lock: nobody else writes aggregates of this partition.
 *
 * @param after sequence of the last entry before
 */
export async function reviseAggregates(
  tx: ClientBase,
  partition: number,
  after: number,
  revisions: readonly Revision[],
): Promise<void> {
  const which = [
    numberArray(revisions.map(({ scopeId }) => scopeId)),
    textArray(revisions.map(({ key }) => key)),
    plainArray(revisions.map(({ windowStartMs }) => isoOf(windowStartMs))),
  ]
  const { rows } = await tx.query({
    name: 'read-revised',
    text: `SELECT r.place, a.events, a.measures, a.sketches
           FROM unnest($1::integer[], $2::text[], $3::timestamptz[])
             WITH ORDINALITY AS r (scope_id, key, window_start, place)
           JOIN aggregates a USING (scope_id, key, window_start)`,
    values: which,
  })
  const totals = revisions.map((revision) => revision.totals)
  for (const { place, events, measures, sketches } of rows) {
    const { rule, totals: added } = revisions[place - 1]!
    const before: Totals = { events, values: measures ?? [], sketches: sketches?.map(decodeSketch) }
    mergeTotals(rule, before, added)
    totals[place - 1] = before
  }
  const measures = totals.map((each, i) =>
    each.values.length > 0 ? numberArray(shownValues(revisions[i]!.rule, each)) : null,
  )
  const sketches = totals.map((each) => each.sketches && bytesArray(each.sketches.map(encodeSketch)))
  const values = [
    partition,
    ...which,
    numberArray(totals.map(({ events }) => events)),
    textArray(measures),
    after,
    numberArray(revisions.map(({ totals: { events } }) => events)),
    textArray(sketches.map((each) => each ?? null)),
  ]
  await tx.query({
    name: 'revise-aggregates',
    text: `WITH revised AS (
             SELECT r.*, measures::double precision[] AS numbers, sketches::bytea[] AS bytes
             FROM unnest($2::integer[], $3::text[], $4::timestamptz[], $5::bigint[], $6::text[], $8::bigint[],
                         $9::text[])
               WITH ORDINALITY AS r (scope_id, key, window_start, events, measures, delta, sketches, place)
           ), written AS (
             INSERT INTO aggregates AS a (partition, scope_id, key, window_start, events, measures, sketches, revision)
             SELECT $1, scope_id, key, window_start, events, numbers, bytes, 1 FROM revised
             ON CONFLICT (scope_id, key, window_start) DO UPDATE SET
               events = excluded.events, measures = excluded.measures, sketches = excluded.sketches,
               revision = a.revision + 1,
               first_events = CASE a.revision WHEN 0 THEN a.events ELSE a.first_events END,
               first_measures = CASE a.revision WHEN 0 THEN a.measures ELSE a.first_measures END
             RETURNING scope_id, key, window_start, revision
           )
           INSERT INTO closings (partition, sequence, scope_id, window_start, keys, events,
                                 key, revision, total_events, measures)
           SELECT $1, $7 + place, scope_id, window_start, 1, delta, key, revision, events, numbers
           FROM revised JOIN written USING (scope_id, key, window_start)`,
    values,
  })
}
