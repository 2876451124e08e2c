import type { Pool } from 'pg'
import { orAway } from '../../platform/postgres/database.ts'
import { type FoldRule, mergeTotals, shownValues, type Totals } from '../windows/fold.ts'
import { decodeSketch } from '../windows/sketch.ts'
import type { Aggregate, WindowQuery } from './read-postgres.ts'

/** Longest range that is answered, in windows: each is read, with up to 4 kB for each sketch. */
export const MAX_MERGED_WINDOWS = 100_000
/** Windows read, and merged without a pause, at once. */
const BATCH = 500

/**
 * As `listAggregates` with a step, of a stream with sketches: these are merged here, since PostgreSQL cannot. A value
 * that is in several windows of a step counts once.
 */
export async function listMergedSteps(
  pool: Pool,
  { clientKrn, stream, key, fromMs, toMs, stepMs }: WindowQuery & { key: string; stepMs: number },
  rule: FoldRule,
  { limit, afterMs }: { limit: number; afterMs: number | undefined },
): Promise<Aggregate[]> {
  const steps: { startMs: number; totals: Totals }[] = []
  let nextMs = afterMs === undefined ? fromMs : Math.max(fromMs, afterMs + stepMs)
  for (;;) {
    const values = [clientKrn, stream, key, new Date(nextMs), new Date(toMs), BATCH]
    const { rows } = await orAway(pool.query({ name: 'read-sketches', text: READ, values }))
    for (const { window_start, events, measures, sketches } of rows) {
      const ms = window_start.getTime()
      const startMs = ms - (ms % stepMs)
      const totals: Totals = { events, values: measures, sketches: sketches.map(decodeSketch) }
      const last = steps.at(-1)
      if (last?.startMs === startMs) mergeTotals(rule, last.totals, totals)
      else if (steps.length < limit) steps.push({ startMs, totals })
      else return steps.map(show)
      nextMs = ms + 1
    }
    if (rows.length < BATCH) return steps.map(show)
  }

  function show({ startMs, totals }: (typeof steps)[number]): Aggregate {
    return { key, startMs, events: totals.events, values: shownValues(rule, totals) }
  }
}

const READ = `SELECT window_start, events, measures, sketches FROM aggregates
  WHERE scope_id = (SELECT id FROM stream_scopes WHERE client_krn = $1 AND stream = $2)
    AND key = $3 AND window_start >= $4 AND window_start < $5
  ORDER BY window_start LIMIT $6`
