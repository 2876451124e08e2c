/**
 * The rule of windows, pure: events in the order of the log, in event time, into tumbling windows.
 *
 * A *scope* is one stream of one client in one partition. It has a stream time of its own, so nobody's clock closes the
 * windows of somebody else. Stream time is the newest time of its events; an event from the future moves it only to
 * the instant at which it was appended, or one wrong clock would make every event after it late. A window closes when
 * stream time reaches its end and the grace; an event whose window is closed is late. All of it follows from the log
 * alone, but for {@link advance}, whose outcome is therefore committed with what it closes.
 *
 * Nothing is allocated for an event whose window has its key already.
 */

import { addHash, createSketch, estimate, mergeSketch, type Sketch } from './sketch.ts'

export type MeasureKind = 'sum' | 'min' | 'max' | 'distinct'

export interface FoldRule {
  windowMs: number
  graceMs: number
  /** All but the count of events, which every window has. */
  measures: readonly MeasureKind[]
}

export interface Totals {
  events: number
  /** One for each measure. That of a `distinct` is a hash in an event, and nothing in a window: see {@link shownValues}. */
  values: number[]
  /** One for each `distinct`; undefined when there is none. */
  sketches: Sketch[] | undefined
}

/** What is in memory of a window. */
export interface OpenWindow {
  startMs: number
  /** Offset of its first event: what has to be read again to have this window. */
  firstOffset: number
  events: number
  /** About what it takes. */
  bytes: number
  keys: Map<string, Totals>
}

/** A window whose time has come. */
export interface ClosingWindow {
  startMs: number
  /** Those of parked totals included. */
  events: number
  /** Without parked totals. */
  keys: Map<string, Totals>
  /** There are parked totals, to which `keys` are added. */
  isParked: boolean
}

export interface Scope {
  rule: FoldRule
  watermarkMs: number
  /** Windows that end at or before this time are closed for good, also when the grace is made longer later. */
  closedMs: number
  /** When its newest event was appended. */
  appendedMs: number
  /** By their start. A window may be here and among the parked ones. */
  open: Map<number, OpenWindow>
  /** Events of open windows whose totals were taken out of memory, by their start; see {@link park}. */
  parked: Map<number, number>
  /** Events in open windows, parked or not. */
  openEvents: number
  /** About what `open` takes in memory. */
  openBytes: number
  /** End of the open window that ends first. */
  nextEndMs: number
}

/** What has to be known of a scope to go on with it, beside the events from the resume offset on. */
export interface SavedScope {
  watermarkMs: number
  closedMs: number
  appendedMs: number
}

/** Before every event. */
const NEVER: SavedScope = { watermarkMs: -1, closedMs: -1, appendedMs: -1 }

/** In bytes, as measured: a window, a key with its totals, a measure, and a sketch without its hashes or registers. */
const WINDOW_BYTES = 400
const KEY_BYTES = 150
const VALUE_BYTES = 16
const SKETCH_BYTES = 400

/** @param parked as {@link park} left it, when the scope was saved */
export function createScope(
  rule: FoldRule,
  saved = NEVER,
  parked: ReadonlyMap<number, number> = new Map(),
): Scope {
  const { watermarkMs, closedMs, appendedMs } = saved
  let openEvents = 0
  let nextEndMs = Infinity
  for (const [startMs, events] of parked) {
    openEvents += events
    nextEndMs = Math.min(nextEndMs, startMs + rule.windowMs)
  }
  return {
    rule,
    watermarkMs,
    closedMs,
    appendedMs,
    open: new Map(),
    parked: new Map(parked),
    openEvents,
    openBytes: 0,
    nextEndMs,
  }
}

export const windowStartOf = ({ windowMs }: FoldRule, timeMs: number): number => timeMs - (timeMs % windowMs)

/**
 * Takes the next event of the log.
 *
 * @returns false when it is late: it counts in no window
 */
export function take(
  scope: Scope,
  offset: number,
  appendedMs: number,
  timeMs: number,
  key: string,
  values: readonly number[],
): boolean {
  if (appendedMs > scope.appendedMs) scope.appendedMs = appendedMs
  moveTo(scope, timeMs < appendedMs ? timeMs : appendedMs)
  return rebuild(scope, offset, timeMs, key, values)
}

/**
 * Takes an event that was decided before, up to the commit that the scope was saved with. It belongs into a window when
 * that is still open: were it late, its window would have been closed then, and would be now.
 *
 * @returns false when its window is closed
 */
export function rebuild(
  scope: Scope,
  offset: number,
  timeMs: number,
  key: string,
  values: readonly number[],
): boolean {
  const startMs = windowStartOf(scope.rule, timeMs)
  if (startMs + scope.rule.windowMs <= scope.closedMs) return false
  const window = scope.open.get(startMs) ?? openWindow(scope, startMs, offset)
  const grownBytes = addEvent(scope.rule, window.keys, key, values)
  if (grownBytes > 0) {
    window.bytes += grownBytes
    scope.openBytes += grownBytes
  }
  window.events++
  scope.openEvents++
  return true
}

/**
 * Counts one event under its key.
 *
 * @returns about how many bytes more that takes
 */
export function addEvent(
  { measures }: FoldRule,
  keys: Map<string, Totals>,
  key: string,
  values: readonly number[],
): number {
  const totals = keys.get(key)
  if (totals === undefined) {
    const first = firstTotals(measures, values)
    keys.set(key, first)
    return sizeOf(key, first)
  }
  totals.events++
  let grownBytes = 0
  let sketch = 0
  for (let i = 0; i < values.length; i++) {
    const kind = measures[i]!
    if (kind === 'distinct') grownBytes += addHash(totals.sketches![sketch++]!, values[i]!)
    else totals.values[i] = combine(kind, totals.values[i]!, values[i]!)
  }
  return grownBytes
}

