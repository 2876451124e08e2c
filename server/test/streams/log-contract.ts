/** What every event log promises. Each adapter's test file calls this with ways to open one and the same log. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { digest } from '../../src/platform/digest.ts'
import {
  type Appended,
  type EventLog,
  type EventReader,
  type NewEvent,
  partitionOf,
  type Run,
} from '../../src/streams/log/log.ts'

const CLIENT = 'krn:contract'
const NO_WAIT = { maxBytes: 1024 * 1024, waitMs: 0, signal: new AbortController().signal }

export function makeEvent(n: number, more: Partial<NewEvent> = {}): NewEvent {
  return {
    clientKrn: CLIENT,
    stream: 'contract',
    key: `key ${n % 5}`,
    payload: JSON.stringify({ n, text: `é"\\ line\nbreak ${n}` }),
    ...more,
  }
}

interface Read {
  offset: number
  clientKrn: string
  stream: string
  payload: string
}

/** All events of a partition from an offset on. */
export async function readAll(log: EventLog, partition: number, from = 0, limits = NO_WAIT): Promise<Read[]> {
  await using reader = log.openReader()
  return await readPartition(reader, partition, from, limits)
}

/** All events of all partitions; closes the reader. */
export async function readFrom(reader: EventReader, from: readonly number[]): Promise<Read[]> {
  await using own = reader
  return (await Promise.all(from.map((first, partition) => readPartition(own, partition, first)))).flat()
}

async function readPartition(reader: EventReader, partition: number, from: number, limits = NO_WAIT) {
  const found: Read[] = []
  for (let next = from; ; ) {
    const slice = await reader.read(partition, next, limits)
    for (const run of slice.runs) found.push(...eventsOf(run))
    next = slice.next
    if (slice.endedMs !== undefined) return found
  }
}

function eventsOf({ firstOffset, clientKrn, stream, payloads }: Run): Read[] {
  return payloads.map((payload, i) => ({ offset: firstOffset + i, clientKrn, stream, payload }))
}

const placesOf = (appended: readonly Appended[]) =>
  appended.map((place) => {
    assert.notEqual(place, 'duplicate')
    return place as Exclude<Appended, 'duplicate'>
  })

/**
 * @param open opens the log once more, as another process would
 * @param tellsDuplicates when it appends; else they are left out when it is read
 */
