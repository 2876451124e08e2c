import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parse } from 'csv-parse/sync'
import fc from 'fast-check'
import { v7 as uuidv7 } from 'uuid'
import { splitCells } from '../../src/jobs/csv/cells.ts'
import { cutRow } from '../../src/jobs/csv/cut.ts'
import { byteOrderMark, encodeText } from '../../src/jobs/csv/encode.ts'
import type { Encoding } from '../../src/jobs/job.ts'
import { readCorrectedReport } from '../../src/jobs/report/corrected-report.ts'
import { csvLine, guardFormula, unguardFormula } from '../../src/platform/csv.ts'
import { openTestPool } from '../helpers/database.ts'
import { startServer } from '../helpers/server.ts'
import { importFile, uploadJob, validRows, waitForEnd } from './helpers.ts'

const ENCODINGS: Encoding[] = ['utf-8', 'utf-16le', 'utf-16be', 'windows-1252']

/** Characters that mean something to a parser or a spreadsheet, among others; no lone halves of surrogate pairs. */
const text = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        ...['"', ',', '\r', '\n', '=', '+', '-', '@', '\t', "'", ' ', ';', '1', 'é', '€', '漢', '🙂'],
      ),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    ),
    { maxLength: 8 },
  )
  .map((characters) => characters.join(''))

describe('the cells of a report', () => {
  test('F4 guarding against formulas is undone exactly, apostrophes of the original included', () => {
    fc.assert(
      fc.property(text, (cell) => assert.equal(unguardFormula(guardFormula(cell)), cell)),
      { numRuns: 2_000 },
    )
  })

  test('F4 a guarded cell is the one that is written: nothing is guarded twice', () => {
    fc.assert(
      fc.property(text, (cell) => {
        const guarded = guardFormula(cell)
        assert.deepEqual(parse(csvLine([guarded, 'x']), { recordDelimiter: '\r\n' }), [[guarded, 'x']])
      }),
      { numRuns: 1_000 },
    )
  })

  test('N6 the cells of a corrected report are those that were reported', () => {
    fc.assert(
      fc.property(
        fc.array(text, { minLength: 1, maxLength: 5 }),
        fc.array(text, { maxLength: 8 }),
        fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
        (header, cells, rowNumber) => {
          const padded = Array.from(
            { length: Math.max(cells.length, header.length) },
            (_, at) => cells[at] ?? '',
          )
          const guarded = padded.map(guardFormula)
          const row = [
            String(rowNumber),
            ...guarded.slice(0, header.length),
            'why',
            ...guarded.slice(header.length),
          ]
          const names = header.map((name) => (name.trim().toLowerCase() === 'error' ? `${name}!` : name))
          const report = readCorrectedReport(['rowNumber', ...names.map(guardFormula), 'error'])
          assert.deepEqual(report.header, names)
          assert.deepEqual(report.dataCells(row), padded)
          assert.equal(report.parentRow(row), rowNumber)
        },
      ),
    )
  })

  /** A row was refused for its fifth cell; a spreadsheet saves all rows as wide as the widest, the header included. */
  test('N6 what a row has too much stays too much, also when a spreadsheet has widened the header', () => {
    const widened = readCorrectedReport(['rowNumber', 'name', '', 'email', 'error', '', ''])
    assert.deepEqual(widened.header, ['name', '', 'email'])
    assert.deepEqual(widened.dataCells(['7', 'A', 'b', 'c@d.example', 'why', 'X', '']), [
      'A',
      'b',
      'c@d.example',
      'X',
      '',
    ])
    const moved = readCorrectedReport(['error', 'rowNumber', 'name', '', 'email'])
    assert.deepEqual(moved.header, ['name', '', 'email'])
  })

  for (const cell of ['', '0', '-1', '1.5', '1e3', '99999999999999999', 'x', ' ', '0x10'])
    test(`N6 ${JSON.stringify(cell)} is no row number`, () => {
      assert.equal(readCorrectedReport(['rowNumber', 'name']).parentRow([cell, 'x']), null)
    })
})

describe('encodings', () => {
  for (const encoding of ENCODINGS) {
    test(`F4 what is written in ${encoding} reads as the same text`, () => {
      const decoder = new TextDecoder(encoding, { fatal: true, ignoreBOM: true })
      const has1252 = new Set(
        new TextDecoder('windows-1252').decode(Uint8Array.from({ length: 256 }, (_, i) => i)),
      )
      const has = (character: string) => encoding !== 'windows-1252' || has1252.has(character)
      fc.assert(
        fc.property(text, (given) => {
          const expected = Array.from(given, (character) => (has(character) ? character : '?')).join('')
          assert.equal(decoder.decode(encodeText(given, encoding)), expected)
        }),
        { numRuns: 500 },
      )
    })
  }

  test('F4 every byte of windows-1252 is given back', () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
    assert.deepEqual(encodeText(new TextDecoder('windows-1252').decode(bytes), 'windows-1252'), bytes)
  })

  test('F4 only UTF-16 begins with a byte order mark', () => {
    assert.deepEqual(
      ENCODINGS.map((encoding) => byteOrderMark(encoding).toString('hex')),
      ['', 'fffe', 'feff', ''],
    )
  })
})

