import type { StreamDefinition, StreamEvent } from '../definition.ts'
import type { Slice } from '../log/log.ts'
import type {
  Checkpoint,
  Closing,
  LateEvent,
  Progress,
  SavedProgress,
  ScopeChange,
} from './aggregates-postgres.ts'
import {
  addEvent,
  advance,
  closeDue,
  createScope,
  isDue,
  park,
  rebuild,
  resumeOffset,
  type SavedScope,
  type Scope,
  type Totals,
  take,
  windowStartOf,
} from './fold.ts'
import type { Parking } from './parked-postgres.ts'
import type { Revision } from './revisions-postgres.ts'

/** What becomes of late events: they are kept and counted as late, and with `revise` also added to their aggregate. */
export type LatePolicy = 'keep' | 'revise'

/** A stream of a client, as the aggregator knows it. */
export interface KnownScope {
  scopeId: number
  definition: StreamDefinition
}

/** A stream of a client that has nothing open. */
type Idle = SavedScope & Partial<Pick<SavedProgress, 'parked'>>

interface Reading extends KnownScope {
  scope: Scope
  counted: number
  late: number
  /** Late events by window and key, when they revise. */
  revisions: Map<number, Map<string, Totals>>
  isChanged: boolean
}

/**
 * The state of one partition between two commits: the fold's scopes, and what they yielded since the last one. It is
 * made from a checkpoint, fed with slices from its resume offset on, and thrown away when anything goes wrong.
 */
export interface PartitionReader {
  /** Where reading goes on. */
  readonly next: number
  /** False until everything before the checkpoint's position was read again. */
  readonly isCaughtUp: boolean
  /** There are windows or late events to be committed. */
  readonly hasYield: boolean
  /** More was read than the last commit says. */
  readonly hasMoved: boolean
  /** Events that the last slices brought and no commit covers. */
  readonly events: number
  /** About what the keys of open windows take in memory. */
  readonly openBytes: number
  /** How many offsets lie between the first event of any window in memory and here: what would be read again. */
  readonly heldBack: number
  take(slice: Slice): void
  /**
   * What is to be committed; afterwards it is taken for committed.
   *
   * @param parks takes open windows out of memory, to be kept with the commit
   */
  harvest(parks: boolean): Progress
  look(): Look
}

/** What a reader has in hand. */
export interface Look {
  openWindows: number
  /** In memory. */
  openKeys: number
  /**
   * The stream time that is furthest behind, of streams with open windows to which something was appended within
   * `idleMs`: what is quiet waits for the clock, and is not late. Undefined when there is none.
   */
  watermarkMs: number | undefined
}

export interface PartitionReaderOptions {
  checkpoint: Checkpoint
  idleMs: number
  latePolicy: LatePolicy
  /** Every stream of a slice, and of the checkpoint where windows are parked, has been looked up before. */
  known: (clientKrn: string, stream: string) => KnownScope
}

