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
  ['Latin-1', Buffer.from(`${HEADER}${ROW}Jos\xe9,jose@example.com,,Acme\n`, 'latin1'), /not UTF-8: line 3 /],
  ['UTF-16', Buffer.from(`\ufeff${HEADER}${ROW}`, 'utf16le'), /not UTF-8: line 1 /],
  ['Latin-1 in the header', Buffer.from('name,email,company,t\xe9l\n', 'latin1'), /not UTF-8: line 1 /],
  [
    'a quote that is not closed',
    `${HEADER}${ROW}"Bob,bob@example.com,,Acme\n${ROW}`,
    /^Row 3: a quote is opened/,
  ],
  ['such a quote in the header', `name,email,"company\n${ROW}`, /^Row 1: a quote is opened/],
  [
    'a row over 1 MiB',
    `${HEADER}${ROW}Bob,bob@example.com,,${'x'.repeat(MiB)}\n${ROW}`,
    /^Row 3 is longer than 1 MiB\.$/,
  ],
  [
    'an unclosed quote in a large file',
    `${HEADER}"${ROW.repeat(50_000)}`,
    /^Row 2 is longer than 1 MiB; a quote/,
  ],
  [
    'an unclosed quote in the header of one',
    `name,"email,company\n${ROW.repeat(50_000)}`,
    /^Row 1 is longer than 1 MiB/,
  ],
  ['only blank rows, a lot of them', '\n'.repeat(2 * MiB), /no header: it holds only blank rows/],
  ['a header over 1 MiB', `${HEADER.trim()},${'x'.repeat(MiB)}\n${ROW}`, /^Row 1 is longer than 1 MiB/],
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