/** Of a key that has just come. */
const sizeOf = (key: string, { values, sketches }: Totals): number =>
  KEY_BYTES + key.length + VALUE_BYTES * values.length + SKETCH_BYTES * (sketches?.length ?? 0)

function firstTotals(measures: readonly MeasureKind[], values: readonly number[]): Totals {
  let sketches: Sketch[] | undefined
  for (let i = 0; i < values.length; i++) {
    if (measures[i] !== 'distinct') continue
    const sketch = createSketch()
    addHash(sketch, values[i]!)
    sketches ??= []
    sketches.push(sketch)
  }
  return { events: 1, values: [...values], sketches }
}

/** Adds what other events of the same key came to. */
export function mergeTotals({ measures }: FoldRule, totals: Totals, more: Totals): void {
  totals.events += more.events
  let sketch = 0
  for (let i = 0; i < measures.length; i++) {
    const kind = measures[i]!
    if (kind === 'distinct') mergeSketch(totals.sketches![sketch]!, more.sketches![sketch++]!)
    else totals.values[i] = combine(kind, totals.values[i]!, more.values[i]!)
  }
}

/** The measures as they are shown: of a `distinct`, its estimate. */
export function shownValues({ measures }: FoldRule, { values, sketches }: Totals): number[] {
  if (sketches === undefined) return values
  let sketch = 0
  return measures.map((kind, i) => (kind === 'distinct' ? estimate(sketches[sketch++]!) : values[i]!))
}

function combine(kind: Exclude<MeasureKind, 'distinct'>, a: number, b: number): number {
  if (kind === 'sum') return a + b
  return (kind === 'min') === b < a ? b : a
}

function openWindow(scope: Scope, startMs: number, firstOffset: number): OpenWindow {
  const window = { startMs, firstOffset, events: 0, bytes: WINDOW_BYTES, keys: new Map<string, Totals>() }
  scope.open.set(startMs, window)
  scope.openBytes += WINDOW_BYTES
  scope.nextEndMs = Math.min(scope.nextEndMs, startMs + scope.rule.windowMs)
  return window
}

function moveTo(scope: Scope, timeMs: number): void {
  if (timeMs <= scope.watermarkMs) return
  scope.watermarkMs = timeMs
  const closedMs = timeMs - scope.rule.graceMs
  if (closedMs > scope.closedMs) scope.closedMs = closedMs
}

/** True when {@link closeDue} has something to close. */
export const isDue = (scope: Scope): boolean => scope.nextEndMs <= scope.closedMs

/** Closes the windows whose time has come, the earliest first. */
export function closeDue(scope: Scope): ClosingWindow[] {
  const due: number[] = []
  let nextEndMs = Infinity
  for (const startMs of startsOf(scope)) {
    const endMs = startMs + scope.rule.windowMs
    if (endMs <= scope.closedMs) due.push(startMs)
    else if (endMs < nextEndMs) nextEndMs = endMs
  }
  scope.nextEndMs = nextEndMs
  return due.sort((a, b) => a - b).map((startMs) => closeWindow(scope, startMs))
}

function closeWindow(scope: Scope, startMs: number): ClosingWindow {
  const inMemory = scope.open.get(startMs)
  const parkedEvents = scope.parked.get(startMs)
  const events = (inMemory?.events ?? 0) + (parkedEvents ?? 0)
  scope.open.delete(startMs)
  scope.parked.delete(startMs)
  scope.openEvents -= events
  scope.openBytes -= inMemory?.bytes ?? 0
  return { startMs, events, keys: inMemory?.keys ?? new Map(), isParked: parkedEvents !== undefined }
}

/** Of all open windows, each once. */
function* startsOf({ open, parked }: Scope): Generator<number> {
  yield* open.keys()
  for (const startMs of parked.keys()) if (!open.has(startMs)) yield startMs
}

/**
 * Takes the totals of all open windows out of memory. They have to be kept, and merged with what is in memory again when
 * their window closes. Nothing before the next event has to be read again then.
 */
export function park(scope: Scope): OpenWindow[] {
  const windows = [...scope.open.values()]
  for (const { startMs, events } of windows)
    scope.parked.set(startMs, (scope.parked.get(startMs) ?? 0) + events)
  scope.open.clear()
  scope.openBytes = 0
  return windows
}

/**
 * Moves a quiet scope on: when nothing was appended for `idleMs`, windows close whose end and grace the clock has
 * passed. Stream time goes no further than that takes, so events of later windows still count, however long ago they
 * happened: who replays old events may pause.
 *
 * @param nowMs everything that was appended before it was taken
 * @returns true when there are windows to close
 */
export function advance(scope: Scope, nowMs: number, idleMs: number): boolean {
  const { windowMs, graceMs } = scope.rule
  if (nowMs - scope.appendedMs < idleMs || nowMs - graceMs < scope.nextEndMs) return false
  let newestMs = -1
  for (const startMs of startsOf(scope)) {
    const closesMs = startMs + windowMs + graceMs
    if (closesMs <= nowMs && closesMs > newestMs) newestMs = closesMs
  }
  moveTo(scope, newestMs)
  return isDue(scope)
}

/** Where reading has to begin again to have all open windows, as far as they are not parked. */
export function resumeOffset(scopes: Iterable<Scope>, position: number): number {
  let resume = position
  for (const { open } of scopes)
    for (const { firstOffset } of open.values()) if (firstOffset < resume) resume = firstOffset
  return resume
}
