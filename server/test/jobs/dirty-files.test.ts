import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { readdir, readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { before, describe, test } from 'node:test'
import type pg from 'pg'
import { splitCells } from '../../src/jobs/csv/cells.ts'
import { decodeText } from '../../src/jobs/csv/encoding.ts'
import { headerCells, readHead, readUtf8 } from '../../src/jobs/csv/head.ts'
import { createRowCutter } from '../../src/jobs/csv/rows.ts'
import { openObjectFolder } from '../../src/platform/objects/folder.ts'
import type { ObjectStore } from '../../src/platform/objects/objects.ts'
import { openTestPool } from '../helpers/database.ts'
import { suiteScope } from '../helpers/scope.ts'
import { createTestDir, startServer, type TestServer } from '../helpers/server.ts'
import { DIRTY_FILES } from './dirty/files.ts'
import { importFile } from './helpers.ts'

/** https://github.com/max-mapper/csv-spectrum: files, each with its cells as JSON. */
const SPECTRUM = new URL('.', import.meta.resolve('csv-spectrum'))

/** Here the corpus disagrees with itself: the phone number of the CSV is another one, and its only row no list. */
const WRONG_JSON: Record<string, (json: string) => string> = {
  'location_coordinates.csv': (json) => json.replace('1234567890', '2095257564'),
}

describe('the public corpus csv-spectrum', async () => {
  const scope = suiteScope()
  let objects: ObjectStore
  before(async () => {
    objects = await openObjectFolder(await createTestDir(scope))
  })

  /** What the importer makes of a file, without a dataset. */
  async function readCells(name: string, content: Buffer): Promise<Record<string, string>[]> {
    await (await objects.stage(name, Readable.from([content]), { maxBytes: 1e6 })).keep()
    const head = await readHead(objects, name)
    const header = headerCells(head)
    const rows: Record<string, string>[] = []
    const cutter = createRowCutter(head, head.dataStart, {
      onRow(row) {
        const cells = splitCells(decodeText(row)!, head)
        assert.equal(cells.length, header.length)
        rows.push(Object.fromEntries(header.map((column, at) => [column, cells[at]!])))
      },
      onUnclosedQuote: (rowNumber) => assert.fail(`an open quote in row ${rowNumber}`),
    })
    const start = head.dataStart.byteOffset
    for await (const chunk of readUtf8(objects, name, { ...head, start }))
      cutter.feed(chunk.toString('latin1'))
    cutter.end()
    return rows
  }

  const files = (await readdir(new URL('csvs/', SPECTRUM))).sort()
  assert.equal(files.length, 12)
  for (const file of files) {
    test(`F13 ${file} gives the cells that its JSON tells`, async () => {
      const json = await readFile(new URL(`json/${file.replace(/csv$/, 'json')}`, SPECTRUM), 'utf8')
      const cells = await readCells(file, await readFile(new URL(`csvs/${file}`, SPECTRUM)))
      assert.deepEqual(cells, [JSON.parse(WRONG_JSON[file]?.(json) ?? json)].flat())
    })
  }
})

describe('dirty files', () => {
  const scope = suiteScope()
  let server: TestServer
  let pool: pg.Pool
  before(async () => {
    server = await startServer(scope)
    pool = openTestPool(scope, server.databaseUrl)
  })

  /** Imports a file for a client of its own. */
  async function importDirty(clientKrn: string, content: string | Buffer) {
    const token = await server.token('alice@example.com', clientKrn)
    const job = await importFile(server, content, { token })
    const { rows } = await pool.query(
      'SELECT row_number, name, email, phone, company FROM customers WHERE client_krn = $1 ORDER BY row_number',
      [clientKrn],
    )
    const stored = rows.map(({ row_number, name, email, phone, company }) =>
      [row_number, name, email, phone, company].join('|'),
    )
    return { job, stored }
  }

  for (const [index, { what, content, rows = [], errors = [], fault }] of DIRTY_FILES.entries()) {
    test(`F13 ${what}: the right rows, or the right message`, async () => {
      const { job, stored } = await importDirty(`krn:dirty:${index}`, content)
      assert.equal(job.error, fault ?? null)
      assert.equal(job.status, fault ? 'failed' : 'completed')
      assert.deepEqual(
        job.errors.map(
          ({ rowNumber, message }: { rowNumber: number; message: string }) => `${rowNumber} ${message}`,
        ),
        errors,
      )
      assert.deepEqual(stored, rows)
      const total = fault ? null : rows.length + errors.length
      assert.deepEqual(
        [job.totalRows, job.processedRows, job.successCount, job.failedCount],
        [total, total ?? 0, rows.length, errors.length],
      )
    })
  }

  test('F4 F12 a refused row is kept byte for byte, also where its bytes are no text', async () => {
    const row = Buffer.concat([
      Buffer.from('B\u00f6b,"bob@'),
      Buffer.from([0xe9, 0x00, 0xff]),
      Buffer.from('\n",,"C"'),
    ])
    const content = Buffer.concat([
      Buffer.from('name,email,phone,company\nÄnn,ann@example.com,,Acme\n'),
      row,
      Buffer.from('\r\n'),
    ])
    const { job } = await importDirty('krn:dirty:raw', content)
    assert.deepEqual(
      job.errors.map(({ message }: { message: string }) => message),
      ['row: holds bytes that are not text in UTF-8, at byte 11 of the row'],
    )
    const { rows } = await pool.query('SELECT raw FROM job_rejects WHERE job_id = $1', [job.id])
    assert.deepEqual(rows, [{ raw: row }])
  })

  test('F4 F12 of a row that is too long exactly the first 1 MiB is kept', async () => {
    const row = `"x\n${'y'.repeat(3 * 1024 * 1024)}",a@example.com,,C`
    const { job } = await importDirty('krn:dirty:long', `name,email,phone,company\n${row}\n`)
    assert.equal(job.failedCount, 1)
    const { rows } = await pool.query('SELECT raw FROM job_rejects WHERE job_id = $1', [job.id])
    assert.equal(rows.length, 1)
    assert.ok(rows[0].raw.equals(Buffer.from(row.slice(0, 1024 * 1024))))
  })
})
