import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import fc from 'fast-check'
import { digest } from '../../src/platform/digest.ts'
import type { PebblesError } from '../../src/platform/errors.ts'
import { openDatabase } from '../../src/platform/postgres/database.ts'
import { dropOldIdDays, findDuplicates, type Occurrence } from '../../src/streams/log/event-index-postgres.ts'
import { type EventLog, type NewEvent, partitionOf } from '../../src/streams/log/log.ts'
import { openPostgresLog } from '../../src/streams/log/log-postgres.ts'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import { atEnd, type Scope, suiteScope } from '../helpers/scope.ts'
import { kafkaMissing, sharedKafka, startKafka } from '../helpers/services.ts'
import { eventually, openTestLog } from '../progress/kafka-helpers.ts'
import { describeEventLog, makeEvent, readAll, readFrom } from './log-contract.ts'
import { newTopic, openTestEventLog, type Where } from './log-kafka-helpers.ts'

const HOUR_MS = 3_600_000
const LIMITS = { maxBytes: 1024 * 1024, waitMs: 0, signal: new AbortController().signal }

describe('the event log on Kafka', { skip: kafkaMissing() }, () => {
  const scope = suiteScope()
  const servers = () => sharedKafka().KAFKA_BOOTSTRAP_SERVERS!
  const own = async (t: Scope, more: Partial<Where> = {}): Promise<Where> => ({
    servers: servers(),
    topic: newTopic(),
    url: more.url ?? (await createTestDatabase(t)),
    ...more,
  })
  let shared: Promise<Where> | undefined
  describeEventLog(
    'Kafka',
    async () => {
      shared ??= own(scope)
      return openTestEventLog(scope, await shared)
    },
    { tellsDuplicates: false },
  )

  test('S1 S2 N1 ids that come again, readers of two groups that restart anywhere, one that begins later: each event once for all of them', async (t) => {
    const where = await own(t, { partitions: 2 })
    const logs = [await openTestEventLog(t, where), await openTestEventLog(t, where)] as const
    const send = (round: number) =>
      Promise.all(
        logs.map((log, a) =>
          // Half of them as in the round before, by either process.
          log.append(
            Array.from({ length: 60 }, (_, i) => {
              const n = round * 30 + i
              return makeEvent(n, { id: digest('twice', String(n)), key: `key ${n % 7}` })
            }).sort((x, y) => (a ? 1 : -1) * x.payload.localeCompare(y.payload)),
          ),
        ),
      )
    const group = () => {
      const position = [0, 0]
      const seen = new Map<string, number>()
      return {
        /** Reads some slices with a reader of its own, goes back to where an earlier one was, and ends. */
        async read(log: EventLog, slices: number, maxBytes: number) {
          for (const partition of [0, 1]) {
            await using reader = log.openReader()
            const goesBack = Math.max(0, position[partition]! - 17)
            for (let next = goesBack, n = 0; n < slices; n++) {
              const slice = await reader.read(partition, next, { ...LIMITS, maxBytes })
              for (const { firstOffset, payloads } of slice.runs)
                for (const [i, payload] of payloads.entries()) {
                  const offset = firstOffset + i
                  // Read again it is the same, or it was not there and is not now.
                  if (offset >= position[partition]!) {
                    assert.equal(seen.has(payload), false, payload)
                    seen.set(payload, offset)
                  } else assert.equal(seen.get(payload), offset)
                }
              next = slice.next
              position[partition] = Math.max(position[partition]!, next)
              if (slice.endedMs !== undefined) break
            }
          }
        },
        seen,
      }
    }
    const [first, second, late] = [group(), group(), group()]
    for (let round = 0; round < 8; round++) {
      await send(round)
      await Promise.all([first.read(logs[0], 3, 2_000), round % 3 === 0 && second.read(logs[1], 4, 3_000)])
    }
    for (const [each, maxBytes] of [
      [first, 10_000],
      [second, 5_000],
      [late, 100_000],
    ] as const)
      await each.read(logs[1], 1_000, maxBytes)
    assert.equal(first.seen.size, 270)
    assert.deepEqual(second.seen, first.seen)
    assert.deepEqual(late.seen, first.seen)
  })

  test('S1 S2 ids count for 24 hours, whatever the slices, the readers and their restarts', async (t) => {
    const url = await createTestDatabase(t)
    const database = openDatabase({
      url,
      maxConnections: 1,
      maxLanes: 1,
      maxJobConnections: 1,
      log: () => {},
    })
    atEnd(t, () => database[Symbol.asyncDispose]())
    let partition = 0
    const log = fc.array(
      fc.record({ id: fc.integer({ min: 0, max: 3 }), passedMs: fc.integer({ min: 0, max: 20 * HOUR_MS }) }),
      { minLength: 1, maxLength: 25 },
    )
    const steps = fc.array(
      fc.record({ group: fc.nat(1), events: fc.integer({ min: 1, max: 8 }), back: fc.nat(6) }),
      { maxLength: 12 },
    )
    await fc.assert(
      fc.asyncProperty(log, steps, async (events, reads) => {
        partition++
        let nowMs = Date.UTC(2026, 0, 1)
        const found = events.map(({ id, passedMs }, offset): Occurrence => {
          nowMs += passedMs
          return { id: digest('id', String(id)), offset, appendedMs: nowMs }
        })
        const counted = new Map<string, number>()
        const expected = found.flatMap(({ id, offset, appendedMs }) => {
          if (appendedMs - (counted.get(id) ?? -Infinity) < 24 * HOUR_MS) return [offset]
          counted.set(id, appendedMs)
          return []
        })
        const read = async (from: number, to: number) => {
          const duplicates = await findDuplicates(database.streams, partition, found.slice(from, to))
          assert.deepEqual(
            [...duplicates].sort((a, b) => a - b),
            expected.filter((n) => n >= from && n < to),
          )
        }
        const positions = [0, 0]
        for (const { group, events, back } of reads) {
          const from = Math.max(0, positions[group]! - back)
          await read(from, from + events)
          positions[group] = Math.max(positions[group]!, Math.min(found.length, from + events))
        }
        await read(positions[0]!, found.length)
        await read(0, found.length)
      }),
      { numRuns: 40 },
    )
  })

  test('S2 days of ids are dropped when every group has passed the day after them, or the log has', async (t) => {
    const pool = openTestPool(t, await createTestDatabase(t))
    const dayMs = 24 * HOUR_MS
    const today = Math.floor(Date.now() / dayMs)
    const days = async () => {
      const { rows } = await pool.query(
        `SELECT to_date(right(c.relname, 8), 'YYYYMMDD') - date '1970-01-01' AS day FROM pg_inherits i
         JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'log_ids'::regclass ORDER BY 1`,
      )
      return rows.map(({ day }) => day - today)
    }
    await pool.query(`SELECT ensure_log_id_days(current_date - 12, current_date)`)
    // One event an hour in each of two partitions: offset 0 was 20 days ago.
    const startMs = (today - 20) * dayMs
    const offsetsAt = async (timeMs: number) => Array(2).fill(Math.ceil((timeMs - startMs) / HOUR_MS))
    const reached = (group: string, partition: number, day: number) =>
      pool.query(
        `INSERT INTO log_checkpoints (reader_group, partition, resume_offset) VALUES ($1, $2, $3)
         ON CONFLICT (reader_group, partition) DO UPDATE SET resume_offset = excluded.resume_offset`,
        [group, partition, (day + 20) * 24],
      )
    const drop = () => dropOldIdDays(pool, { groups: ['a', 'b'], offsetsAt, keptDays: 7 })
    for (const group of ['a', 'b', 'other']) await reached(group, 0, group === 'other' ? -19 : 0)
    await reached('a', 1, 0)
    await drop()
    assert.deepEqual(
      (await days())[0],
      -10,
      'one group has not begun a partition; the oldest are gone from the log',
    )
    await reached('b', 1, -4)
    await drop()
    assert.deepEqual((await days())[0], -5)
    await reached('b', 1, 0)
    await drop()
    assert.deepEqual(await days(), [-2, -1, 0])
  })

  test('S1 S2 N8 page views that others write count once, in the partition of their key; what is none is passed over by all', async (t) => {
    const where = await own(t, { partitions: 3 })
    const logs = [await openTestEventLog(t, where), await openTestEventLog(t, where)] as const
    const theirs = openTestLog(t, where.servers)
    const view = (postcode: string, more = {}) => ({
      user_id: 1,
      postcode,
      webpage: 'w',
      timestamp: 1_700_000_000,
      ...more,
    })
    const sent = [
      ...Array.from({ length: 12 }, (_, n) => ({ value: view(`P${n}`), partition: n % 3 })),
      { value: view('TENANT'), partition: 1, headers: { client: 'krn:theirs', trace: 'x' } },
      { value: view('TWICE', { event_id: 'same' }), partition: 0 },
      { value: view('TWICE', { event_id: 'same' }), partition: 1 },
    ]
    const bad = [
      null,
      'no json',
      '{"user_id":1,"user_id":1}',
      [view('A')],
      view('A', { timestamp: 1e12 }),
      view('A', { colour: 'red' }),
      view(''),
    ]
    const badHeaders = [{ client: '' }, { client: 'x'.repeat(300) }, { stream: 'sales' }]
    await logs[0].append([makeEvent(1, { clientKrn: 'krn:a' })])
    await theirs.producer.send({
      acks: -1,
      messages: [
        ...sent,
        ...bad.map((value) => ({ value, partition: 2 })),
        ...badHeaders.map((headers) => ({ value: view('A'), partition: 0, headers })),
        // As if it were one of ours.
        { value: '{"broken"', partition: 0, headers: { client: 'krn:a', stream: 'sales', pebbles: 'seal' } },
      ].map(({ value, partition, ...more }) => ({
        topic: where.topic,
        partition,
        value: (value === null
          ? null
          : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))) as Buffer,
        headers: Object.entries('headers' in more ? (more.headers ?? {}) : {}).reduce(
          (map, [name, text]) => map.set(Buffer.from(name), Buffer.from(text as string)),
          new Map<Buffer, Buffer>(),
        ),
      })),
    })
    await logs[1].append([makeEvent(2, { clientKrn: 'krn:a' })])

    // Two readers meet what lies elsewhere at the same time; what they append comes behind.
    const both = () => Promise.all(logs.map((log) => readFrom(log.openReader(), [0, 0, 0])))
    await both()
    const [found, same] = await both()
    assert.deepEqual(same, found)
    assert.deepEqual(await readFrom(logs[0].openReader(), [0, 0, 0]), found)
    const names = found!.map(
      ({ clientKrn, stream, payload }) => `${clientKrn} ${stream} ${JSON.parse(payload).postcode ?? ''}`,
    )
    assert.deepEqual(
      names.sort(),
      [
        ...Array(2).fill('krn:a contract '),
        ...sent.slice(0, 12).map(({ value }) => `krn:dev pageviews ${value.postcode}`),
        'krn:dev pageviews TWICE',
        'krn:theirs pageviews TENANT',
      ].sort(),
    )
    for (let partition = 0; partition < 3; partition++)
      for (const { clientKrn, stream, payload } of await readAll(logs[0], partition))
        if (stream === 'pageviews')
          assert.equal(partitionOf(clientKrn, stream, JSON.parse(payload).postcode, 3), partition)
    const health = logs[1].health!()
    assert.equal(health.refusedRecords, 2 * (bad.length + badHeaders.length + 1))
    assert.equal(health.awaySinceMs, undefined)
  })

  test('S2 a topic keeps its number of partitions; one without the time of appending, or made again, or in place of another log, is refused by name', async (t) => {
    const where = await own(t, { partitions: 2 })
    const log = await openTestEventLog(t, where)
    assert.equal((await openTestEventLog(t, { ...where, partitions: 5 })).partitions, 2)
    const refused = async (more: Partial<Where>, message: RegExp) =>
      assert.rejects(openTestEventLog(t, { ...where, ...more }), (error: PebblesError) => {
        assert.equal(error.code, 'misconfigured')
        assert.match(error.message, message)
        return true
      })
    const other = openTestLog(t, where.servers)
    await other.create(1)
    await refused({ url: await createTestDatabase(t), topic: other.topic }, /message\.timestamp\.type/)

    const pool = openTestPool(t, where.url)
    await log.append([makeEvent(1)])
    await pool.query(`INSERT INTO log_checkpoints (reader_group, partition, position) VALUES ('any', 0, 1)`)
    await refused({ topic: newTopic() }, /STREAM_TOPIC/)
    await assert.rejects(openPostgresLog(pool, 1), /STREAM_LOG=kafka/)
    const inDatabase = await createTestDatabase(t)
    const database = openDatabase({
      url: inDatabase,
      maxConnections: 1,
      maxLanes: 1,
      maxJobConnections: 1,
      log: () => {},
    })
    atEnd(t, () => database[Symbol.asyncDispose]())
    await using postgres = await openPostgresLog(database.streams, 1)
    await postgres.append([makeEvent(1)])
    await refused({ url: inDatabase }, /STREAM_LOG=postgres/)

    await other.admin.deleteTopics({ topics: [where.topic] })
    const configs = [{ name: 'message.timestamp.type', value: 'LogAppendTime' }]
    await eventually('it is made again', () =>
      other.admin.createTopics({ topics: [where.topic], partitions: 2, replicas: 1, configs }),
    )
    await refused({}, /made again/)
    await assert.rejects(log.append([makeEvent(2)]), { code: 'unavailable' })
    await using reader = log.openReader()
    const slice = await reader.read(0, 0, LIMITS)
    assert.deepEqual([slice.runs, slice.endedMs], [[], undefined])
    assert.match(log.health!().lastError!.message, /made again/)
  })

  test('S2 what retention took is told, and reading goes on behind it', async (t) => {
    const where = await own(t, { partitions: 1 })
    const log = await openTestEventLog(t, where)
    for (let n = 0; n < 5; n++) await log.append([makeEvent(n), makeEvent(n)])
    const { admin } = openTestLog(t, where.servers)
    await admin.deleteRecords({
      topics: [{ name: where.topic, partitions: [{ partition: 0, offset: 6n }] }],
    })
    const found = await readAll(log, 0)
    assert.deepEqual(
      found.map(({ offset }) => offset),
      [6, 7, 8, 9],
    )
    assert.equal(log.health!().goneRecords, 6)
    assert.match(log.health!().lastError!.message, /Retention took 6 events/)
  })

  test('S1 an event larger than the topic takes is refused before anything is sent, and harms no other', async (t) => {
    const where = await own(t, { partitions: 1 })
    const log = await openTestEventLog(t, where)
    const large = (n: number) => makeEvent(n, { payload: `"${'é'.repeat(2_000_000)}"` })
    await assert.rejects(log.append([makeEvent(1), makeEvent(2, { payload: 'x'.repeat(9_000_000) })]), {
      code: 'too_large',
    })
    assert.deepEqual(
      await log.append([large(1), large(2), large(3)]),
      [0, 1, 2].map((offset) => ({ partition: 0, offset })),
    )
    const found = await readAll(log, 0)
    assert.deepEqual(
      found.map(({ payload }) => payload.length),
      [2_000_002, 2_000_002, 2_000_002],
    )
  })

  test('S1 S2 N1 a broker that freezes for five seconds, and is killed and started again, while events are appended: each that was acknowledged is read once', async (t) => {
    const kafka = await startKafka(t)
    const where = await own(t, { servers: kafka.bootstrapServers })
    const logs = [await openTestEventLog(t, where), await openTestEventLog(t, where)] as const
    let isOver = false
    let refused = 0
    const acknowledged: string[] = []
    const appending = logs.map(async (log, a) => {
      for (let n = 0; !isOver; n++) {
        const events: NewEvent[] = [0, 1, 2, 3].map((k) =>
          makeEvent(n, { key: `${k}`, id: digest('kill', `${a} ${n} ${k}`), payload: `"${a} ${n} ${k}"` }),
        )
        // As a caller does that is told to come back.
        while (!(await append(log, events))) await delay(100)
        acknowledged.push(...events.map(({ payload }) => payload))
        await delay(5)
      }
    })
    async function append(log: EventLog, events: NewEvent[]): Promise<boolean> {
      try {
        await log.append(events)
        return true
      } catch (error) {
        assert.equal((error as PebblesError).code, 'unavailable')
        refused++
        return false
      }
    }
    const reader = logs[0].openReader()
    const tail: string[] = []
    let hasRead = 0
    const reading = Promise.all(
      Array.from({ length: logs[0].partitions }, async (_, partition) => {
        for (let next = 0; ; ) {
          const wasOver = isOver
          const slice = await reader.read(partition, next, { ...LIMITS, waitMs: 100 })
          for (const { payloads } of slice.runs) tail.push(...payloads)
          hasRead = tail.length
          next = slice.next
          if (wasOver && slice.endedMs !== undefined) break
        }
      }),
    )
    const grows = async (what: string) => {
      const [events, read] = [acknowledged.length, hasRead]
      await eventually(what, async () => acknowledged.length > events + 100 && hasRead > read + 100)
    }
    await grows('events flow')
    kafka.freeze()
    await delay(5_000)
    kafka.thaw()
    await grows('events flow after the freeze')
    await kafka.kill()
    await delay(300)
    await kafka.restart()
    await grows('events flow after the kill')
    isOver = true
    await Promise.all(appending)
    await reading
    await reader[Symbol.asyncDispose]()
    const all = (await readFrom(logs[1].openReader(), Array(logs[1].partitions).fill(0))).map(
      ({ payload }) => payload,
    )
    t.diagnostic(`${acknowledged.length} events, ${refused} appends refused`)
    assert.equal(new Set(all).size, all.length)
    assert.deepEqual(all.toSorted(), acknowledged.toSorted())
    assert.deepEqual(tail.toSorted(), acknowledged.toSorted())
  })
})