export function createPartitionReader(options: PartitionReaderOptions): PartitionReader {
  const { checkpoint, idleMs, latePolicy, known } = options
  /** Those that have something open, or have had since the last harvest. */
  const readings = new Map<string, Reading>()
  /** Of the others what has to be known, which is little: clients may be many. */
  const saved = new Map(
    checkpoint.scopes.map((scope): [string, Idle] => [nameOf(scope.clientKrn, scope.stream), scope]),
  )
  let next = checkpoint.resumeOffset
  let committed = checkpoint.position
  let events = 0
  let closings: Closing[] = []
  let late: LateEvent[] = []
  /** By the log's clock: when what was read last was appended, or the end was reached. */
  let readMs = -1
  // The clock may have to close their windows although nothing comes any more.
  for (const { clientKrn, stream, parked } of checkpoint.scopes)
    if (parked.size > 0) readingOf(clientKrn, stream)

  function readingOf(clientKrn: string, stream: string): Reading {
    const name = nameOf(clientKrn, stream)
    const reading = readings.get(name)
    if (reading !== undefined) return reading
    const { scopeId, definition } = known(clientKrn, stream)
    const before = saved.get(name)
    const made = {
      scopeId,
      definition,
      scope: createScope(definition.rule, before, before?.parked),
      counted: 0,
      late: 0,
      revisions: new Map(),
      isChanged: false,
    }
    readings.set(name, made)
    return made
  }

  function close(reading: Reading): void {
    for (const window of closeDue(reading.scope)) {
      const { scopeId, definition } = reading
      closings.push({ scopeId, window, rule: definition.rule })
      reading.counted += window.events
    }
    reading.isChanged = true
  }

  function revise(
    { scope, revisions }: Reading,
    windowStartMs: number,
    key: string,
    values: readonly number[],
  ) {
    const keys = revisions.get(windowStartMs) ?? new Map<string, Totals>()
    revisions.set(windowStartMs, keys)
    addEvent(scope.rule, keys, key, values)
  }

  function takeSlice({ runs, next: nextOffset, endedMs }: Slice): void {
    for (const { firstOffset, clientKrn, stream, appendedMs, payloads } of runs) {
      const reading = readingOf(clientKrn, stream)
      const { scope, definition, scopeId } = reading
      const { keyOf, timeMsOf, valuesOf } = definition
      for (let i = 0; i < payloads.length; i++) {
        const payload = payloads[i]!
        const offset = firstOffset + i
        const event = JSON.parse(payload) as StreamEvent
        const timeMs = timeMsOf(event)
        const key = keyOf(event)
        if (offset < checkpoint.position) {
          rebuild(scope, offset, timeMs, key, valuesOf(event))
          continue
        }
        events++
        reading.isChanged = true
        const values = valuesOf(event)
        if (!take(scope, offset, appendedMs, timeMs, key, values)) {
          const windowStartMs = windowStartOf(scope.rule, timeMs)
          const isRevision = latePolicy === 'revise'
          late.push({ scopeId, offset, key, windowStartMs, payload, isRevision })
          reading.late++
          if (isRevision) revise(reading, windowStartMs, key, values)
        }
        if (isDue(scope)) close(reading)
      }
    }
    next = nextOffset
    readMs = endedMs ?? runs.at(-1)?.appendedMs ?? readMs
    // Before that, what is open is not known yet.
    if (next < checkpoint.position) return
    const nowMs = endedMs ?? runs.at(-1)?.appendedMs
    if (nowMs === undefined) return
    for (const reading of readings.values()) if (advance(reading.scope, nowMs, idleMs)) close(reading)
  }

  function heldBack(): number {
    const scopes = Array.from(readings.values(), ({ scope }) => scope)
    return next - resumeOffset(scopes, next)
  }

  function takeChange(reading: Reading, revisions: Revision[]): ScopeChange {
    const { scopeId, counted, late } = reading
    const { watermarkMs, closedMs, appendedMs, openEvents: open, rule } = reading.scope
    let revised = 0
    for (const [windowStartMs, keys] of reading.revisions)
      for (const [key, totals] of keys) {
        revisions.push({ scopeId, rule, key, windowStartMs, totals })
        revised += totals.events
      }
    reading.counted = 0
    reading.late = 0
    reading.revisions.clear()
    reading.isChanged = false
    return { scopeId, watermarkMs, closedMs, appendedMs, counted, late, revised, open }
  }

  function harvest(parks: boolean): Progress {
    const changes: ScopeChange[] = []
    const revisions: Revision[] = []
    const parked: Parking[] = []
    for (const [name, reading] of readings) {
      const { scopeId, scope } = reading
      const { rule } = scope
      if (parks) for (const window of park(scope)) parked.push({ scopeId, rule, window })
      if (reading.isChanged) changes.push(takeChange(reading, revisions))
      if (scope.openEvents > 0) continue
      const { watermarkMs, closedMs, appendedMs } = scope
      saved.set(name, { watermarkMs, closedMs, appendedMs })
      readings.delete(name)
    }
    const progress = {
      position: next,
      resumeOffset: next - heldBack(),
      scopes: changes,
      closings,
      late,
      revisions,
      parked,
    }
    committed = next
    events = 0
    closings = []
    late = []
    return progress
  }

  function look(): Look {
    let openWindows = 0
    let openKeys = 0
    let watermarkMs: number | undefined
    for (const { scope } of readings.values()) {
      if (scope.nextEndMs === Infinity) continue
      openWindows += scope.open.size
      for (const startMs of scope.parked.keys()) if (!scope.open.has(startMs)) openWindows++
      for (const { keys } of scope.open.values()) openKeys += keys.size
      const isQuiet = readMs - scope.appendedMs >= idleMs
      if (!isQuiet) watermarkMs = Math.min(watermarkMs ?? Infinity, scope.watermarkMs)
    }
    return { openWindows, openKeys, watermarkMs }
  }

  return {
    get next() {
      return next
    },
    get isCaughtUp() {
      return next >= checkpoint.position
    },
    get hasYield() {
      return closings.length > 0 || late.length > 0
    },
    get hasMoved() {
      return next > committed
    },
    get events() {
      return events
    },
    get openBytes() {
      let bytes = 0
      for (const { scope } of readings.values()) bytes += scope.openBytes
      return bytes
    },
    get heldBack() {
      return heldBack()
    },
    take: takeSlice,
    harvest,
    look,
  }
}

const nameOf = (clientKrn: string, stream: string) => `${stream}\0${clientKrn}`
