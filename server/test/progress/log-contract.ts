/** What every record store promises to readers of a log: part of the contract in `store-contract.ts`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { recordIdOf, type Update } from '../../src/progress/record.ts'
import type { LogBatch, LogSource, ProgressEvent, RecordStore } from '../../src/progress/store.ts'
import { counts, makeMessageId, makeUpdate } from './store-contract.ts'

const CLIENT = 'krn:logs'
let logs = 0

/** A partition that nobody has read yet. */
export const makeSource = (more: Partial<LogSource> = {}): LogSource => ({
  cluster: 'cluster',
  topicId: `topic-${++logs}`,
  partition: 0,
  group: 'group',
  ...more,
})

export const makeLogged = (offset: number, filename: string, more: Partial<Update> = {}) => ({
  ...makeUpdate(filename, { clientKrn: CLIENT, channel: 'kafka', place: `t/0/${offset}`, ...more }),
  offset,
})

/** The stretch of a log with `from ≤ offset < next`. */
export function stretch(source: LogSource, log: LogBatch['updates'], from: number, next: number): LogBatch {
  return { source, from, next, updates: log.filter(({ offset }) => offset >= from && offset < next) }
}

const names = (events: ProgressEvent[]) => events.map(({ updateId }) => updateId)

export function testLogs(store: () => RecordStore): void {
  const read = async (filename: string) => {
    const id = recordIdOf(CLIENT, filename)
    const [record] = await store().byIds([id])
    return { record, events: await store().events(id, { limit: 1_000, after: 0 }) }
  }

  test('P15 N1 a stretch of a log and its position are applied together, and read again counts nothing', async () => {
    const source = makeSource()
    const batch = {
      source,
      from: 0,
      next: 10,
      // Offsets have gaps: what was compacted away, or belongs to the log itself.
      updates: [makeLogged(2, 'log.csv'), makeLogged(3, 'log-2.csv'), makeLogged(7, 'log.csv')],
    }
    assert.equal(await store().position(source), undefined)
    const { position, outcomes } = await store().applyFrom(batch)
    assert.equal(position, 10)
    assert.deepEqual(
      outcomes.map((outcome) => outcome?.result),
      ['created', 'created', 'updated'],
    )
    assert.equal(counts(outcomes[2]).done, 2)
    assert.equal(await store().position(source), 10)
    assert.deepEqual(await store().applyFrom(batch), {
      position: 10,
      outcomes: [undefined, undefined, undefined],
    })
    const part = stretch(source, batch.updates, 3, 8)
    assert.deepEqual(await store().applyFrom(part), { position: 10, outcomes: [undefined, undefined] })
    const { record, events } = await read('log.csv')
    assert.equal(record?.counts.done, 2)
    assert.deepEqual(names(events), ['t/0/2', 't/0/7'])
  })

  test('P15 N1 of a stretch that reaches beyond the position only the rest is applied', async () => {
    const source = makeSource()
    const log = [0, 1, 2, 3, 4, 5].map((offset) => makeLogged(offset, 'overlap.csv'))
    await store().applyFrom(stretch(source, log, 0, 4))
    const { position, outcomes } = await store().applyFrom(stretch(source, log, 2, 6))
    assert.equal(position, 6)
    assert.deepEqual(
      outcomes.map((outcome) => outcome && counts(outcome).done),
      [undefined, undefined, 5, 6],
    )
  })

  test('P15 N1 a stretch that begins beyond the position is refused whole; an empty one moves it', async () => {
    const source = makeSource()
    const log = [5, 6, 7].map((offset) => makeLogged(offset, 'beyond.csv'))
    await store().applyFrom(stretch(source, log, 5, 6))
    assert.deepEqual(await store().applyFrom(stretch(source, log, 7, 8)), {
      position: 6,
      outcomes: [undefined],
    })
    assert.equal((await read('beyond.csv')).record?.sequence, 1)
    assert.deepEqual(await store().applyFrom({ source, from: 6, next: 7, updates: [] }), {
      position: 7,
      outcomes: [],
    })
    assert.equal((await store().applyFrom(stretch(source, log, 7, 8))).position, 8)
    assert.equal((await read('beyond.csv')).record?.sequence, 2)
  })

  test('P15 N1 each cluster, topic, partition and group has a position of its own', async () => {
    const source = makeSource()
    await store().applyFrom({ source, from: 0, next: 3, updates: [] })
    const others = [{ cluster: 'c2' }, { topicId: `topic-${++logs}` }, { partition: 1 }, { group: 'g2' }]
    for (const other of others) {
      assert.equal(await store().position({ ...source, ...other }), undefined)
      await store().applyFrom({ source: { ...source, ...other }, from: 40, next: 50, updates: [] })
      assert.equal(await store().position({ ...source, ...other }), 50)
    }
    assert.equal(await store().position(source), 3)
  })

  test('P15 N1 readers that race through one partition apply each update once, in its order', async () => {
    for (let round = 0; round < 6; round++) {
      const source = makeSource()
      const files = [0, 1, 2, 3, 4].map((n) => `race-${round}-${n}.csv`)
      const log = Array.from({ length: 120 }, (_, n) => makeLogged(2 * n, files[(n * n + n) % 5]!))
      const end = 2 * log.length
      let announced = 0
      const readOn = async (atMost: number) => {
        let position = (await store().position(source)) ?? 0
        while (position < end) {
          const next = Math.min(end, position + 1 + Math.floor(Math.random() * atMost))
          // Now and then as one who does not know how far the others are.
          const from = Math.max(0, position - Math.floor(Math.random() * 20))
          const applied = await store().applyFrom(stretch(source, log, from, next))
          announced += applied.outcomes.filter((outcome) => outcome).length
          position = applied.position
        }
      }
      await Promise.all([5, 20, 60, 60].map(readOn))
      assert.equal(announced, log.length)
      for (const file of files) {
        const sent = log.filter(({ filename }) => filename === file)
        const { record, events } = await read(file)
        assert.equal(record?.counts.done ?? 0, sent.length)
        assert.deepEqual(
          names(events),
          sent.map(({ place }) => place),
        )
      }
    }
  })

  test('P14 P15 N1 a message with an id counts once, whatever log or queue it comes from, however often', async () => {
    const id = makeMessageId('in two logs')
    const sources = [makeSource(), makeSource(), makeSource()]
    const to = (offset: number) => makeLogged(offset, 'two-logs.csv', { id })
    const applied = await Promise.all(
      sources.map((source) => store().applyFrom({ source, from: 0, next: 9, updates: [to(1), to(5)] })),
    )
    const outcomes = applied.flatMap(({ outcomes }) => outcomes)
    outcomes.push(...(await store().apply([{ ...to(0), channel: 'sqs' }])))
    assert.equal(outcomes.filter((outcome) => !outcome?.isReplay).length, 1)
    for (const outcome of outcomes) assert.equal(counts(outcome).done, 1)
    const { events } = await read('two-logs.csv')
    assert.deepEqual(names(events), ['in two logs'])
  })

  test('P15 what a log brings and is refused is in the audit once, also when it is read again', async () => {
    const source = makeSource()
    const log = [
      makeLogged(0, 'refused.csv'),
      makeLogged(1, 'refused.csv', { email: 'bob@example.com' }),
      makeLogged(2, 'refused.csv', { isLast: true }),
      makeLogged(3, 'refused.csv'),
    ]
    for (const [from, next] of [
      [0, 2],
      [0, 4],
      [1, 4],
    ] as const)
      await store().applyFrom(stretch(source, log, from, next))
    const refused = await store().refusals(recordIdOf(CLIENT, 'refused.csv'), { limit: 9, after: 0 })
    assert.deepEqual(
      refused.map(({ updateId, result }) => [updateId, result]),
      [
        ['t/0/1', 'forbidden'],
        ['t/0/3', 'completed'],
      ],
    )
  })

  test('P15 N1 stretches of several logs and single updates of the same records: exact, and no deadlock', async () => {
    const files = Array.from({ length: 12 }, (_, n) => `shared-${n}.csv`)
    const readers = [0, 1, 2].map(async (reader) => {
      const source = makeSource()
      const order = reader % 2 ? files : files.toReversed()
      for (let batch = 0; batch < 8; batch++) {
        const updates = Array.from({ length: 24 }, (_, n) => makeLogged(batch * 24 + n, order[n % 12]!))
        await store().applyFrom({ source, from: batch * 24, next: (batch + 1) * 24, updates })
      }
    })
    const callers = [0, 1].map(async () => {
      for (let n = 0; n < 24; n++)
        await store().apply(files.toReversed().map((file) => makeUpdate(file, { clientKrn: CLIENT })))
    })
    await Promise.all([...readers, ...callers])
    for (const file of files) {
      const { record, events } = await read(file)
      assert.equal(record?.counts.done, 3 * 16 + 2 * 24)
      assert.equal(events.length, record.sequence)
    }
  })

  test('P15 a large stretch, of records old and new, with issues', async () => {
    const source = makeSource()
    const log = Array.from({ length: 6_000 }, (_, n) =>
      makeLogged(n, `large-${n % 2_000}.csv`, { errors: n % 3 ? [] : [{ line: n, message: `row ${n}` }] }),
    )
    await store().applyFrom(stretch(source, log, 0, 1_000))
    const { outcomes } = await store().applyFrom(stretch(source, log, 1_000, 6_000))
    assert.equal(outcomes.filter((outcome) => outcome?.result === 'created').length, 1_000)
    const ids = Array.from({ length: 2_000 }, (_, n) => recordIdOf(CLIENT, `large-${n}.csv`))
    const records = await store().byIds(ids)
    assert.deepEqual(new Set(records.map(({ counts }) => counts.done)), new Set([3]))
    assert.equal(
      records.reduce((sum, { errorsTotal }) => sum + errorsTotal, 0),
      2_000,
    )
    assert.deepEqual(names((await read('large-1999.csv')).events), ['t/0/1999', 't/0/3999', 't/0/5999'])
  })
}