export function describeEventLog(
  name: string,
  open: () => Promise<EventLog>,
  { tellsDuplicates }: { tellsDuplicates: boolean },
): void {
  describe(`event log: ${name}`, () => {
    let log: EventLog
    let other: EventLog
    let reader: EventReader
    before(async () => {
      log = await open()
      other = await open()
      reader = log.openReader()
    })
    after(() => reader[Symbol.asyncDispose]())

    test('S2 an event lies where the append said, in the partition of its key, as it was given', async () => {
      const events = Array.from({ length: 50 }, (_, n) => makeEvent(n))
      const places = placesOf(await log.append(events))
      for (const [n, event] of events.entries()) {
        const { partition, offset } = places[n]!
        assert.equal(partition, partitionOf(event.clientKrn, event.stream, event.key, log.partitions))
        const [found] = await readAll(other, partition, offset)
        const { clientKrn, stream, payload } = event
        assert.deepEqual(found, { offset, clientKrn, stream, payload })
      }
      assert.deepEqual(await log.append([]), [])
    })

    test('S2 many appenders at once: offsets without gaps, each event once, one key in the order of its appends', async () => {
      const clientKrn = 'krn:race'
      const before = await log.ends()
      const appenders = Array.from({ length: 8 }, async (_, a) => {
        const places: { partition: number; offset: number }[] = []
        for (let round = 0; round < 12; round++) {
          const events = Array.from({ length: 1 + ((a + round) % 7) }, (_, n) =>
            makeEvent(n, { clientKrn, key: `key ${a}`, payload: JSON.stringify({ a, round, n }) }),
          )
          events.push(
            makeEvent(0, { clientKrn, key: `own ${a} ${round}`, payload: JSON.stringify({ a, round }) }),
          )
          places.push(...placesOf(await (a % 2 ? log : other).append(events)))
        }
        return places
      })
      const places = (await Promise.all(appenders)).flat()
      const ends = await log.ends()
      assert.equal(
        new Set(places.map(({ partition, offset }) => `${partition}/${offset}`)).size,
        places.length,
      )
      for (let partition = 0; partition < log.partitions; partition++) {
        const found = await readAll(log, partition, before[partition])
        const offsets = found.map(({ offset }) => offset)
        const mine = places.filter((place) => place.partition === partition)
        assert.deepEqual(
          offsets,
          mine.map(({ offset }) => offset).sort((x, y) => x - y),
        )
        assert.ok(offsets.every((offset) => offset < ends[partition]!))
        for (let a = 0; a < 8; a++) {
          const order = found
            .map(({ payload }) => JSON.parse(payload) as { a: number; round: number; n?: number })
            .filter((event) => event.a === a && event.n !== undefined)
            .map(({ round, n }) => round * 100 + n!)
          assert.deepEqual(
            order,
            order.toSorted((x, y) => x - y),
          )
        }
      }
    })

    test('S2 who reads while others append misses nothing: what was read once is all there ever is up to there', async () => {
      const clientKrn = 'krn:tail'
      const key = 'the one'
      const partition = partitionOf(clientKrn, 'contract', key, log.partitions)
      const from = (await log.ends())[partition]!
      let isAppending = true
      const appending = Promise.all(
        [log, other].map(async (each, a) => {
          for (let round = 0; round < 40; round++)
            await each.append([makeEvent(round, { clientKrn, key, payload: `${a * 1_000 + round}` })])
        }),
      ).finally(() => {
        isAppending = false
      })
      const tail: Read[] = []
      for (let next = from; ; ) {
        const wasAppending = isAppending
        const slice = await reader.read(partition, next, { ...NO_WAIT, waitMs: 20 })
        for (const run of slice.runs) tail.push(...eventsOf(run))
        next = slice.next
        if (!wasAppending && slice.endedMs !== undefined) break
      }
      await appending
      assert.equal(tail.length, 80)
      assert.deepEqual(tail, await readAll(other, partition, from))
      assert.deepEqual(
        tail.map(({ offset }) => offset).sort((x, y) => x - y),
        tail.map(({ offset }) => offset),
      )
    })

    test('S2 slices are bounded, and may begin and end anywhere', async () => {
      const clientKrn = 'krn:slices'
      const events = Array.from({ length: 300 }, (_, n) =>
        makeEvent(n, { clientKrn, key: 'one', payload: JSON.stringify({ n, fill: 'x'.repeat(1_000) }) }),
      )
      const places: { partition: number; offset: number }[] = []
      for (let i = 0; i < 300; i += 20) places.push(...placesOf(await log.append(events.slice(i, i + 20))))
      const { partition, offset: first } = places[0]!
      const slice = await reader.read(partition, first, { ...NO_WAIT, maxBytes: 30_000 })
      const bytes = slice.runs.flatMap(({ payloads }) => payloads).join('').length
      assert.ok(bytes > 10_000 && bytes < 100_000, `${bytes} bytes`)
      for (const start of [0, 1, 19, 20, 150, 299]) {
        const found = await readAll(log, partition, places[start]!.offset, { ...NO_WAIT, maxBytes: 5_000 })
        assert.deepEqual(
          found.map(({ payload }) => payload),
          events.slice(start).map(({ payload }) => payload),
        )
      }
    })

    test('S2 who waits is woken by an append, and otherwise learns that there was nothing', async () => {
      const clientKrn = 'krn:wait'
      const partition = partitionOf(clientKrn, 'contract', 'k', log.partitions)
      const from = (await log.ends())[partition]!
      const nothing = await reader.read(partition, from, { ...NO_WAIT, waitMs: 50 })
      assert.deepEqual(nothing.runs, [])
      assert.equal(nothing.next, from)
      assert.ok(nothing.endedMs !== undefined)
      // Longer than a test may take: only the append can end it.
      const waiting = reader.read(partition, from, { ...NO_WAIT, waitMs: 1e9 })
      await other.append([makeEvent(1, { clientKrn, key: 'k' })])
      const slice = await waiting
      assert.equal(slice.runs.length, 1)
      assert.ok(slice.runs[0]!.appendedMs >= Math.floor(nothing.endedMs))
    })

    test('S1 an event with an id is there once: in one append, in the next, and at the same instant', async () => {
      const from = await log.ends()
      const rounds = 15
      for (let round = 0; round < rounds; round++) {
        const clientKrn = `krn:ids-${round}`
        const id = (n: number) => digest('contract', clientKrn, String(n))
        const same = () => [0, 1, 2, 1].map((n) => makeEvent(n, { clientKrn, id: id(n) }))
        const racing = await Promise.all([log.append(same()), other.append(same()), log.append(same())])
        const later = await log.append([...same(), makeEvent(9, { clientKrn })])
        assert.notEqual(later[4], 'duplicate')
        if (!tellsDuplicates) continue
        assert.deepEqual(later.slice(0, 4), Array(4).fill('duplicate'))
        const appended = racing.flat().filter((place) => place !== 'duplicate')
        assert.equal(appended.length, 3)
      }
      // Two readers at once, and one that reads it all again.
      const both = await Promise.all([log, other].map((each) => readFrom(each.openReader(), from)))
      for (const read of [...both, await readFrom(other.openReader(), from)]) {
        const counts = Object.groupBy(read, ({ clientKrn }) => clientKrn)
        assert.equal(Object.keys(counts).length, rounds)
        for (const events of Object.values(counts))
          assert.deepEqual(
            events!.map(({ payload }) => JSON.parse(payload).n).sort((a, b) => a - b),
            [0, 1, 2, 9],
          )
      }
    })

    test('N5 events of one stream are counted from any places on, as they are read', async () => {
      const clientKrn = 'krn:count'
      const from = await log.ends()
      const id = (n: number) => digest('count', String(n))
      const events = Array.from({ length: 40 }, (_, n) => makeEvent(n, { clientKrn }))
      await log.append(events)
      const middle = await other.ends()
      await log.append([...events.slice(0, 7), makeEvent(1, { clientKrn: 'krn:other' })])
      await log.append([1, 2, 3, 1].map((n) => makeEvent(n, { clientKrn, id: id(n) })))
      await log.append([1, 2, 3, 4].map((n) => makeEvent(n, { clientKrn, id: id(n) })))
      const ends = await log.ends()
      assert.deepEqual(await other.count(clientKrn, 'contract', [from, middle, ends]), [51, 11, 0])
      assert.deepEqual(await log.count(clientKrn, 'nothing', [from]), [0])
    })

    test('S2 appends with crossing keys and ids do not hold each other up for ever', async () => {
      const ids = Array.from({ length: 20 }, (_, n) => digest('crossing', String(n)))
      const appends = Array.from({ length: 10 }, (_, a) => {
        const order = a % 2 ? ids : ids.toReversed()
        // Other keys, so other partitions: an id may name one event all the same.
        const events = order.map((id, n) => makeEvent(n, { clientKrn: 'krn:crossing', key: `${a} ${n}`, id }))
        return (a % 3 ? log : other).append(events)
      })
      const places = (await Promise.all(appends)).flat()
      assert.equal(places.length, 200)
      if (tellsDuplicates) assert.equal(places.filter((place) => place !== 'duplicate').length, 20)
    })
  })
}
