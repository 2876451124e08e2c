import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { findDelimiter } from '../../src/jobs/csv/head.ts'
import { type CsvRecord, readRecords } from '../../src/jobs/csv/records.ts'
import { countRows } from '../../src/jobs/csv/scan.ts'

const cut = (bytes: Buffer, size: number) =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) => bytes.subarray(n * size, (n + 1) * size))

const streamOf = (bytes: Buffer, size: number) => Readable.from(cut(bytes, size), { objectMode: false })

async function parse(
  bytes: Buffer,
  size: number,
  from = { byteOffset: 0, rowNumber: 0 },
): Promise<CsvRecord[]> {
  const source = streamOf(bytes.subarray(from.byteOffset), size)
  return Array.fromAsync(readRecords(source, { delimiter: ',', from }))
}

async function count(bytes: Buffer, size: number): Promise<number> {
  return countRows(streamOf(bytes, size), { delimiter: ',', rowNumber: 0, line: 0 })
}

const outcome = async (work: Promise<unknown>): Promise<unknown> => {
  try {
    return await work
  } catch (error) {
    return (error as { code: string }).code
  }
}

/** Texts of what matters to CSV, and little else, so that odd combinations are met often. */
const nastyText = fc
  .array(fc.constantFrom('a', 'é', '🙂', ' ', '\t', '"', '""', ',', '\n', '\r\n', '\r', '\0', 'a,b\n'), {
    maxLength: 40,
  })
  .map((parts) => parts.join(''))

const chunkSize = fc.integer({ min: 1, max: 20 })

describe('reading CSV', () => {
  test('F13 the counting pass and the parser agree on every text, however it is cut into chunks', async () => {
    await fc.assert(
      fc.asyncProperty(nastyText, chunkSize, chunkSize, async (text, one, other) => {
        const bytes = Buffer.from(text)
        const parsed = await outcome(parse(bytes, one).then((records) => records.length))
        assert.equal(await outcome(count(bytes, other)), parsed)
      }),
      { numRuns: 1_500 },
    )
  })

  test('reading on from any row gives the rows after it, with the same numbers and offsets', async () => {
    await fc.assert(
      fc.asyncProperty(nastyText, chunkSize, chunkSize, async (text, one, other) => {
        const bytes = Buffer.from(text)
        const all = await outcome(parse(bytes, one))
        if (!Array.isArray(all)) return
        for (const [index, { endOffset, rowNumber }] of all.entries()) {
          const rest = await parse(bytes, other, { byteOffset: endOffset, rowNumber })
          assert.deepEqual(rest, all.slice(index + 1))
        }
      }),
      { numRuns: 500 },
    )
  })

  test('cells that are written as RFC 4180 says are read as they were', async () => {
    const cell = fc.string({ unit: 'binary', maxLength: 8 }).filter((value) => value.isWellFormed())
    const rows = fc.array(fc.array(cell, { minLength: 2, maxLength: 4 }), { minLength: 1, maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(rows, chunkSize, async (cells, size) => {
        const quote = (value: string) => `"${value.replaceAll('"', '""')}"`
        const bytes = Buffer.from(cells.map((row) => `${row.map(quote).join(',')}\r\n`).join(''))
        const records = await parse(bytes, size)
        assert.deepEqual(
          records.map((record) => record.cells),
          cells,
        )
        assert.equal(await count(bytes, size), cells.length)
      }),
      { numRuns: 300 },
    )
  })

  test('bytes that are not UTF-8 are found in the line where they stand, also across chunks', async () => {
    const bytes = Buffer.concat([Buffer.from('a,é\n"b\n",c\nd,'), Buffer.from([0xc3]), Buffer.from(',e\n')])
    for (const size of [1, 2, 3, 7, 100]) {
      await assert.rejects(count(bytes, size), { code: 'not_utf8', message: /line 4 / })
    }
    await assert.rejects(count(Buffer.from([0x61, 0xf0, 0x9f]), 1), { code: 'not_utf8' })
  })

  test('the delimiter is a comma unless the header has none', () => {
    const cases: [string, string][] = [
      ['a,b;c', ','],
      ['a;b\tc\n1,2', ';'],
      ['a\tb', '\t'],
      ['"a,b";c', ';'],
      ['"x\ny,z"\tb\n', '\t'],
      ['single', ','],
    ]
    for (const [text, expected] of cases) assert.equal(findDelimiter(text), expected, JSON.stringify(text))
  })
})
