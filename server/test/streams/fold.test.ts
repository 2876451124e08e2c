import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { StreamDeclaration } from '../../src/streams/declaration.ts'
import { defineStream } from '../../src/streams/definition.ts'
import type { Checkpoint, Progress } from '../../src/streams/windows/aggregates-postgres.ts'
import { createScope, mergeTotals, shownValues, type Totals, take } from '../../src/streams/windows/fold.ts'
import { createPartitionReader, type LatePolicy } from '../../src/streams/windows/partition-reader.ts'
import { decodeSketch, encodeSketch } from '../../src/streams/windows/sketch.ts'

/** A stream with every measure, so that each is folded. */
const DECLARATION: StreamDeclaration = {
  key: ['key'],
  timestamp: { field: 'at', unit: 'ms' },
  windowSeconds: 1,
  graceSeconds: 2,
  fields: [
    { name: 'key', type: 'string', maxLength: 10 },
    { name: 'at', type: 'integer' },
    { name: 'n', type: 'integer' },
  ],
  measures: [
    { name: 'events', kind: 'count' },
    { name: 'sum', kind: 'sum', field: 'n' },
    { name: 'least', kind: 'min', field: 'n' },
    { name: 'most', kind: 'max', field: 'n' },
    { name: 'different', kind: 'distinct', field: 'n' },
  ],
}
const DEFINITION = defineStream('readings', DECLARATION)
const CLIENTS = ['krn:a', 'krn:b']
/** Longer than any of the logs below. */
const IDLE_MS = 100_000

interface Logged {
  /** A log may have offsets without events: markers of transactions, and duplicates. */
  offset: number
  client: number
  key: string
  at: number
  n: number
  appendedMs: number
}

/** What came of a log: windows as text, and the offsets of late events. */
interface Outcome {
  windows: string[]
  late: number[]
}

interface Window {
  client: number
  startMs: number
  key: string
  ns: number[]
}

const show = (client: number, startMs: number, key: string, events: number, values: number[]) =>
  `${client} ${startMs} ${key}: ${[events, ...values].join(' ')}`

/**
 * The rule in its plainest form: every event is held against all that came before it; windows are made of all at the
 * end. `advances` are the clock's moves: after so many events, the time of a scope.
 */
function naive(log: readonly Logged[], advances: ReadonlyMap<string, number>): Outcome {
  const watermarks = [-1, -1]
  const windows = new Map<string, Window>()
  const late: number[] = []
  for (const event of log) {
    const { offset, client, at, appendedMs } = event
    const advanced = advances.get(`${offset} ${client}`)
    if (advanced !== undefined) watermarks[client] = Math.max(watermarks[client]!, advanced)
    watermarks[client] = Math.max(watermarks[client]!, Math.min(at, appendedMs))
    const startMs = Math.floor(at / 1_000) * 1_000
    if (startMs + 1_000 + 2_000 <= watermarks[client]!) {
      late.push(offset)
      continue
    }
    count(windows, startMs, event)
  }
  return { windows: showAll(windows), late }
}

/** Every event in the window of its time, whenever it came. */
function naiveOfAll(log: readonly Logged[]): string[] {
  const windows = new Map<string, Window>()
  for (const event of log) count(windows, Math.floor(event.at / 1_000) * 1_000, event)
  return showAll(windows)
}

function count(windows: Map<string, Window>, startMs: number, { client, key, n }: Logged): void {
  const id = `${client} ${startMs} ${key}`
  if (!windows.has(id)) windows.set(id, { client, startMs, key, ns: [] })
  windows.get(id)!.ns.push(n)
}

function showAll(windows: ReadonlyMap<string, Window>): string[] {
  const shown = [...windows.values()].map(({ client, startMs, key, ns }) =>
    show(client, startMs, key, ns.length, [
      ns.reduce((a, b) => a + b),
      ns.reduce((a, b) => Math.min(a, b)),
      ns.reduce((a, b) => Math.max(a, b)),
      new Set(ns).size,
    ]),
  )
  return shown.sort()
}

