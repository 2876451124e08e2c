import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { openTestPool } from '../helpers/database.ts'
import { suiteScope } from '../helpers/scope.ts'
import { startServer, type TestServer } from '../helpers/server.ts'
import { HEADER, importFile, validRows } from './helpers.ts'

const ROW = 'Ann,ann@example.com,,Acme\n'
const MiB = 1024 * 1024

const FAULTS: [string, string | Buffer, RegExp][] = [
  ['an empty file', '', /^The file is empty\.$/],
  ['a file of nothing but a BOM', '\ufeff', /^The file is empty\.$/],
  ['only blank rows', '\n \n\r\n', /no header: it holds only blank rows/],
  [
    'no header',
    ROW + ROW,
    /first row is not a header: it has none of the columns name, email, phone, company/,
  ],
  ['a missing column', 'name,email,phone\nAnn,ann@example.com,\n', /^The column company is missing\.$/],
  ['two missing columns', 'name,phone\nAnn,1\n', /^The columns email, company are missing\.$/],
  [
    'a column twice',
    `name,email,phone,company, EMAIL \n${ROW}`,
    /^The header has the column "EMAIL" twice\.$/,
  ],
  ['a foreign column twice', `name,email,company,x,X\n${ROW}`, /^The header has the column "X" twice\.$/],
  [
    'a header with bytes that are no text',
    Buffer.concat([
      Buffer.from('name,email,company,\x8f'),
      Buffer.from([0xff, 0x8f]),
      Buffer.from(`\n${ROW}`),
    ]),
    /^The header holds bytes that are not text in UTF-8, at byte 22 of its row\./,
  ],
  [
    'a quote that is not closed',
    `${HEADER}${ROW}"Bob,bob@example.com,,Acme\n${ROW}`,
    /^Row 3: a quote is opened/,
  ],
  ['such a quote in the header', `name,email,"company\n${ROW}`, /^Row 1: a quote is opened/],
  [
    'such a quote in a large file',
    `${HEADER}"${ROW.repeat(50_000)}`,
    /^Row 2: a quote is opened that is never/,
  ],
  [
    'such a quote in the header of one',
    `name,"email,company\n${ROW.repeat(50_000)}`,
    /^Row 1, the header, is longer than 1 MiB; a quote/,
  ],
  ['only blank rows, a lot of them', '\n'.repeat(2 * MiB), /no header: it holds only blank rows/],
  [
    'a header over 1 MiB',
    `${HEADER.trim()},${'x'.repeat(MiB)}\n${ROW}`,
    /^Row 1, the header, is longer than 1 MiB/,
  ],
  [
    'a million columns',
    `${'a,'.repeat(500_000)}\n`,
    /^The header has 500,001 columns; at most 16,384 can be read\.$/,
  ],
  ['an Excel workbook', Buffer.from('504b0304140006000800', 'hex'), /not a CSV: it is an Excel workbook/],
  ['a PDF', '%PDF-1.7\n1 0 obj\n', /not a CSV: it is a PDF/],
  ['a picture', Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'), /not a CSV: it is a PNG image/],
  ['a gzip archive', Buffer.from('1f8b0800000000000003', 'hex'), /not a CSV: it is a gzip archive/],
  ['UTF-32', Buffer.from('fffe00006e000000', 'hex'), /not a CSV: it is text in UTF-32/],
  ['nothing but zeros', Buffer.alloc(10_000), /not a CSV: it is binary data/],
  ['UTF-16 without a header', Buffer.from(`\ufeff${ROW}`, 'utf16le'), /first row is not a header/],
]

describe('files that cannot be imported', () => {
  const scope = suiteScope()
  let server: TestServer
  before(async () => {
    server = await startServer(scope, { IMPORT_BATCH_ROWS: '1' })
  })

  for (const [index, [what, content, message]] of FAULTS.entries()) {
    test(`F8 ${what} fails the job with its reason, before any row is imported`, async () => {
      const token = await server.token('alice@example.com', `krn:fault:${index}`)
      const job = await importFile(server, content, { token })
      assert.equal(job.status, 'failed')
      assert.match(job.error, message)
      assert.deepEqual([job.processedRows, job.successCount, job.failedCount, job.errors], [0, 0, 0, []])
      assert.ok(job.completedAt)
      const path = `/clients/krn:fault:${index}/progress?filename=customers.csv`
      const record = (await server.call('GET', path)).body
      assert.equal(record.isCompleted, true)
      assert.equal(record.errors[0].line, 0)
      assert.equal(record.errors[0].message, job.error)
    })
  }

  test('F8 a job that failed does not hold up the next one, and nothing of it is in the table', async () => {
    const job = await importFile(server, validRows(2, 'after'))
    assert.equal(job.status, 'completed')
    const pool = openTestPool(scope, server.databaseUrl)
    const { rows } = await pool.query('SELECT count(*)::int AS n FROM customers')
    assert.equal(rows[0].n, 2)
  })
})
