/** What has to be true after a storm: a plain count of the log, held against everything that was made of it. */
import assert from 'node:assert/strict'
import type { Pool } from 'pg'
import type { EventLog } from '../../src/streams/log/log.ts'
import { showStart } from '../../src/streams/query/query.ts'
import { addHash, createSketch, estimate, hashOf } from '../../src/streams/windows/sketch.ts'
import { GRACE_S, type Pageview, type Plan, type Request, VISITS, WINDOW_S } from './streams-plan.ts'

/** An event as it lies in the log. */
export interface Placed {
  offset: number
  clientKrn: string
  stream: string
  event: Pageview
}

/** What becomes of late events: kept, or added to their windows as well. */
export type LatePolicy = 'keep' | 'revise'

/** What a plain count of the log says. */
export interface Count {
  /** Per event: its partition, and its offset; -1 when it is not in the log. */
  partitions: Int16Array
  offsets: Float64Array
  /** `client stream key start: measures`, as they are when their windows close. */
  closed: string[]
  /** The same in the end: with `revise`, of all events there are. */
  windows: string[]
  /** Late events, by their places. */
  late: Map<string, Placed>
}

/** Reads every partition of the log and counts it by the rule in its plainest form. */
export async function countLog(
  log: EventLog,
  plan: Plan,
  accepted: Uint8Array,
  latePolicy: LatePolicy,
): Promise<Count> {
  const count: Count = {
    partitions: new Int16Array(plan.events).fill(-1),
    offsets: new Float64Array(plan.events).fill(-1),
    closed: [],
    windows: [],
    late: new Map(),
  }
  await using reader = log.openReader()
  for (let partition = 0; partition < log.partitions; partition++) {
    const streamTimes = new Map<string, number>()
    const closed = new Map<string, Pageview[]>()
    const inTheEnd = new Map<string, Pageview[]>()
    let before = -1
    for await (const placed of readLog(reader, partition, plan)) {
      const { offset, clientKrn, stream, event } = placed
      const index = event.user_id
      assert.ok(offset > before, 'offsets go up')
      before = offset
      assert.equal(count.offsets[index], -1, `event ${index} is in the log twice`)
      count.partitions[index] = partition
      count.offsets[index] = offset
      const request = plan.requestOf(index)
      assert.deepEqual([clientKrn, stream], [request.clientKrn, request.stream])
      const scope = `${clientKrn} ${stream}`
      const streamTime = Math.max(streamTimes.get(scope) ?? -1, event.timestamp)
      streamTimes.set(scope, streamTime)
      const isLate = windowOf(event) + WINDOW_S + GRACE_S <= streamTime
      if (isLate) count.late.set(`${partition}/${offset}`, placed)
      const window = `${scope} ${event.postcode} ${showStart(windowOf(event) * 1_000)}`
      if (!isLate) append(closed, window, event)
      if (!isLate || latePolicy === 'revise') append(inTheEnd, window, event)
    }
    for (const [window, events] of closed) count.closed.push(`${window}: ${measuresOf(window, events)}`)
    for (const [window, events] of inTheEnd) count.windows.push(`${window}: ${measuresOf(window, events)}`)
  }
  count.closed.sort()
  count.windows.sort()
  const lost = []
  for (let index = 0; index < plan.events; index++)
    if (accepted[index] === 1 && count.offsets[index] === -1) lost.push(index)
  assert.deepEqual(lost, [], 'every accepted event is in the log')
  // Over several partitions of Kafka it may be a part.
  if (log.isInDatabase) checkBare(plan, count)
  return count
}

function append(windows: Map<string, Pageview[]>, window: string, event: Pageview): void {
  const events = windows.get(window)
  if (events) events.push(event)
  else windows.set(window, [event])
}

function measuresOf(window: string, events: readonly Pageview[]): string {
  if (streamOf(window) !== VISITS) return String(events.length)
  const users = createSketch()
  let ids = 0
  for (const { user_id } of events) {
    addHash(users, hashOf(user_id))
    ids += user_id
  }
  return `${events.length} ${estimate(users)} ${ids}`
}

/** The stream that a line of a count is about. */
export const streamOf = (line: string) => line.split(' ')[1]

const windowOf = ({ timestamp }: Pageview) => Math.floor(timestamp / WINDOW_S) * WINDOW_S

/** A request without an id that nobody answered: all of its events are there, or none is. */
function checkBare({ requests }: Plan, { offsets }: Count): void {
  const isWhole = ({ from, to }: Request) => {
    const there = offsets.subarray(from, to).reduce((sum, offset) => sum + Number(offset !== -1), 0)
    return there === 0 || there === to - from
  }
  assert.deepEqual(
    requests.filter(({ kind }) => kind === 'bare').filter((request) => !isWhole(request)),
    [],
  )
}

