import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type CsvError, type Options, parse } from 'csv-parse/sync'
import fc from 'fast-check'
import { splitCells } from '../../../src/jobs/csv/cells.ts'
import { MAX_ROW_BYTES } from '../../../src/jobs/csv/file-fault.ts'
import { createRowCutter } from '../../../src/jobs/csv/rows.ts'

const COMMA = { delimiter: ',', quote: '"' } as const
const START = { byteOffset: 0, rowNumber: 0 }

interface Row {
  row: string
  rowNumber: number
  endOffset: number
  byteLength: number
}

/** Cuts a byte string that arrives in pieces of `size`. */
function cutRows(text: string, size = text.length || 1, from = START, dialect: typeof COMMA = COMMA) {
  const rows: Row[] = []
  let unclosed: number | undefined
  const cutter = createRowCutter(dialect, from, {
    onRow: (row, rowNumber, endOffset, byteLength) => rows.push({ row, rowNumber, endOffset, byteLength }),
    onUnclosedQuote: (rowNumber) => {
      unclosed = rowNumber
    },
  })
  for (let at = from.byteOffset; at < text.length; at += size) cutter.feed(text.slice(at, at + size))
  cutter.end()
  return { rows, unclosed }
}

/** Texts of what matters to CSV, and little else, so that odd combinations are met often. */
const nastyText = fc
  .array(fc.constantFrom('a', 'é', ' ', '\t', '"', '""', ',', '\n', '\r\n', '\r', '\0', 'a,b\n', '"x"'), {
    maxLength: 40,
  })
  .map((parts) => Buffer.from(parts.join('')).toString('latin1'))

const chunkSize = fc.integer({ min: 1, max: 20 })

/** The rules once more, as plainly as they can be said: one state, one byte after the other. */
function plainly(text: string) {
  const rows: string[] = []
  let row = ''
  let state: 'start' | 'plain' | 'quoted' | 'quote' = 'start'
  for (let at = 0; at < text.length; at++) {
    const sign = text[at]!
    if (state !== 'quoted' && (sign === '\n' || sign === '\r')) {
      if (sign === '\r' && text[at + 1] === '\n') at++
      rows.push(row)
      row = ''
      state = 'start'
      continue
    }
    row += sign
    if (state === 'quoted') state = sign === '"' ? 'quote' : 'quoted'
    else if (sign === ',') state = 'start'
    else if (sign === '"' && state !== 'plain') state = 'quoted'
    else state = 'plain'
  }
  if (row !== '') rows.push(row)
  return { rows: rows.filter((each) => /[^ \t]/.test(each)), isUnclosed: state === 'quoted' }
}

/** csv-parse with the leniency that is ours; `undefined` for what it refuses. */
function parsed(text: string): string[][] | undefined {
  const options: Options = {
    relax_quotes: true,
    relax_column_count: true,
    record_delimiter: ['\r\n', '\n', '\r'],
    encoding: 'latin1',
  }
  try {
    return parse(Buffer.from(text, 'latin1'), options) as string[][]
  } catch (error) {
    assert.equal((error as CsvError).code, 'CSV_QUOTE_NOT_CLOSED')
    return undefined
  }
}

