import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parse } from 'csv-parse/sync'
import fc from 'fast-check'
import { csvCell, csvLine } from '../../src/platform/csv.ts'

const read = (csv: string): string[][] => parse(csv, { recordDelimiter: ['\r\n', '\n', '\r'] })

/** Characters that mean something to a parser or a spreadsheet, among all others. */
const cell = fc
  .array(
    fc.oneof(
      fc.constantFrom('"', ',', '\r', '\n', '=', '+', '-', '@', '\t', "'", ' ', ';', '1', '.'),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    ),
    { maxLength: 8 },
  )
  .map((characters) => characters.join(''))

/** What a spreadsheet reads as a formula (OWASP, CSV injection); a negative number and a lone `-` are none. */
const isFormula = (text: string) => /^[=+\-@\t\r\n]/.test(text) && !/^-(\d+(\.\d+)?|\s*)$/.test(text)

describe('CSV for people', () => {
  test('what was written is read back, with an apostrophe before formulas and only there', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(cell, { minLength: 2, maxLength: 4 }), { minLength: 1, maxLength: 4 }),
        (lines) => {
          const width = lines[0]!.length
          const even = lines.map((line) => Array.from({ length: width }, (_, i) => line[i] ?? ''))
          const expected = even.map((line) => line.map((text) => (isFormula(text) ? `'${text}` : text)))
          assert.deepEqual(read(even.map(csvLine).join('')), expected)
        },
      ),
      { numRuns: 500 },
    )
  })

  test('P3 no cell begins as a formula does, in quotes or without', () => {
    fc.assert(
      fc.property(cell, (text) => {
        const written = csvCell(text)
        assert.ok(!isFormula(written), written)
        const unquoted = written.startsWith('"') ? written.slice(1, -1).replaceAll('""', '"') : written
        assert.ok(!isFormula(unquoted), unquoted)
      }),
      { numRuns: 1_000 },
    )
  })

  for (const text of [
    '=1+1',
    '+1',
    '-1+1',
    '@SUM(A1)',
    '\t=1',
    '\r=1',
    '\n=1',
    '-',
    '-1',
    '-1.5',
    '- ',
    '-\n=1',
    "'=1",
  ]) {
    test(`${JSON.stringify(text)} is ${isFormula(text) ? 'defused' : 'left as it is'}`, () => {
      assert.deepEqual(read(csvLine([text, 'x'])), [[isFormula(text) ? `'${text}` : text, 'x']])
    })
  }

  test('numbers are written plainly, and nothing as nothing', () => {
    assert.equal(csvLine([-5, 0, Number.MAX_SAFE_INTEGER, null, '']), '-5,0,9007199254740991,,\r\n')
  })
})