async function* readLog(
  reader: ReturnType<EventLog['openReader']>,
  partition: number,
  plan: Plan,
): AsyncGenerator<Placed> {
  const limits = { maxBytes: 4 * 1024 * 1024, waitMs: 500, signal: new AbortController().signal }
  for (let next = 0; ; ) {
    const slice = await reader.read(partition, next, limits)
    for (const { firstOffset, clientKrn, stream, payloads } of slice.runs)
      for (const [i, payload] of payloads.entries())
        yield { offset: firstOffset + i, clientKrn, stream, event: eventOf(payload, plan) }
    if (slice.endedMs !== undefined) return
    assert.ok(slice.next > next)
    next = slice.next
  }
}

/** The event that a payload is: as it was sent, word for word. */
export function eventOf(payload: string, plan: Plan): Pageview {
  const event = plan.pageview(Number.parseInt(payload.slice('{"user_id":'.length), 10))
  assert.equal(payload, JSON.stringify(event))
  return event
}

/** An aggregate as it was told: when its window closed, or when late events were added to it. */
export interface Told {
  clientKrn: string
  stream: string
  /** As JSON shows it: key, `window_start`, measures; `revision` and `delta` of a revision. */
  aggregate: Readonly<Record<string, string | number>>
}

/**
 * Each window closed once; each of its revisions is one more, and adds what it says; in the end all is in.
 *
 * @param told those of one aggregate in the order in which they were told
 * @returns how many revisions there were
 */
export function checkTold(what: string, told: readonly Told[], expected: Pick<Count, 'closed' | 'windows'>) {
  const closed: string[] = []
  const now = new Map<string, { events: number; revision: number; measures: string }>()
  let revisions = 0
  for (const { clientKrn, stream, aggregate } of told) {
    const { postcode, window_start, revision = 0, delta, ...values } = aggregate
    const window = `${clientKrn} ${stream} ${postcode} ${window_start}`
    const measures = Object.values(values).join(' ')
    const events = Number(Object.values(values)[0])
    const before = now.get(window)
    if (delta === undefined) closed.push(`${window}: ${measures}`)
    else {
      revisions++
      assert.equal(revision, (before?.revision ?? 0) + 1, `${what}: revisions of ${window}`)
      assert.equal(
        events,
        (before?.events ?? 0) + Number(delta),
        `${what}: revision ${revision} of ${window}`,
      )
      assert.ok(Number(delta) > 0)
    }
    now.set(window, { events, revision: Number(revision), measures })
  }
  assertSame(`${what} as they closed`, closed.sort(), expected.closed)
  const windows = Array.from(now, ([window, { measures }]) => `${window}: ${measures}`)
  assertSame(`${what} in the end`, windows.sort(), expected.windows)
  return revisions
}

/** The tables hold each window of the count once, each late event once, and nothing else; so do the books. */
export async function checkTables(pool: Pool, count: Count, latePolicy: LatePolicy) {
  const { rows: windows } = await pool.query(
    `SELECT concat_ws(' ', s.client_krn, s.stream, a.key, to_char(a.window_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS')) || ': '
              || array_to_string(a.events::float8 || coalesce(a.measures, '{}'), ' ') AS window
     FROM aggregates a JOIN stream_scopes s ON s.id = a.scope_id`,
  )
  assertSame('aggregates', windows.map(({ window }) => window).sort(), count.windows)
  const { rows: late } = await pool.query(
    `SELECT partition || '/' || log_offset AS place, revised FROM late_events`,
  )
  assertSame('late events', late.map(({ place }) => place).sort(), [...count.late.keys()].sort())
  const isRevised = latePolicy === 'revise'
  assert.ok(late.every(({ revised }) => revised === isRevised))
  const { rows: sums } = await pool.query(
    `SELECT sum(late)::float8 AS late, sum(revised)::float8 AS revised, sum(open)::float8 AS open,
            sum(counted + late)::float8 AS decided FROM scope_progress`,
  )
  const revised = isRevised ? late.length : 0
  const decided = count.offsets.reduce((sum, offset) => sum + Number(offset !== -1), 0)
  assert.deepEqual(sums, [{ late: late.length, revised, open: 0, decided }])
}

/** As `deepEqual`, which says too much about lists that are long. */
export function assertSame(what: string, found: readonly string[], expected: readonly string[]): void {
  const difference = (these: readonly string[], those: readonly string[]) => {
    const left = new Map<string, number>()
    for (const each of those) left.set(each, (left.get(each) ?? 0) + 1)
    const more = []
    for (const each of these) {
      const count = left.get(each) ?? 0
      if (count === 0) more.push(each)
      else left.set(each, count - 1)
    }
    return more
  }
  const tooMuch = difference(found, expected)
  const missing = difference(expected, found)
  assert.deepEqual(
    { tooMuch: tooMuch.slice(0, 20), missing: missing.slice(0, 20) },
    { tooMuch: [], missing: [] },
    `${what}: of ${expected.length}, ${missing.length} are missing and ${tooMuch.length} are too much`,
  )
}