/** What the database would hold: the newest checkpoint, and all that was committed. */
function createStore() {
  let checkpoint: Checkpoint = { version: 0, position: 0, resumeOffset: 0, scopes: [] }
  const windows: string[] = []
  const late: number[] = []
  const aggregates = new Map<
    string,
    Totals & { scopeId: number; startMs: number; key: string; sent: number }
  >()
  const sum = { counted: 0, revised: 0 }
  /** By scope and window: what was parked of each key, as often as it was. */
  const parked = new Map<string, [key: string, totals: Totals][]>()
  let parkedTo = 0

  /** The keys of a window that closes, and the parked ones. */
  function merged({ scopeId, window }: Progress['closings'][number]): Map<string, Totals> {
    const name = `${scopeId} ${window.startMs}`
    assert.equal(window.isParked, parked.has(name))
    const keys = new Map<string, Totals>()
    for (const [key, totals] of [...(parked.get(name) ?? []), ...window.keys]) {
      const found = keys.get(key)
      if (found) mergeTotals(DEFINITION.rule, found, totals)
      else keys.set(key, totals)
    }
    parked.delete(name)
    const events = Array.from(keys.values(), (totals) => totals.events)
    assert.equal(
      window.events,
      events.reduce((a, b) => a + b),
    )
    return keys
  }

  function parkedEvents(scopeId: number): Map<number, number> {
    const events = new Map<number, number>()
    for (const [name, keys] of parked) {
      const [scope, startMs] = name.split(' ').map(Number) as [number, number]
      if (scope !== scopeId) continue
      events.set(
        startMs,
        keys.reduce((sum, [, totals]) => sum + totals.events, 0),
      )
    }
    return events
  }

  return {
    get checkpoint() {
      return checkpoint
    },
    /** No event before it may be read again. */
    get parkedTo() {
      return parkedTo
    },
    parked,
    windows,
    late,
    aggregates,
    sum,
    commit(progress: Progress) {
      const { position, resumeOffset, scopes, closings, revisions, late: lateEvents } = progress
      assert.ok(parkedTo <= resumeOffset && resumeOffset <= position)
      for (const closing of closings) {
        const { scopeId, window } = closing
        for (const [key, totals] of merged(closing)) {
          windows.push(
            show(scopeId, window.startMs, key, totals.events, shownValues(DEFINITION.rule, totals)),
          )
          const name = `${scopeId} ${window.startMs} ${key}`
          assert.ok(!aggregates.has(name))
          aggregates.set(name, {
            ...store(totals),
            scopeId,
            startMs: window.startMs,
            key,
            sent: totals.events,
          })
        }
      }
      for (const { scopeId, window } of progress.parked) {
        assert.equal(resumeOffset, position)
        parkedTo = position
        const name = `${scopeId} ${window.startMs}`
        const more = [...window.keys].map(([key, totals]): [string, Totals] => [key, store(totals)])
        parked.set(name, [...(parked.get(name) ?? []), ...more])
      }
      for (const { scopeId, key, windowStartMs: startMs, totals } of revisions) {
        const name = `${scopeId} ${startMs} ${key}`
        const found = aggregates.get(name)
        if (found) mergeTotals(DEFINITION.rule, found, totals)
        else aggregates.set(name, { ...store(totals), scopeId, startMs, key, sent: 0 })
        aggregates.get(name)!.sent += totals.events
      }
      for (const { offset } of lateEvents) late.push(offset)
      for (const scope of scopes) {
        sum.counted += scope.counted
        sum.revised += scope.revised
      }
      const saved = new Map(checkpoint.scopes.map((scope) => [scope.scopeId, scope]))
      for (const { scopeId, watermarkMs, closedMs, appendedMs } of scopes) {
        const clientKrn = CLIENTS[scopeId]!
        const known = { scopeId, clientKrn, stream: 'readings', parked: new Map() }
        saved.set(scopeId, { ...known, watermarkMs, closedMs, appendedMs })
      }
      for (const scope of saved.values()) scope.parked = parkedEvents(scope.scopeId)
      checkpoint = { version: checkpoint.version + 1, position, resumeOffset, scopes: [...saved.values()] }
    },
  }
}