describe('cutting a file into rows', () => {
  test('F13 every text is cut as the rules say, however it arrives in pieces', () => {
    fc.assert(
      fc.property(nastyText, chunkSize, (text, size) => {
        const expected = plainly(text)
        const { rows, unclosed } = cutRows(text, size)
        assert.deepEqual(
          rows.map(({ row }) => row),
          expected.rows,
        )
        assert.equal(unclosed !== undefined, expected.isUnclosed)
      }),
      { numRuns: 5_000 },
    )
  })

  test('rows and cells are those of csv-parse, for every text that it takes', () => {
    /** Without text behind a closing quote, of which csv-parse makes something of its own. */
    const wellFormed = /^(?:"(?:[^"]|"")*"|[^",]*|[^",][^,]*)(?:,(?:"(?:[^"]|"")*"|[^",]*|[^",][^,]*))*$/
    // A row of one quoted cell with nothing in it is blank to one and data to the other.
    const isEmpty = (cells: string[]) => cells.every((cell) => /^[ \t]*$/.test(cell))
    let compared = 0
    fc.assert(
      fc.property(nastyText, (text) => {
        const expected = parsed(text)?.filter((row) => !isEmpty(row))
        if (!expected) return
        const { rows } = cutRows(text)
        const found = rows
          .map(({ row }) => ({ row, cells: splitCells(row, COMMA) }))
          .filter(({ cells }) => !isEmpty(cells))
        assert.equal(found.length, expected.length)
        for (const [index, { row, cells }] of found.entries()) {
          if (!wellFormed.test(row)) continue
          assert.deepEqual(cells, expected[index])
          compared++
        }
      }),
      { numRuns: 5_000 },
    )
    assert.ok(compared > 1_000, `only ${compared} rows were compared`)
  })

  test('N2 reading on from any row gives the rows after it, with the same numbers and offsets', () => {
    fc.assert(
      fc.property(nastyText, chunkSize, (text, size) => {
        const all = cutRows(text)
        for (const [index, { endOffset, rowNumber }] of all.rows.entries()) {
          const rest = cutRows(text, size, { byteOffset: endOffset, rowNumber })
          assert.deepEqual(rest.rows, all.rows.slice(index + 1))
          if (endOffset < text.length) assert.equal(rest.unclosed, all.unclosed)
        }
      }),
      { numRuns: 1_000 },
    )
  })

  test('cells that are written as RFC 4180 says are read as they were', () => {
    const cell = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r', ' ', 'é', "'"), maxLength: 8 })
    const rows = fc.array(fc.array(cell, { minLength: 2, maxLength: 4 }), { minLength: 1, maxLength: 5 })
    const dialects = fc.constantFrom(
      COMMA,
      { delimiter: ';', quote: '"' } as const,
      { delimiter: '\t', quote: "'" } as const,
    )
    fc.assert(
      fc.property(rows, chunkSize, dialects, (cells, size, dialect) => {
        const { delimiter, quote } = dialect
        const written = (value: string) => quote + value.replaceAll(quote, quote + quote) + quote
        const text = cells.map((row) => `${row.map(written).join(delimiter)}\r\n`).join('')
        const { rows: found } = cutRows(text, size, START, dialect as typeof COMMA)
        assert.deepEqual(
          found.map(({ row }) => splitCells(row, dialect)),
          cells,
        )
      }),
      { numRuns: 500 },
    )
  })

  test('blank rows have a number and are not told; line ends of every kind count once', () => {
    const { rows } = cutRows('a\r\n\r\n \t\nb\rc\n\n\nd', 2)
    assert.deepEqual(
      rows.map(({ row, rowNumber }) => [row, rowNumber]),
      [
        ['a', 1],
        ['b', 4],
        ['c', 5],
        ['d', 8],
      ],
    )
  })

  test('of a row that is too long its beginning is kept and its length told, and the next row is found', () => {
    const long = `"${'x,\n'.repeat(MAX_ROW_BYTES)}"`
    for (const [lineEnd, size] of [
      ['\n', 65_536],
      ['\r\n', 65_537],
      ['\r', 100_003],
    ] as const) {
      const { rows, unclosed } = cutRows(`a,b${lineEnd}${long}${lineEnd}c,d${lineEnd}`, size)
      assert.deepEqual(
        rows.map(({ rowNumber, byteLength }) => [rowNumber, byteLength]),
        [
          [1, 3],
          [2, long.length],
          [3, 3],
        ],
      )
      assert.equal(rows[1]!.row, long.slice(0, MAX_ROW_BYTES))
      assert.equal(rows[2]!.endOffset, long.length + 6 + 3 * lineEnd.length)
      assert.equal(unclosed, undefined)
    }
  })

  test('F13 a row that begins with more than 1 MiB of spaces is told, as it may not be blank', () => {
    const text = `a\n${' '.repeat(MAX_ROW_BYTES + 1)}x,y\nb\n`
    assert.deepEqual(
      cutRows(text, 65_536).rows.map(({ rowNumber, byteLength }) => [rowNumber, byteLength]),
      [
        [1, 1],
        [2, MAX_ROW_BYTES + 4],
        [3, 1],
      ],
    )
  })

  test('a row of exactly the greatest length is whole, in whatever pieces its line end arrives', () => {
    const row = 'x'.repeat(MAX_ROW_BYTES)
    for (const size of [MAX_ROW_BYTES, MAX_ROW_BYTES + 1, MAX_ROW_BYTES + 2, 4_096]) {
      const { rows } = cutRows(`${row}\r\ny\r\n`, size)
      assert.deepEqual(
        rows.map((each) => [each.row.length, each.byteLength, each.endOffset]),
        [
          [MAX_ROW_BYTES, MAX_ROW_BYTES, MAX_ROW_BYTES + 2],
          [1, 1, MAX_ROW_BYTES + 5],
        ],
      )
    }
  })

  test('a quote that is never closed is told with its row, and costs no memory', () => {
    const text = `a,b\n1,2\n3,"${'4\n'.repeat(2 * MAX_ROW_BYTES)}`
    const { rows, unclosed } = cutRows(text, 65_536)
    assert.equal(unclosed, 3)
    assert.equal(rows.at(-1)!.row.length, MAX_ROW_BYTES)
  })
})

test('quotes inside unquoted cells are letters; text behind a closing quote makes the cell plain', () => {
  const cases: [string, string[]][] = [
    ['5" pipe,x', ['5" pipe', 'x']],
    ['"a,b",c', ['a,b', 'c']],
    ['"a""b",', ['a"b', '']],
    ['"a" b,c', ['"a" b', 'c']],
    ['"a,b" c,d', ['"a,b" c', 'd']],
    ['""', ['']],
    ['"",""', ['', '']],
    ['"""",x', ['"', 'x']],
    [' "a",b', [' "a"', 'b']],
    ['"open', ['"open']],
    ['"open,x', ['"open,x']],
    ['', ['']],
  ]
  for (const [row, cells] of cases) assert.deepEqual(splitCells(row, COMMA), cells, row)
})
