import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { EventStream } from '../../src/platform/http/sse.ts'
import { announcementOf } from '../../src/progress/live/announcement.ts'
import { createLiveHub, LIVE_INTERVAL_MS } from '../../src/progress/live/live.ts'
import { recordIdOf } from '../../src/progress/record.ts'
import type { ProgressRecord } from '../../src/progress/store.ts'

const CLIENT = 'krn:hub'
const delivery = () => sleep(2 * LIVE_INTERVAL_MS)

describe('the hub of live views', { concurrency: true }, () => {
  for (const seen of [2, undefined]) {
    const who = seen ? 'is up to date' : 'came before the file'
    test(`a viewer of one file who ${who} learns of a change whose announcement was lost`, async (t) => {
      const { hub, put, records } = openHub(t)
      if (seen) put('a.csv', seen)
      const { stream, sequences } = openStream()
      await hub.subscribe({ clientKrn: CLIENT, filename: 'a.csv', seen, stream }, async () => [
        ...records.values(),
      ])
      assert.deepEqual(sequences, [])
      put('a.csv', 3)
      await hub.lookAtAll()
      await delivery()
      assert.deepEqual(sequences, [3])
    })
  }

  test('a look finds every change since the last, however many records', async (t) => {
    const { hub, put, records, newestFirst } = openHub(t)
    for (let n = 0; n < 1_500; n++) put(`${n}.csv`, 1, 1_000_000)
    const { stream, sequences } = openStream()
    await hub.subscribe({ clientKrn: CLIENT, stream }, async () => newestFirst().slice(0, 1_000).reverse())
    assert.equal(sequences.length, 1_000)
    for (let n = 0; n < records.size; n++) put(`${n}.csv`, 2, 2_000_000 + n)
    await hub.lookAtAll()
    await delivery()
    assert.equal(sequences.slice(1_000).length, 1_500)
    assert.ok(sequences.slice(1_000).every((sequence) => sequence === 2))
  })

  test('a state that was read earlier and comes later is not sent', async (t) => {
    const { hub, put } = openHub(t)
    const old = put('a.csv', 1)
    const snapshot = Promise.withResolvers<ProgressRecord[]>()
    const { stream, sequences } = openStream()
    const subscribed = hub.subscribe({ clientKrn: CLIENT, stream }, () => snapshot.promise)
    put('a.csv', 5)
    hub.changed([recordIdOf(CLIENT, 'a.csv')])
    await delivery()
    snapshot.resolve([old])
    await subscribed
    assert.deepEqual(sequences, [5])
  })

  test('a viewer for whom too much waits is dropped at once', async (t) => {
    const { hub, put, records } = openHub(t)
    const slow = openStream({ isReady: false })
    await hub.subscribe({ clientKrn: CLIENT, stream: slow.stream }, async () => [])
    for (let n = 0; n < 2_001; n++) put(`${n}.csv`, 1)
    hub.changed(records.keys())
    await delivery()
    assert.equal(hub.size, 0)
    assert.equal(slow.isClosed(), true)
  })

  test('a viewer who left before it came does not stay', async (t) => {
    const { hub } = openHub(t)
    const { stream } = openStream()
    stream.close()
    await hub.subscribe({ clientKrn: CLIENT, stream }, async () => [])
    assert.equal(hub.size, 0)
  })

  test('without a snapshot the stream is not opened, and the viewer does not stay', async (t) => {
    const { hub } = openHub(t)
    const { stream, calls } = openStream()
    const away = new Error('away')
    await assert.rejects(
      hub.subscribe({ clientKrn: CLIENT, stream }, () => Promise.reject(away)),
      away,
    )
    assert.equal(hub.size, 0)
    assert.deepEqual(calls, [])
  })

  test('what is announced of clients nobody watches is not read', async (t) => {
    const { hub, put, fetched } = openHub(t)
    const { stream, sequences } = openStream()
    await hub.subscribe({ clientKrn: CLIENT, stream }, async () => [])
    const { id } = put('a.csv', 1)
    hub.changed([announcementOf('krn:other', recordIdOf('krn:other', 'x')), announcementOf(CLIENT, id)])
    await delivery()
    assert.deepEqual(sequences, [1])
    assert.deepEqual(fetched, [id])
  })

  test('looks do not overlap', async (t) => {
    const { hub, lists } = openHub(t)
    await hub.subscribe({ clientKrn: CLIENT, stream: openStream().stream }, async () => [])
    await Promise.all([hub.lookAtAll(), hub.lookAtAll(), hub.lookAtAll()])
    assert.equal(lists(), 1)
  })
})

/** A hub over records in memory. */
function openHub(t: TestContext) {
  const records = new Map<string, ProgressRecord>()
  const fetched: string[] = []
  let lists = 0
  const newestFirst = () =>
    [...records.values()].sort(
      (a, b) => b.updatedAt.getTime() - a.updatedAt.getTime() || (a.id < b.id ? 1 : -1),
    )
  const hub = createLiveHub({
    fetchRecords: async (ids) => {
      fetched.push(...ids)
      return ids.flatMap((id) => records.get(id) ?? [])
    },
    listNewest: async (_clientKrn, { limit, after }) => {
      lists++
      await sleep(5)
      const all = newestFirst()
      const from = after ? all.findIndex(({ id }) => id === after.id) + 1 : 0
      return all.slice(from, from + limit)
    },
    toMessage: (record) => record,
    log: (message, error) => assert.fail(`${message}: ${error.stack}`),
  })
  t.after(() => hub[Symbol.asyncDispose]())
  const put = (filename: string, sequence: number, updatedAtMs = Date.now()): ProgressRecord => {
    const id = recordIdOf(CLIENT, filename)
    const counts = { done: sequence, warn: 0, failed: 0 }
    const totals = { counts, total: null, isCompleted: false, errorsTotal: 0, warningsTotal: 0, sequence }
    const at = new Date(updatedAtMs)
    const record = {
      id,
      clientKrn: CLIENT,
      filename,
      email: 'a@b.cc',
      createdAt: at,
      updatedAt: at,
      ...totals,
    }
    records.set(id, record)
    return record
  }
  return { hub, put, records, newestFirst, fetched, lists: () => lists }
}

/** A stream that keeps what it was given. */
function openStream({ isReady = true } = {}) {
  const calls: string[] = []
  const sequences: number[] = []
  const closers: (() => void)[] = []
  let isClosed = false
  const stream: EventStream = {
    open: () => void calls.push('open'),
    send: (_data, { id, event } = {}) => (event ? void calls.push(event) : void sequences.push(Number(id))),
    get isReady() {
      return isReady && !isClosed && calls.includes('open')
    },
    onDrain: () => {},
    onClose: (listener) => (isClosed ? listener() : void closers.push(listener)),
    close() {
      isClosed = true
      for (const close of closers.splice(0)) close()
    },
  }
  return { stream, sequences, calls, isClosed: () => isClosed }
}
