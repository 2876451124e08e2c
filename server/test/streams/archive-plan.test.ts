import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  type ArchiveRow,
  columnsOf,
  fitColumns,
  toColumn,
} from '../../src/streams/archive/archive-columns.ts'
import {
  type ArchiveLimits,
  createGathering,
  type Gathering,
  type RowRun,
} from '../../src/streams/archive/archive-plan.ts'
import { PAGEVIEWS_DECLARATION } from '../../src/streams/declaration.ts'

const HOUR_MS = 3_600_000
const NO_LIMITS: ArchiveLimits = { maxRows: 1e9, maxBytes: 1e9, maxAgeMs: 1e9 }

/** A source in memory: runs of offsets with gaps, and runs whose rows are one entry. */
const sources = fc
  .array(
    fc.record({
      rows: fc.integer({ min: 1, max: 9 }),
      gap: fc.integer({ min: 0, max: 2 }),
      isEntry: fc.boolean(),
      client: fc.integer({ min: 0, max: 2 }),
      stream: fc.integer({ min: 0, max: 1 }),
      hours: fc.integer({ min: 0, max: 1 }),
    }),
    { maxLength: 40 },
  )
  .map((parts) => {
    let next = 0
    let atMs = 0
    let id = 0
    const runs: RowRun[] = []
    for (const { rows, gap, isEntry, client, stream, hours } of parts) {
      const first = next + gap
      const last = isEntry ? first : first + rows - 1
      atMs += hours * HOUR_MS
      const lines = Array.from({ length: rows }, () => JSON.stringify({ id: id++ }))
      runs.push({ first, last, clientKrn: `krn:${client}`, stream: `s${stream}`, atMs, rows: lines })
      next = last + 1
    }
    return { runs, end: next }
  })

/** What a reader gives from a position on: whole runs, the first one cut where reading begins. */
function read(runs: readonly RowRun[], from: number, count: number) {
  const behind = runs
    .filter(({ last }) => last >= from)
    .map((run) => (run.first >= from ? run : { ...run, first: from, rows: run.rows.slice(from - run.first) }))
  const page = behind.slice(0, count)
  return { runs: page, next: (page.at(-1)?.last ?? from - 1) + 1, isEnd: page.length === behind.length }
}

const textOf = ({ streams }: Gathering) =>
  Array.from(streams, ([stream, { first, last, rows, lines, clients }]) => ({
    stream,
    first,
    last,
    rows,
    clients: [...clients],
    text: Buffer.concat(lines).toString(),
  }))

test('S3 any pages, limits, gaps and crashes: each row is in one range, and a range that is read again is the same', () => {
  fc.assert(
    fc.property(
      sources,
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 400 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 4 })),
      ({ runs, end }, maxRows, maxBytes, counts) => {
        const found: number[] = []
        let position = 0
        while (read(runs, position, 1).runs.length > 0) {
          const gathering = createGathering(position, { maxRows, maxBytes, maxAgeMs: 1e9 })
          for (let pages = 0; !gathering.isDue(0, maxBytes); pages++) {
            const page = read(runs, gathering.next, counts.next().value as number)
            if (page.runs.length === 0) break
            gathering.take(page, 0)
            assert.ok(pages < 100)
          }
          const again = createGathering(position, NO_LIMITS, gathering.next)
          while (!again.isDue(0, 1)) again.take(read(runs, again.next, counts.next().value as number), 0)
          assert.equal(again.next, gathering.next)
          assert.deepEqual(textOf(again), textOf(gathering))
          const rows = textOf(gathering)
          assert.equal(
            gathering.bytes,
            rows.reduce((sum, { text }) => sum + text.length, 0),
          )
          for (const { text, clients } of rows) {
            const lines = text
              .trimEnd()
              .split('\n')
              .map((line) => JSON.parse(line))
            found.push(...lines.map(({ id }) => id))
            assert.equal(
              lines.length,
              clients.reduce((sum, [, n]) => sum + n, 0),
            )
          }
          position = gathering.next
        }
        const all = runs.flatMap(({ rows }) => rows.map((line) => JSON.parse(line).id))
        assert.deepEqual(
          found.toSorted((a, b) => a - b),
          all,
        )
        assert.ok(position <= end)
      },
    ),
    { numRuns: 300 },
  )
})

