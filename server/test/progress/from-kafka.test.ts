import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { readEvents } from '../helpers/events.ts'
import type { Scope } from '../helpers/scope.ts'
import { startServer } from '../helpers/server.ts'
import { kafkaMissing, sharedKafka } from '../helpers/services.ts'
import { bytesOf, eventually, message, openTestLog, readPages, recordOf } from './kafka-helpers.ts'

const ROLES = { PEBBLES_ROLES: 'api,consumers' }

describe('updates from Kafka', { skip: kafkaMissing() }, () => {
  const openLog = (scope: Scope) => openTestLog(scope, sharedKafka().KAFKA_BOOTSTRAP_SERVERS!)

  test('P15 updates of a topic become a record, its live view and its audit', async (t) => {
    const log = openLog(t)
    await log.create(3)
    const server = await startServer(t, { ...log.env, ...ROLES })
    const issues = { errors: [{ line: 3, message: 'no' }], warnings: [{ line: 4, message: 'hm' }] }
    await log.send([
      { partition: 1, value: message('a.csv', { total: 3, ...issues }) },
      { partition: 1, value: message('a.csv', { id: 'second' }) },
      { partition: 2, value: message('b.csv') },
    ])
    await eventually('both are there', async () => {
      const [a, b] = await Promise.all([recordOf(server, 'a.csv'), recordOf(server, 'b.csv')])
      return a?.sequence === 2 && b?.sequence === 1
    })
    const record = await recordOf(server, 'a.csv')
    assert.deepEqual(record.counts, { done: 2, warn: 0, failed: 0 })
    assert.equal(record.total, 3)
    assert.equal(record.email, 'worker@example.com')
    assert.deepEqual(record.errors, issues.errors)
    assert.deepEqual(record.warnings, issues.warnings)
    const events = await readPages(server, `/clients/krn:kafka/progress/${record.id}/events`)
    assert.deepEqual(
      events.map(({ sequence, channel, updateId }) => ({ sequence, channel, updateId })),
      [
        { sequence: 1, channel: 'kafka', updateId: `${log.topic}/1/0` },
        { sequence: 2, channel: 'kafka', updateId: 'second' },
      ],
    )

    const live = await readEvents(t, `${server.url}/clients/krn:kafka/progress/stream`)
    await live.until(({ data }) => data.filename === 'b.csv')
    await log.send([{ partition: 1, value: message('a.csv', { isLast: true }) }])
    await live.until(({ data }) => data.filename === 'a.csv' && data.isCompleted)
  })

  test('P15 what is not valid goes to the dead-letter topic with its reason, and holds up nothing', async (t) => {
    const log = openLog(t)
    await log.create(2)
    const server = await startServer(t, { ...log.env, ...ROLES })
    const poison: [unknown, RegExp][] = [
      ['{"clientKrn":', /^body: The body ends before its JSON does\.$/],
      [message('p.csv', { email: undefined }), /^email: is required$/],
      [message('p.csv', { counts: { done: -1, warn: 0 } }), /counts\.failed: is required/],
      [message('p.csv', { unknown: 1 }), /^unknown: is not a known field$/],
      [Buffer.from([0xff, 0xfe]), /not valid UTF-8/],
      [null, /tombstone/],
      ['', /JSON/],
      ['{"clientKrn":"a","clientKrn":"b"}', /more than once/],
    ]
    const sent = Array.from({ length: 800 }, (_, n) => {
      const partition = n % 2
      const bad = n % 100 === 50 || n % 100 === 51 ? poison[Math.floor(n / 100)] : undefined
      if (bad) return { partition, value: bad[0], key: `key-${n}`, headers: { trace: `t-${n}` } }
      return {
        partition,
        value: message(`file-${partition}.csv`, { counts: { done: n, warn: 0, failed: 0 } }),
      }
    })
    await log.send(sent)
    await eventually('all valid ones are there', async () => {
      const records = await Promise.all([0, 1].map((each) => recordOf(server, `file-${each}.csv`)))
      return records.every((record) => record?.sequence === 392)
    })

    const held = await log.readAll(`${log.topic}.dlq`)
    assert.equal(held.length, 16)
    for (const { key, value, headers } of held) {
      const n = Number(key?.slice('key-'.length))
      const [original, reason] = poison[Math.floor(n / 100)]!
      assert.deepEqual(value, original === null ? null : bytesOf(original))
      assert.match(headers['pebbles-reason']!, reason)
      assert.equal(headers.trace, `t-${n}`)
      assert.equal(headers['pebbles-source-topic'], log.topic)
      assert.equal(headers['pebbles-source-partition'], String(n % 2))
      assert.equal(headers['pebbles-source-offset'], String(Math.floor(n / 2)))
      assert.ok(Number(headers['pebbles-source-timestamp']) > Date.now() - 60_000)
    }
    for (const partition of [0, 1]) {
      const { id } = await recordOf(server, `file-${partition}.csv`)
      const events = await readPages(server, `/clients/krn:kafka/progress/${id}/events?limit=1000`)
      const expected = sent.flatMap((each, n) =>
        n % 2 === partition && each.key === undefined
          ? [`${log.topic}/${partition}/${Math.floor(n / 2)}`]
          : [],
      )
      assert.deepEqual(
        events.map(({ updateId }) => updateId),
        expected,
        'in the order of the partition',
      )
    }
  })
})
