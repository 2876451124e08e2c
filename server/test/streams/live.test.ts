import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { EventStream } from '../../src/platform/http/sse.ts'
import { openDatabase } from '../../src/platform/postgres/database.ts'
import { createWindowHub } from '../../src/streams/query/live-windows.ts'
import { commitProgress, loadCheckpoint, scopeIdOf } from '../../src/streams/windows/aggregates-postgres.ts'
import { type LiveCursor, readClosed, readHeads } from '../../src/streams/windows/closings-postgres.ts'
import { createTestDatabase } from '../helpers/database.ts'
import { readEvents } from '../helpers/events.ts'
import { atEnd, suiteScope } from '../helpers/scope.ts'
import { startServer, type TestServer } from '../helpers/server.ts'

describe('live windows', () => {
  const scope = suiteScope()
  let starting: Promise<TestServer> | undefined
  const server = () => {
    starting ??= startServer(scope, {
      PEBBLES_ROLES: 'api,streams',
      STREAM_IDLE_MS: '300',
      STREAM_GRACE_MS: '1000',
    })
    return starting
  }

  async function open(clientKrn: string, lastId?: string) {
    const { url, token } = await server()
    const authorization = `Bearer ${await token('alice@example.com', clientKrn)}`
    const reader = await readEvents(scope, `${url}/api/pageviews/stream`, {
      authorization,
      ...(lastId !== undefined && { 'last-event-id': lastId }),
    })
    const first = await reader.until(() => true)
    return { ...reader, first }
  }

  async function send(clientKrn: string, postcodes: readonly string[], timestamp: number) {
    const { call, token } = await server()
    const body = postcodes.map((postcode) => ({ user_id: 1, postcode, webpage: 'w', timestamp }))
    const bearer = await token('alice@example.com', clientKrn)
    const { status } = await call('POST', '/api/pageviews/batch', { body, token: bearer })
    assert.equal(status, 202)
  }

  const minute = (n: number) => 1611662640 + n * 60
  const shown = (events: readonly { data: { postcode?: string; window_start?: string } }[]) =>
    events.flatMap(({ data }) => (data.postcode ? [`${data.postcode} ${data.window_start?.slice(11)}`] : []))

  test('S10 a viewer is sent each window of its client that closes, and nobody else’s', async () => {
    const viewer = await open('krn:viewer')
    const stranger = await open('krn:stranger')
    assert.equal(viewer.first.event, 'start')
    await send('krn:viewer', ['A', 'B', 'A'], minute(0))
    await viewer.until(({ data }) => data.postcode === 'A')
    await viewer.until(({ data }) => data.postcode === 'B')
    const found = viewer.events.find(({ data }) => data.postcode === 'A')
    assert.deepEqual(found?.data, { postcode: 'A', window_start: '2021-01-26T12:04:00', pageview_count: 2 })
    await send('krn:stranger', ['Z'], minute(0))
    await stranger.until(({ data }) => data.postcode === 'Z')
    assert.deepEqual(shown(stranger.events), ['Z 12:04:00'])
    assert.deepEqual(shown(viewer.events).sort(), ['A 12:04:00', 'B 12:04:00'])
  })

  test('S10 a viewer that comes back is sent what closed in between, each once', async () => {
    const before = await open('krn:back')
    await send('krn:back', ['A', 'B', 'C'], minute(0))
    for (const postcode of ['A', 'B', 'C']) await before.until(({ data }) => data.postcode === postcode)
    const lastId = before.events.findLast(({ id }) => id !== undefined)?.id
    before.close()
    const meanwhile = await open('krn:back')
    await send('krn:back', ['A', 'D'], minute(5))
    for (const postcode of ['A', 'D']) await meanwhile.until(({ data }) => data.postcode === postcode)
    const after = await open('krn:back', lastId)
    for (const postcode of ['A', 'D']) await after.until(({ data }) => data.postcode === postcode)
    assert.equal(after.first.event, 'start')
    assert.deepEqual(shown(after.events).sort(), ['A 12:09:00', 'D 12:09:00'])
  })

  test('S10 an id that means nothing here is answered with a reset, and the view goes on', async () => {
    for (const id of ['7', 'x', '9.9.9.9.9.9.9.9', '0.0.0.0.0.0.0.0-8-QQ', '0.0.0.0.0.0.0.0-0-AA']) {
      const reader = await open('krn:reset', id)
      assert.equal(reader.first.event, 'reset')
      reader.close()
    }
    const reader = await open('krn:reset', 'x')
    await send('krn:reset', ['A'], minute(0))
    await reader.until(({ data }) => data.postcode === 'A')
  })
})