describe('when rows become an object', () => {
  const run = (first: number, more: Partial<RowRun> = {}): RowRun => ({
    first,
    last: first + 1,
    clientKrn: 'krn:a',
    stream: 's',
    atMs: 5_000,
    rows: ['{"n":1}', '{"n":2}'],
    ...more,
  })
  const limits = { maxRows: 3, maxBytes: 1_000, maxAgeMs: 30_000 }

  test('S6 quiet: the age of its first row counts once there is no other', () => {
    const gathering = createGathering(0, limits)
    gathering.take({ runs: [run(0)], next: 2, isEnd: true }, 6_000)
    assert.equal(gathering.isDue(34_999, 1_000), false)
    assert.equal(gathering.waitMs(34_000), 1_000)
    assert.equal(gathering.isDue(35_000, 1_000), true)
  })

  test('S6 a backlog of old rows makes large objects: there it is the time of reading that counts', () => {
    const gathering = createGathering(0, limits)
    gathering.take({ runs: [run(0)], next: 2, isEnd: false }, 90_000_000)
    assert.equal(gathering.isDue(90_029_999, 1_000), false)
    assert.equal(gathering.isDue(90_030_000, 1_000), true)
  })

  test('S3 nothing is never due, however long it lasts', () => {
    const gathering = createGathering(0, limits)
    gathering.take({ runs: [], next: 7, isEnd: true }, 0)
    assert.equal(gathering.isDue(1e12, 1_000), false)
    assert.equal(gathering.next, 7)
  })

  test('S3 as many rows as there may be, and where it goes on', () => {
    const gathering = createGathering(0, limits)
    gathering.take({ runs: [run(0), run(2), run(4)], next: 6, isEnd: true }, 0)
    assert.deepEqual([gathering.rows, gathering.next, gathering.isDue(0, 1_000)], [3, 3, true])
  })

  test('S3 no object spans two hours', () => {
    const gathering = createGathering(0, { ...limits, maxRows: 100 })
    gathering.take({ runs: [run(0), run(2, { atMs: HOUR_MS })], next: 4, isEnd: true }, 0)
    assert.deepEqual([gathering.rows, gathering.next, gathering.isDue(0, 1_000)], [2, 2, true])
  })

  test('S3 the keys of a window stay together, however many', () => {
    const window = run(0, { last: 0, rows: Array.from({ length: 9 }, (_, n) => `{"n":${n}}`) })
    const gathering = createGathering(0, limits)
    gathering.take({ runs: [window, run(1)], next: 3, isEnd: true }, 0)
    assert.deepEqual([gathering.rows, gathering.next], [9, 1])
  })

  test('S3 with little room less is enough', () => {
    const gathering = createGathering(0, limits)
    gathering.take({ runs: [run(0)], next: 2, isEnd: false }, 0)
    assert.deepEqual([gathering.isDue(0, 1_000), gathering.isDue(0, 50)], [false, true])
  })

  test('S3 a line is the event as it was sent, its bytes untouched, and the client', () => {
    const gathering = createGathering(0, limits)
    const rows = ['{"b":"é\\n🪨","a":1.50}', '{"a":[]}']
    gathering.take({ runs: [run(0, { clientKrn: 'krn:"x"', rows })], next: 2, isEnd: true }, 0)
    const [{ text } = { text: '' }] = textOf(gathering)
    assert.equal(text, '{"b":"é\\n🪨","a":1.50,"_client":"krn:\\"x\\""}\n{"a":[],"_client":"krn:\\"x\\""}\n')
  })
})

describe('columns of Parquet files', () => {
  const sales = (type: 'string' | 'integer' | 'number') => ({
    ...PAGEVIEWS_DECLARATION,
    key: ['shop'],
    fields: [{ name: 'shop', type }],
  })

  test('S3 S9 they are those of the declarations, not of the rows', () => {
    assert.deepEqual(
      columnsOf('raw', [PAGEVIEWS_DECLARATION]).map(({ name, type }) => `${name} ${type}`),
      [
        'user_id integer',
        'postcode string',
        'webpage string',
        'timestamp integer',
        'event_id string',
        '_client string',
      ],
    )
    assert.deepEqual(
      columnsOf('aggregates', [PAGEVIEWS_DECLARATION]).map(({ name }) => name),
      ['postcode', 'window_start', 'pageview_count', 'revision', 'delta', '_client'],
    )
  })

  for (const [types, expected] of [
    [['integer', 'integer'], 'integer'],
    [['integer', 'number'], 'number'],
    [['string', 'integer'], 'string'],
    [['integer', 'string', 'integer'], 'string'],
  ] as const) {
    test(`S9 clients that declare ${types.join(' and ')} share a column of type ${expected}`, () => {
      assert.equal(columnsOf('raw', types.map(sales))[0]!.type, expected)
    })
  }

  test('S3 a field that its declaration has no more, or has with another type, is not lost', () => {
    const rows: ArchiveRow[] = [
      { a: 1, b: 'x' },
      { a: 2.5, c: true },
      { a: 3, b: 7, constructor: 'y' },
    ]
    const columns = fitColumns(rows, [{ name: 'a', type: 'integer' }])
    assert.deepEqual(columns, [
      { name: 'a', type: 'number' },
      { name: 'b', type: 'string' },
      { name: 'c', type: 'boolean' },
      { name: 'constructor', type: 'string' },
    ])
    assert.deepEqual(
      [toColumn('string', 7), toColumn('string', 'x'), toColumn('integer', 7), toColumn('string', undefined)],
      ['7', 'x', 7n, null],
    )
  })
})