/** As the database gives it back. */
const store = ({ events, values, sketches }: Totals): Totals => ({
  events,
  values: [...values],
  sketches: sketches?.map((sketch) => decodeSketch(encodeSketch(sketch))),
})

function openReader(checkpoint: Checkpoint, idleMs: number, latePolicy: LatePolicy = 'keep') {
  const known = (clientKrn: string) => ({ scopeId: CLIENTS.indexOf(clientKrn), definition: DEFINITION })
  return createPartitionReader({ checkpoint, idleMs, latePolicy, known })
}

/** Behind the last event. */
const endOf = (log: readonly Logged[]) => (log.at(-1)?.offset ?? -1) + 1

/** Up to `size` events; of none, a slice that passes over offsets without events. */
function sliceOf(log: readonly Logged[], from: number, size: number) {
  const first = log.findIndex(({ offset }) => offset >= from)
  const events = log.slice(first, first + size)
  const runs = events.map(({ offset, client, appendedMs, key, at, n }) => ({
    firstOffset: offset,
    clientKrn: CLIENTS[client]!,
    stream: 'readings',
    appendedMs,
    payloads: [JSON.stringify({ key, at, n })],
  }))
  // Up to the next event, whatever is between.
  return { runs, next: log[first + events.length]?.offset ?? endOf(log), endedMs: undefined }
}

const anyEvent = fc.record({
  client: fc.nat(1),
  key: fc.constantFrom('a', 'b', 'c'),
  at: fc.nat(20_000),
  n: fc.integer({ min: -50, max: 50 }),
  pauseMs: fc.nat(1_000),
  gap: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(3)),
})

/** A log as it might be: event times in any order, appended at times that do not go back, some from the future. */
const anyLog = fc.tuple(fc.array(anyEvent, { maxLength: 80 }), fc.nat(15_000)).map(([events, startMs]) => {
  let appendedMs = startMs
  let next = 0
  return events.map(({ pauseMs, gap, ...event }): Logged => {
    appendedMs += pauseMs
    const offset = next + gap
    next = offset + 1
    return { ...event, offset, appendedMs }
  })
})

interface Step {
  /** Events of the slice. */
  size: number
  commits: boolean
  /** Takes what is open out of memory, with the commit. */
  parks: boolean
  dies: 'no' | 'yes' | 'and reads everything again'
}

/** How a reader might fare: sizes of slices, whether it commits after one, parks, or dies. */
const anyFate: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    size: fc.nat(12),
    commits: fc.boolean(),
    parks: fc.boolean(),
    dies: fc.constantFrom<Step['dies'][]>('no', 'no', 'yes', 'and reads everything again'),
  }),
  { minLength: 1, maxLength: 40 },
)