test('S10 N1 a window of any number of keys is sent in pages: who is cut off in its midst, or is slow, goes on there', async (t) => {
  const url = await createTestDatabase(t)
  const database = openDatabase({ url, maxConnections: 2, maxLanes: 1, maxJobConnections: 1, log: () => {} })
  atEnd(t, () => database[Symbol.asyncDispose]())
  const { pool } = database
  const scopes = [await scopeIdOf(pool, 'krn:wide', 'pageviews'), await scopeIdOf(pool, 'krn:b', 'pageviews')]
  const rule = { windowMs: 60_000, graceMs: 0, measures: [] }
  const expected: string[] = []
  const versions = [0, 0, 0]

  async function close(partition: number, scope: number, startMs: number, from: number, to: number) {
    const numbers = Array.from({ length: to - from }, (_, n) => from + n)
    const totals = { events: 1, values: [], sketches: undefined }
    const keys = new Map(numbers.map((n) => [`k${n}`, totals]))
    const window = { startMs, events: keys.size, keys, isParked: false }
    const closings = [{ scopeId: scopes[scope]!, rule, window }]
    const nothing = { position: 1, resumeOffset: 1, scopes: [], late: [], revisions: [], parked: [] }
    const version = versions[partition]!++
    assert.ok(await commitProgress(pool, partition, version, { ...nothing, closings }))
    if (scope === 0) expected.push(...numbers.map((n) => `${startMs} k${n}`))
  }
  for (const partition of versions.keys()) await loadCheckpoint(pool, partition)
  await close(0, 0, 0, 0, 3)
  await close(0, 1, 0, 0, 2_500)
  await close(1, 0, 0, 1_000, 6_005)
  await close(1, 0, 60_000, 1_000, 1_010)
  await close(2, 0, 0, 7_000, 7_001)

  const seen = { clientKrn: 'krn:wide', stream: 'pageviews' }
  const heads = await readHeads(pool, 3)
  for (const limit of [1_000, 1_001, 5_007, 10_000]) {
    const found: string[] = []
    for (let after: LiveCursor = { sequences: [0, 0, 0] }; ; ) {
      const { closed, isLast } = await readClosed(pool, seen, { after, heads, limit })
      const page = closed.flatMap(({ aggregates }) =>
        aggregates.map(({ key, startMs }) => `${startMs} ${key}`),
      )
      found.push(...page)
      assert.ok(page.length <= limit)
      assert.equal(page.length < limit || found.length === expected.length, isLast)
      if (isLast) break
      const { partition, sequence, isWhole, aggregates } = closed.at(-1)!
      const sequences = after.sequences.map((each, n) =>
        n < partition ? heads[n]! : n === partition ? sequence - (isWhole ? 0 : 1) : each,
      )
      after = { sequences, within: isWhole ? undefined : { partition, key: aggregates.at(-1)!.key } }
    }
    assert.deepEqual(found.sort(), expected.toSorted(), `limit ${limit}`)
  }

  const hub = createWindowHub({
    readHeads: () => readHeads(pool, 3),
    readClosed: (of, range) => readClosed(pool, of, range),
    log: (_message, error) => assert.fail(error),
  })
  atEnd(t, () => hub[Symbol.asyncDispose]())

  /** A viewer that takes so many messages, and is then gone. */
  async function view(lastId: string, most: number): Promise<{ sent: string[]; ids: string[] }> {
    const sent: string[] = []
    const ids: string[] = []
    const gone = Promise.withResolvers<void>()
    const closers: (() => void)[] = []
    const stream: EventStream = {
      open() {},
      send(data, { id, event } = {}) {
        assert.notEqual(event, 'reset')
        if (event === undefined) sent.push(data as string)
        if (id !== undefined) ids.push(String(id))
        if (sent.length >= most) gone.resolve()
      },
      get isReady() {
        return sent.length < most
      },
      onDrain() {},
      onClose: (listener) => void closers.push(listener),
      close() {},
    }
    const toMessage = ({ key, startMs }: { key: string; startMs: number }) => `${startMs} ${key}`
    await hub.subscribe({ clientKrn: seen.clientKrn, streamName: seen.stream, toMessage, stream }, lastId)
    await gone.promise
    for (const closer of closers) closer()
    return { sent, ids }
  }
  const first = await view('0.0.0', 1_500)
  assert.equal(first.sent.length, 2_000)
  assert.match(first.ids.at(-1)!, /^1\.0\.0-1-/)
  const second = await view(first.ids.at(-1)!, 100)
  assert.equal(second.sent.length, 2_000)
  const third = await view(second.ids.at(-1)!, expected.length - 4_000)
  assert.deepEqual([...first.sent, ...second.sent, ...third.sent].sort(), expected.toSorted())
  const both = await Promise.all([view('0.0.0', expected.length), view('0.0.0', expected.length)])
  for (const { sent } of both) assert.deepEqual(sent.sort(), expected.toSorted())
})
