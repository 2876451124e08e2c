import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openDatabase } from '../../src/platform/postgres/database.ts'
import { commitProgress, type Progress, scopeIdOf } from '../../src/streams/windows/aggregates-postgres.ts'
import {
  afterEntry,
  type ClosingCursor,
  type ClosingEntry,
  readClosed,
  readClosings,
  readHeads,
} from '../../src/streams/windows/closings-postgres.ts'
import { createTestDatabase } from '../helpers/database.ts'
import { atEnd } from '../helpers/scope.ts'

const PARTITION = 3

test('S4 N8 closings are read in the order of commits, in bounded pages, a window always as it closed, however often it was revised', async (t) => {
  const url = await createTestDatabase(t)
  const database = openDatabase({ url, maxConnections: 1, maxLanes: 1, maxJobConnections: 1, log: () => {} })
  atEnd(t, () => database[Symbol.asyncDispose]())
  const pool = database.streams
  const views = { scopeId: await scopeIdOf(pool, 'krn:a', 'pageviews'), measures: [] }
  const sales = { scopeId: await scopeIdOf(pool, 'krn:b', 'sales'), measures: ['sum', 'max'] as const }

  const close = ({ scopeId, measures }: typeof views | typeof sales, startMs: number, keys: string) => ({
    scopeId,
    rule: { windowMs: 60_000, graceMs: 0, measures },
    window: {
      startMs,
      events: keys.length * 2,
      isParked: false,
      keys: new Map(
        Array.from(keys, (key) => [key, { events: 2, values: measures.map(() => 7), sketches: undefined }]),
      ),
    },
  })
  const revise = (
    { scopeId, measures }: typeof views | typeof sales,
    windowStartMs: number,
    key: string,
    events: number,
  ) => ({
    scopeId,
    rule: { windowMs: 60_000, graceMs: 0, measures },
    key,
    windowStartMs,
    totals: { events, values: measures.map(() => 5), sketches: undefined },
  })
  let version = 0
  async function commit(yielded: Pick<Progress, 'closings' | 'revisions'>): Promise<void> {
    const progress = { position: 1, resumeOffset: 1, scopes: [], late: [], parked: [], ...yielded }
    assert.ok(await commitProgress(pool, PARTITION, version++, progress))
  }
  async function readAll(limit: number, from: ClosingCursor = { sequence: 0 }): Promise<ClosingEntry[]> {
    const found: ClosingEntry[] = []
    for (let after = from; ; after = afterEntry(found.at(-1)!)) {
      const page = await readClosings(pool, PARTITION, after, limit)
      if (page.length === 0) return found
      assert.ok(page.reduce((sum, { aggregates }) => sum + aggregates.length, 0) <= limit)
      found.push(...page)
    }
  }
  /** `sequence stream start: aggregates [revision]`, pages of a window put together. */
  function show(entries: readonly ClosingEntry[]): string[] {
    const lines = new Map<number, string>()
    for (const { sequence, clientKrn, stream, startMs, aggregates, revision } of entries) {
      const counts = aggregates.map(({ key, events, values }) => ` ${key}=${[events, ...(values ?? [])]}`)
      const line = lines.get(sequence) ?? `${sequence} ${clientKrn} ${stream} ${startMs}:`
      const { revision: number, delta, events } = revision ?? {}
      lines.set(sequence, line + counts.join('') + (revision ? ` #${number} +${delta} ${events}` : ''))
    }
    return [...lines.values()]
  }

  await loadAndClose()
  const closed = [
    '1 krn:a pageviews 60000: A=2 B=2 C=2 D=2 E=2',
    '2 krn:b sales 0: X=2,7,7 Y=2,7,7',
    '3 krn:a pageviews 0: A=2',
  ]
  assert.deepEqual(show(await readAll(100)), closed)

  await commit({
    closings: [close(views, 120_000, 'A')],
    revisions: [
      revise(views, 60_000, 'A', 1),
      revise(views, 60_000, 'ZZ', 4),
      revise(sales, 0, 'Y', 1),
      revise(views, 120_000, 'A', 9),
      revise(views, 180_000, 'A', 1),
    ],
  })
  await commit({ closings: [], revisions: [revise(views, 60_000, 'A', 2), revise(sales, 0, 'Y', 1)] })
  const all = [
    ...closed,
    '4 krn:a pageviews 120000: A=2',
    '5 krn:a pageviews 60000: A=3 #1 +1 3',
    '6 krn:a pageviews 60000: ZZ=4 #1 +4 4',
    '7 krn:b sales 0: Y=3,12,7 #1 +1 3',
    '8 krn:a pageviews 120000: A=11 #1 +9 11',
    '9 krn:a pageviews 180000: A=1 #1 +1 1',
    '10 krn:a pageviews 60000: A=5 #2 +2 5',
    '11 krn:b sales 0: Y=4,17,7 #2 +1 4',
  ]
  for (const limit of [1, 2, 3, 5, 6, 100])
    assert.deepEqual(show(await readAll(limit)), all, `limit ${limit}`)
  const [page] = await readClosings(pool, PARTITION, { sequence: 0 }, 3)
  assert.equal(page?.isWhole, false)
  assert.deepEqual(afterEntry(page), { sequence: 1, key: 'C' })
  assert.deepEqual(await readClosings(pool, PARTITION - 1, { sequence: 0 }, 3), [])

  // More than are written with one statement.
  const keys = Array.from({ length: 1_001 }, (_, n) => `key ${n}`)
  await commit({ closings: [], revisions: keys.map((key) => revise(views, 0, key, 1)) })
  const many = await readClosings(pool, PARTITION, { sequence: 11 }, 2_000)
  assert.deepEqual(
    many.map(({ sequence, revision }) => [sequence, revision?.key]),
    keys.map((key, n) => [12 + n, key]),
  )

  // A window of more keys than who follows closings should have in memory at once is several entries; the next ones
  // are numbered behind them, also those of the same commit.
  const large = Array.from({ length: 20_003 }, (_, n) => `${n % 2 === 0 ? '\u{1f600}' : '\ufffd'}${n}`)
  const { window, ...of } = close(views, 240_000, '')
  const total = { events: 2, values: [], sketches: undefined }
  const whole = { ...window, events: large.length * 2, keys: new Map(large.map((key) => [key, total])) }
  await commit({
    closings: [close(views, 300_000, 'AB'), { ...of, window: whole }, close(sales, 300_000, 'X')],
    revisions: [revise(views, 240_000, large[0]!, 1), revise(views, 240_000, 'new', 1)],
  })
  const from: ClosingCursor = { sequence: 11 + 1_001 }
  const parts = (await readAll(7_001, from)).map((entry) => ({
    ...entry,
    sequence: entry.sequence - from.sequence,
  }))
  const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))
  assert.deepEqual(
    parts.flatMap(({ startMs, aggregates }) => (startMs === 240_000 ? aggregates.map(({ key }) => key) : [])),
    [...large.toSorted(byBytes), large[0], 'new'],
  )
  const counts = Map.groupBy(parts, ({ sequence }) => sequence)
  assert.deepEqual(
    Array.from(counts, ([sequence, pages]) => [
      sequence,
      pages[0]!.startMs,
      pages.reduce((keys, { aggregates }) => keys + aggregates.length, 0),
      pages[0]!.revision?.revision,
    ]),
    [
      [1, 300_000, 2, undefined],
      [2, 240_000, 20_000, undefined],
      [3, 240_000, 3, undefined],
      [4, 300_000, 1, undefined],
      [5, 240_000, 1, 1],
      [6, 240_000, 1, 1],
    ],
  )
  assert.equal((await readHeads(pool, PARTITION + 1))[PARTITION], from.sequence + 6)
  const live = await readClosed(
    pool,
    { clientKrn: 'krn:a', stream: 'pageviews' },
    {
      after: {
        sequences: [0, 0, 0, from.sequence + 1],
        within: { partition: PARTITION, key: large.toSorted(byBytes)[19_990]! },
      },
      heads: [0, 0, 0, from.sequence + 6],
      limit: 100,
    },
  )
  assert.deepEqual(
    live.closed.map(({ sequence, aggregates, isWhole }) => [
      sequence - from.sequence,
      aggregates.length,
      isWhole,
    ]),
    [
      [2, 9, true],
      [3, 3, true],
      [5, 1, true],
      [6, 1, true],
    ],
  )

  async function loadAndClose(): Promise<void> {
    await pool.query(`INSERT INTO log_checkpoints (reader_group, partition) VALUES ('aggregator', $1)`, [
      PARTITION,
    ])
    await commit({ closings: [close(views, 60_000, 'EDCBA'), close(sales, 0, 'XY')], revisions: [] })
    await commit({ closings: [close(views, 0, 'A')], revisions: [] })
  }
})
