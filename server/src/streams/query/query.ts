import Type from 'typebox'
import type { FieldFault } from '../../platform/errors.ts'
import { decodeCursor, encodeCursor } from '../../platform/http/paging.ts'
import { invalidRequest } from '../../platform/http/validation.ts'
import type { StreamDefinition } from '../definition.ts'
import type { Aggregate } from './read-postgres.ts'

const HOUR_MS = 3_600_000
const TIME = /^(\d{4}-\d\d-\d\d)T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)?$/
/** Beyond it lie times that PostgreSQL cannot read. */
const YEAR_10000_MS = Date.UTC(10_000)

const Time = (description: string) => Type.Optional(Type.String({ minLength: 1, maxLength: 40, description }))

/** The range of a question about windows. */
export const RangeQuery = Type.Object({
  from: Time(
    'First window: `2021-01-26T14:44:00` (UTC unless it says otherwise) or seconds since 1970. Default: an hour before `to`.',
  ),
  to: Time('Behind the last window. Default: now.'),
})

export const StepQuery = Type.Optional(
  Type.Integer({
    minimum: 1,
    maximum: 31 * 86_400,
    description: 'Seconds: a multiple of the window’s size.',
  }),
)

export interface Range {
  fromMs: number
  toMs: number
}

/**
 * @param maxMs longest range that is answered
 * @throws PebblesError `invalid_request`
 */
export function readRange(query: { from?: string; to?: string }, nowMs: number, maxMs = Infinity): Range {
  const faults: FieldFault[] = []
  const read = (field: 'from' | 'to', fallbackMs: number): number => {
    const text = query[field]
    if (text === undefined) return fallbackMs
    const ms = readInstant(text)
    if (ms === undefined)
      faults.push({ field, message: 'must be such as 2021-01-26T14:44:00, or seconds since 1970' })
    return ms ?? fallbackMs
  }
  const toMs = read('to', nowMs)
  const fromMs = read('from', Math.max(0, toMs - HOUR_MS))
  if (faults.length === 0 && fromMs >= toMs) faults.push({ field: 'from', message: 'must be before to' })
  if (faults.length === 0 && toMs - fromMs > maxMs)
    faults.push({
      field: 'from',
      message: `must not be more than ${Math.floor(maxMs / HOUR_MS)} hours before to`,
    })
  if (faults.length > 0) throw invalidRequest(faults)
  return { fromMs, toMs }
}

function readInstant(text: string): number | undefined {
  if (/^\d{1,12}$/.test(text)) return known(Number(text) * 1_000)
  const [, day, zone] = TIME.exec(text) ?? []
  if (day === undefined) return undefined
  // The calendar of `Date` goes on: the 30th of February would be the 2nd of March.
  const dayMs = Date.parse(`${day}T00:00:00Z`)
  if (Number.isNaN(dayMs) || !new Date(dayMs).toISOString().startsWith(day)) return undefined
  return known(Date.parse(zone === undefined ? `${text}Z` : text))
}

const known = (ms: number): number | undefined => (ms >= 0 && ms < YEAR_10000_MS ? ms : undefined)

/**
 * @returns milliseconds; `undefined` when it is the window's own size or was not asked for
 * @throws PebblesError `invalid_request`
 */
export function readStep(stepSeconds: number | undefined, windowMs: number): number | undefined {
  if (stepSeconds === undefined || stepSeconds * 1_000 === windowMs) return undefined
  if ((stepSeconds * 1_000) % windowMs !== 0)
    throw invalidRequest([{ field: 'step', message: `must be a multiple of ${windowMs / 1_000}` }])
  return stepSeconds * 1_000
}

/** As in aggregates: UTC, without a zone. */
export const showStart = (ms: number): string => new Date(ms).toISOString().slice(0, 19)

/** As on every way out: the key's fields, `window_start`, the measures. */
export function showAggregate(
  { showKey, showMeasures }: StreamDefinition,
  { key, startMs, events, values }: Aggregate,
): Record<string, string | number | boolean> {
  return { ...showKey(key), window_start: showStart(startMs), ...showMeasures(events, values) }
}

/** Cursor of a list that is ordered by window and key. */
export const encodeWindowCursor = (ms: number, key: string): string => encodeCursor([ms, key])

/** @throws PebblesError `invalid_request` */
export function decodeWindowCursor(cursor: string): { ms: number; key: string } {
  const [ms, key] = decodeCursor(cursor, (parts): parts is [number, string] => {
    if (!Array.isArray(parts) || parts.length !== 2) return false
    const [ms, key] = parts
    const isTime = Number.isSafeInteger(ms) && ms >= 0 && ms < YEAR_10000_MS
    return isTime && typeof key === 'string' && !key.includes('\0') && key.isWellFormed()
  })
  return { ms, key }
}