/** Reads the whole log under a fate, over and over, and at the end closes everything by the clock. */
function run(log: readonly Logged[], fate: readonly Step[], latePolicy: LatePolicy = 'keep') {
  const store = createStore()
  let reader = openReader(store.checkpoint, Number.POSITIVE_INFINITY, latePolicy)
  for (let step = 0, deaths = 0; reader.next < endOf(log) || !reader.isCaughtUp; step++) {
    const { size, commits, parks, dies } = fate[step % fate.length]!
    // A fate of empty slices alone would never end.
    reader.take(sliceOf(log, reader.next, step % 50 === 49 ? size + 1 : size))
    if (commits && reader.isCaughtUp) {
      const open = reader.look()
      store.commit(reader.harvest(parks))
      assert.equal(reader.look().openWindows, open.openWindows)
      if (parks) assert.deepEqual([reader.look().openKeys, reader.openBytes, reader.heldBack], [0, 0, 0])
    }
    // One that always dies would not either.
    if (dies === 'no' || deaths++ >= 30) continue
    const { checkpoint, parkedTo } = store
    const again = dies === 'yes' ? checkpoint : { ...checkpoint, resumeOffset: parkedTo }
    reader = openReader(again, Number.POSITIVE_INFINITY, latePolicy)
  }
  store.commit(reader.harvest(fate[0]!.parks))
  const last = openReader(store.checkpoint, 0, latePolicy)
  while (last.next < endOf(log)) last.take(sliceOf(log, last.next, 7))
  last.take({ runs: [], next: last.next, endedMs: Number.MAX_SAFE_INTEGER })
  store.commit(last.harvest(false))
  assert.equal(last.openBytes, 0)
  assert.equal(store.parked.size, 0)
  return store
}