describe('cutting a row behind its columns', () => {
  test('F4 no byte is lost or changed, and cells end where the parser says', () => {
    const bytes = fc.oneof(
      text.map((given) => Buffer.from(given)),
      fc.uint8Array({ maxLength: 12 }).map((given) => Buffer.from(given)),
    )
    fc.assert(
      fc.property(
        bytes,
        fc.constantFrom(',', ';', '\t'),
        fc.constantFrom('"' as const, "'" as const),
        fc.integer({ min: 1, max: 4 }),
        (raw, delimiter, quote, width) => {
          const dialect = { delimiter, quote }
          const { row, missing, beyond } = cutRow(raw, dialect, width)
          const joined = beyond === undefined ? row : Buffer.concat([row, Buffer.from(delimiter), beyond])
          assert.deepEqual(joined, raw)
          const cells = splitCells(raw.toString('latin1'), dialect)
          assert.equal(missing, Math.max(0, width - cells.length))
          assert.equal(beyond !== undefined, cells.length > width)
          assert.deepEqual(splitCells(row.toString('latin1'), dialect), cells.slice(0, width))
        },
      ),
      { numRuns: 3_000 },
    )
  })
})

describe('the untouched report', () => {
  test('F4 each row has its bytes as they stood in the file, in its delimiter and encoding, and its error in one column', async (t) => {
    const server = await startServer(t)
    const pool = openTestPool(t, server.databaseUrl)
    const jobId = await uploadJob(server, validRows(1, 'raw'), { filename: 'raw.csv' })
    await waitForEnd(server, jobId)
    const read = async () => {
      const response = await fetch(`${server.url}/api/jobs/${jobId}/errors.csv?raw=true`)
      return { type: response.headers.get('content-type'), bytes: Buffer.from(await response.arrayBuffer()) }
    }
    const header = ['name', 'e-mail; work', 'phone', 'company']
    const refused = [
      { row: 2, raw: Buffer.from('"Käufer" ;=1+1; x ;"a""b"'), message: 'email: no; really' },
      { row: 3, raw: Buffer.from('only;two'), message: 'company: is required' },
      { row: 4, raw: Buffer.from('a;b;c;d;"e;";f'), message: 'row: has 6 cells' },
    ]
    for (const { row, raw, message } of refused)
      await pool.query('INSERT INTO job_rejects (job_id, row_number, message, raw) VALUES ($1, $2, $3, $4)', [
        jobId,
        row,
        message,
        raw,
      ])
    const expected = [
      'rowNumber;name;"e-mail; work";phone;company;error',
      '2;"Käufer" ;=1+1; x ;"a""b";"email: no; really"',
      '3;only;two;;;company: is required',
      '4;a;b;c;d;row: has 6 cells;"e;";f',
      '',
    ].join('\r\n')
    for (const encoding of ENCODINGS) {
      const dialect = { encoding, delimiter: ';', quote: '"', header }
      await pool.query('UPDATE jobs SET dialect = $2 WHERE id = $1', [jobId, dialect])
      const { type, bytes } = await read()
      assert.equal(type, `text/csv; charset=${encoding}; header=present`)
      assert.equal(new TextDecoder(encoding).decode(bytes), expected, encoding)
    }
    // Bytes that are no text stay what they are.
    await pool.query('DELETE FROM job_rejects WHERE row_number > 2')
    await pool.query('UPDATE job_rejects SET raw = $2, message = $3 WHERE job_id = $1', [
      jobId,
      Buffer.from([0xff, 0x3b, 0x80, 0x3b, 0x3b, 0xc3]),
      'not text',
    ])
    await pool.query('UPDATE jobs SET dialect = $2 WHERE id = $1', [
      jobId,
      { encoding: 'utf-8', delimiter: ';', quote: '"', header },
    ])
    const line = (await read()).bytes.subarray(expected.indexOf('\r\n') + 2)
    assert.deepEqual(line, Buffer.from('2;\xff;\x80;;\xc3;not text\r\n', 'latin1'))
  })

  test('F4 a job of which nothing was read has a report of the header alone, in both forms', async (t) => {
    const server = await startServer(t)
    const job = await importFile(server, '', { filename: `${uuidv7()}.csv` })
    for (const query of ['', '?raw=true', '?raw=false']) {
      const { status, body } = await server.call('GET', `/api/jobs/${job.id}/errors.csv${query}`, {
        token: null,
      })
      assert.deepEqual([status, body], [200, 'rowNumber,name,email,phone,company,error\r\n'])
    }
    assert.equal(
      (await server.call('GET', `/api/jobs/${job.id}/errors.csv?raw=1`, { token: null })).status,
      400,
    )
  })
})
