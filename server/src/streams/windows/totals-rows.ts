import type { ClientBase } from 'pg'
import { bytesArray, numberArray, plainArray, textArray } from '../../platform/postgres/arrays.ts'
import type { Totals } from './fold.ts'
import { encodeSketch } from './sketch.ts'

/** A commit may write a million keys; no statement takes so long that it is cut off. */
const MAX_ROWS = 20_000
/** With their sketches, rows are large, and an estimate may take half a millisecond. */
export const MAX_ROWS_WITH_SKETCHES = 100

/** Totals of one key and window, as they are written. */
interface Row {
  scopeId: number
  key: string
  start: string
  events: number
  measures: string | null
  sketches: string | null
}

export interface TotalsWriter {
  /** @param values instead of those of the totals */
  add(scopeId: number, start: string, key: string, totals: Readonly<Totals>, values: readonly number[]): void
  /** As many rows wait as one statement writes: flush them before the next one is added. */
  readonly isFull: boolean
  flush(): Promise<void>
}

/**
 * Writes totals of keys and windows.
 *
 * @param statement `$2` to `$7` are arrays: scope, key, start of the window, events, measures and sketches (as texts of
 * arrays); `$1` and all from `$8` on are `first` and `more`
 */
export function createTotalsWriter(
  tx: ClientBase,
  statement: { name: string; text: string },
  first: number,
  ...more: number[]
): TotalsWriter {
  let rows: Row[] = []
  return {
    add(scopeId, start, key, { events, sketches }, values) {
      rows.push({
        scopeId,
        key,
        start,
        events,
        measures: values.length > 0 ? numberArray(values) : null,
        sketches: sketches ? bytesArray(sketches.map(encodeSketch)) : null,
      })
    },
    get isFull() {
      return rows.length >= (rows.at(-1)?.sketches ? MAX_ROWS_WITH_SKETCHES : MAX_ROWS)
    },
    async flush() {
      if (rows.length === 0) return
      const values = [
        first,
        numberArray(rows.map(({ scopeId }) => scopeId)),
        textArray(rows.map(({ key }) => key)),
        plainArray(rows.map(({ start }) => start)),
        numberArray(rows.map(({ events }) => events)),
        textArray(rows.map(({ measures }) => measures)),
        textArray(rows.map(({ sketches }) => sketches)),
        ...more,
      ]
      rows = []
      await tx.query({ ...statement, values })
    },
  }
}

/** An instant as it is written. */
export const isoOf = (ms: number): string => new Date(ms).toISOString()