describe('fold', () => {
  test('S4 S5 whatever the order, the slices, the commits, the parking and the crashes: the windows and late events of the plain rule, each once', () => {
    fc.assert(
      fc.property(anyLog, anyFate, (log, fate) => {
        const store = run(log, fate)
        const expected = naive(log, new Map())
        assert.deepEqual(store.windows.toSorted(), expected.windows)
        assert.deepEqual(store.late, expected.late)
        assert.equal(store.sum.counted + store.late.length, log.length)
      }),
      { numRuns: 1_000 },
    )
  })

  test('N8 with LATE_POLICY=revise, whatever the crashes: aggregates are the plain count of all events, and what was sent adds up to them', () => {
    fc.assert(
      fc.property(anyLog, anyFate, (log, fate) => {
        const { aggregates, windows, late, sum } = run(log, fate, 'revise')
        const found = Array.from(aggregates.values(), (each) =>
          show(each.scopeId, each.startMs, each.key, each.events, shownValues(DEFINITION.rule, each)),
        )
        assert.deepEqual(found.sort(), naiveOfAll(log))
        for (const { events, sent } of aggregates.values()) assert.equal(sent, events)
        const expected = naive(log, new Map())
        assert.deepEqual(windows.toSorted(), expected.windows, 'as they closed')
        assert.deepEqual(late, expected.late)
        assert.equal(sum.revised, late.length)
      }),
      { numRuns: 600 },
    )
  })

  test('S6 a quiet stream is moved on by the clock: what it closes is closed for good, also for a reader that begins anew', () => {
    fc.assert(
      fc.property(
        anyLog,
        fc.nat(80),
        fc.nat(200_000),
        fc.boolean(),
        fc.boolean(),
        (log, place, laterMs, parks, dies) => {
          const at = Math.min(place, log.length)
          const nowMs = (log[at - 1]?.appendedMs ?? 0) + laterMs
          const later = log.slice(at).map((event) => ({ ...event, appendedMs: nowMs + event.appendedMs }))
          const whole = [...log.slice(0, at), ...later]
          const store = createStore()
          let reader = openReader(store.checkpoint, IDLE_MS)
          const before = whole.slice(0, at)
          const end = endOf(before)
          while (reader.next < end) reader.take(sliceOf(before, reader.next, at))
          if (parks) {
            store.commit(reader.harvest(true))
            // Another one knows of parked windows although nothing of their stream comes any more.
            if (dies) reader = openReader(store.checkpoint, IDLE_MS)
          }
          const opened = new Map(CLIENTS.map((_, client) => [client, lastAppended(before, client)]))
          reader.take({ runs: [], next: end, endedMs: nowMs })
          store.commit(reader.harvest(parks))
          const advances = new Map<string, number>()
          for (const [client, appendedMs] of opened) {
            if (appendedMs === undefined || nowMs - appendedMs < IDLE_MS) continue
            const movedMs = movesTo(before, client, nowMs)
            for (const { offset } of later) advances.set(`${offset} ${client}`, movedMs)
          }
          if (dies) reader = openReader(store.checkpoint, IDLE_MS)
          while (reader.next < endOf(whole)) reader.take(sliceOf(whole, reader.next, whole.length))
          store.commit(reader.harvest(false))
          const expected = naive(whole, advances)
          assert.deepEqual(store.late, expected.late)
          const missing = store.windows.filter((window) => !expected.windows.includes(window))
          assert.deepEqual(missing, [])
          assert.equal(new Set(store.windows).size, store.windows.length)
        },
      ),
      { numRuns: 1_000 },
    )
  })

  test('S5 N1 of a stream that has nothing open a commit keeps the times alone: it is known anew, and what is closed stays closed', () => {
    const log = [0, 700].map((at, offset): Logged => {
      return { offset, client: 0, key: 'a', at, n: 1, appendedMs: 50_000 }
    })
    let looked = 0
    const known = () => {
      looked++
      return { scopeId: 0, definition: DEFINITION }
    }
    const { checkpoint } = createStore()
    const reader = createPartitionReader({ checkpoint, idleMs: 0, latePolicy: 'keep', known })
    reader.take({ ...sliceOf(log, 0, 1), endedMs: 60_000 })
    assert.deepEqual([reader.harvest(false).closings.length, looked], [1, 1])
    reader.take(sliceOf(log, 1, 1))
    const { late, scopes } = reader.harvest(false)
    assert.deepEqual([late.length, scopes[0]?.closedMs, looked], [1, 1_000, 2])
  })

  test('S5 an event from the future moves stream time to the instant of its arrival, so those after it still count', () => {
    const scope = createScope(DEFINITION.rule)
    assert.equal(take(scope, 0, 10_000, 9_500, 'a', [1, 1, 1, 1]), true)
    assert.equal(take(scope, 1, 10_000, 86_400_000, 'a', [1, 1, 1, 1]), true)
    assert.equal(scope.watermarkMs, 10_000)
    assert.equal(take(scope, 2, 10_001, 9_600, 'a', [1, 1, 1, 1]), true)
  })

  test('S5 a window is open until stream time is its end and the grace, not a millisecond longer', () => {
    const scope = createScope(DEFINITION.rule)
    take(scope, 0, 1e9, 3_999, 'a', [1, 1, 1, 1])
    assert.equal(
      take(scope, 1, 1e9, 999, 'a', [1, 1, 1, 1]),
      false,
      'window of 0 ended at 1,000, its grace at 3,000',
    )
    assert.equal(take(scope, 2, 1e9, 1_000, 'a', [1, 1, 1, 1]), true)
    take(scope, 3, 1e9, 4_000, 'a', [1, 1, 1, 1])
    assert.equal(take(scope, 4, 1e9, 1_999, 'a', [1, 1, 1, 1]), false)
  })

  test('S5 a longer grace does not open a window again that is closed', () => {
    const scope = createScope(DEFINITION.rule)
    take(scope, 0, 1e9, 10_000, 'a', [1, 1, 1, 1])
    const longer = createScope({ ...DEFINITION.rule, graceMs: 60_000 }, scope)
    assert.equal(take(longer, 1, 1e9, 7_999, 'a', [1, 1, 1, 1]), false)
    assert.equal(take(longer, 2, 1e9, 8_000, 'a', [1, 1, 1, 1]), true)
  })
})

function lastAppended(log: readonly Logged[], client: number): number | undefined {
  return log.findLast((event) => event.client === client)?.appendedMs
}

/** The newest time at which a window with events closes, up to now. */
function movesTo(log: readonly Logged[], client: number, nowMs: number): number {
  const { late } = naive(log, new Map())
  const counted = log.filter((event) => event.client === client && !late.includes(event.offset))
  const closing = counted.map(({ at }) => Math.floor(at / 1_000) * 1_000 + 3_000)
  return Math.max(-1, ...closing.filter((closesMs) => closesMs <= nowMs))
}
