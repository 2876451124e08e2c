import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { before, describe, test } from 'node:test'
import type pg from 'pg'
import { openTestPool } from '../helpers/database.ts'
import { suiteScope } from '../helpers/scope.ts'
import { startServer, type TestServer } from '../helpers/server.ts'
import { HEADER, importFile, upload, uploadJob, validRows, waitForEnd } from './helpers.ts'

const EXAMPLE = await readFile(new URL('../../../examples/customers.csv', import.meta.url))

describe('importing a file', () => {
  const scope = suiteScope()
  let server: TestServer
  let pool: pg.Pool
  before(async () => {
    server = await startServer(scope, { IMPORT_BATCH_ROWS: '10' })
    pool = openTestPool(scope, server.databaseUrl)
  })

  test('F1 F2 F6 F8 the example goes from upload to completed; its six bad rows are told with all their reasons', async () => {
    const token = await server.token('alice@example.com', 'krn:example')
    const jobId = await uploadJob(server, EXAMPLE, { token })
    const job = await waitForEnd(server, jobId, token)
    const { createdAt, completedAt, errors, sequence, ...rest } = job
    assert.deepEqual(rest, {
      id: jobId,
      filename: 'customers.csv',
      dataset: 'customers',
      parentId: null,
      sizeBytes: 3846,
      status: 'completed',
      totalRows: 59,
      processedRows: 59,
      successCount: 53,
      failedCount: 6,
      duplicateCount: 1,
      correctedCount: 0,
      error: null,
    })
    assert.ok(Date.parse(createdAt) <= Date.parse(completedAt))
    assert.ok(sequence > 1)
    assert.deepEqual(
      // biome-ignore lint/suspicious/noExplicitAny: what came back
      errors.map(({ rowNumber, message }: any) => [rowNumber, message]),
      [
        [14, 'name: is required'],
        [21, 'email: is not a valid e-mail address'],
        [29, 'company: is required'],
        [38, 'email: already used in row 11'],
        [46, 'name: is required; email: is not a valid e-mail address'],
        [56, 'row: has 5 cells, and the header has 4'],
      ],
    )
    assert.deepEqual(errors[0].row, {
      name: '',
      email: 'missing.name@example.com',
      phone: '+1 202 555 0113',
      company: 'Nameless Goods',
    })
    assert.equal(errors[5].row['column 5'], 'Amsterdam')
    const { rows } = await pool.query(
      `SELECT name, email, phone, company, job_id FROM customers WHERE client_krn = 'krn:example' ORDER BY row_number`,
    )
    assert.equal(rows.length, 53)
    assert.deepEqual(rows[2], {
      name: 'Carla Ruiz',
      email: 'carla.ruiz@example.com',
      phone: null,
      company: 'Ruiz Consulting',
      job_id: jobId,
    })
    assert.equal(rows[3].name, 'Doyle, Denis')
    assert.equal(rows[11].company, 'Fischer GmbH\nNiederlassung Nord')

    const list = await server.call('GET', '/api/jobs', { token })
    assert.deepEqual(list.body, [job])
  })

  test('N3 the importer reports through the same ledger as outside workers', async () => {
    const token = await server.token('bob@example.com', 'krn:ledger')
    await importFile(server, EXAMPLE, { token })
    const { body } = await server.call('GET', '/clients/krn:ledger/progress?filename=customers.csv')
    assert.deepEqual(body.counts, { done: 53, warn: 0, failed: 6 })
    assert.equal(body.total, 59)
    assert.equal(body.isCompleted, true)
    assert.equal(body.email, 'bob@example.com')
    assert.equal(body.errorsTotal, 6)
    assert.equal(body.errors[3].line, 38)
    assert.equal(body.errors[3].message, 'email: already used in row 11')
    const audit = await server.call('GET', `/clients/krn:ledger/progress/${body.id}/events`)
    assert.ok(audit.body.every(({ channel }: { channel: string }) => channel === 'import'))
  })

  test('N3 a second upload of a filename gets a record of its own, beside names that outside workers have', async () => {
    const token = await server.token('carol@example.com', 'krn:names')
    const progress = '/clients/krn:names/progress'
    for (const filename of ['a.csv', 'a (3).csv']) {
      const body = { filename, counts: { done: 1, warn: 0, failed: 0 } }
      assert.equal((await server.call('POST', progress, { token, body })).status, 200)
    }
    const jobs = []
    for (const n of [1, 2])
      jobs.push(await importFile(server, validRows(2, `n${n}`), { token, filename: 'a.csv' }))
    assert.deepEqual(
      jobs.map(({ filename }) => filename),
      ['a.csv', 'a.csv'],
    )
    const { body } = await server.call('GET', progress)
    // biome-ignore lint/suspicious/noExplicitAny: what came back
    const done = Object.fromEntries(body.map((record: any) => [record.filename, record.counts.done]))
    assert.deepEqual(done, { 'a.csv': 1, 'a (2).csv': 2, 'a (3).csv': 1, 'a (4).csv': 2 })
  })

  test('N3 a record that its owner closes from outside does not stop the import', async () => {
    const token = await server.token('dora@example.com', 'krn:closed')
    const jobId = await uploadJob(server, validRows(3_000, 'closed'), { token, filename: 'b.csv' })
    const body = { filename: 'b.csv', counts: { done: 0, warn: 0, failed: 0 }, isLast: true }
    await server.call('POST', '/clients/krn:closed/progress', { token, body })
    const job = await waitForEnd(server, jobId, token)
    assert.equal(job.successCount, 3_000)
    const moved = await server.call('GET', '/clients/krn:closed/progress?filename=b%20(2).csv')
    assert.deepEqual(moved.body.counts, { done: 3_000, warn: 0, failed: 0 })
    assert.equal(moved.body.isCompleted, true)
  })

  test('F13 a record with newlines in its cells is one row, also in the total', async () => {
    const token = await server.token('eve@example.com', 'krn:newlines')
    const content = `${HEADER}"A\nB",n1@example.com,,"C\r\nD"\n\n"E",bad,,"F\n\n\nG"\nH,n2@example.com,,I`
    const job = await importFile(server, content, { token })
    assert.equal(job.totalRows, 3)
    assert.equal(job.successCount, 2)
    // The blank line is row 3 of the spreadsheet, and no data.
    assert.deepEqual(job.errors, [
      {
        rowNumber: 4,
        message: 'email: is not a valid e-mail address',
        row: { name: 'E', email: 'bad', phone: '', company: 'F\n\n\nG' },
      },
    ])
  })

  test('F5 headers are found without regard to case, space and order; other columns are kept for the report', async () => {
    const token = await server.token('frank@example.com', 'krn:header')
    const content =
      '\ufeff Company ; Notes;EMAIL;"Name"\r\nAcme;vip;h1@example.com;Ann\r\n;x;h1@example.com;Bo\r\n'
    const job = await importFile(server, content, { token })
    assert.equal(job.successCount, 1)
    assert.deepEqual(job.errors, [
      {
        rowNumber: 3,
        message: 'company: is required; email: already used in row 2',
        row: { Company: '', Notes: 'x', EMAIL: 'h1@example.com', Name: 'Bo' },
      },
    ])
  })

  test('F6 every kind of bad row is refused by itself', async () => {
    const token = await server.token('gina@example.com', 'krn:bad')
    const rows = [
      ',k1@example.com,,C',
      'A,,,C',
      'A,nope,,C',
      'A,k2@example.com,,   ',
      ',,,',
      'A,k3@example.com',
      'A,k4@example.com,,C,,extra',
      'A\0,k5@example.com,,C',
      'A,k6@example.com,,C',
      'B,K6@EXAMPLE.com,,C',
      ',k6@example.com,,C',
      `A,${'x'.repeat(250)}@example.com,,C`,
      '5" pipe,k7@example.com,"a" b,C',
    ]
    const job = await importFile(server, `${HEADER}${rows.join('\n')}\n`, { token })
    assert.equal(job.status, 'completed')
    assert.deepEqual(
      // biome-ignore lint/suspicious/noExplicitAny: what came back
      job.errors.map(({ rowNumber, message }: any) => `${rowNumber} ${message}`),
      [
        '2 name: is required',
        '3 email: is required',
        '4 email: is not a valid e-mail address',
        '5 company: is required',
        '6 name: is required; email: is required; company: is required',
        '7 row: has 2 cells, and the header has 4; company: is required',
        '8 row: has 6 cells, and the header has 4',
        '9 name: must not contain a NUL character',
        '11 email: already used in row 10',
        '12 name: is required; email: already used in row 10',
        '13 email: must not have more than 254 characters',
      ],
    )
    assert.equal(job.successCount, 2)
    assert.equal(job.errors[7].row.name, 'A\0')
  })

  test('F5 an e-mail is unique within a client over all its files, and clients do not see each other', async () => {
    const one = await server.token('hugo@example.com', 'krn:one')
    const two = await server.token('hugo@example.com', 'krn:two')
    const content = validRows(25, 'shared')
    assert.equal((await importFile(server, content, { token: one })).successCount, 25)
    const again = await importFile(server, content, { token: one })
    assert.deepEqual([again.successCount, again.failedCount], [0, 25])
    assert.equal(again.errors[0].message, 'email: already exists')
    assert.equal((await importFile(server, content, { token: two })).successCount, 25)
  })

  test('F6 where batches are cut changes nothing: a duplicate names the first row, near or far', async () => {
    const token = await server.token('ida@example.com', 'krn:cuts')
    const content = `${validRows(30, 'cut')}Z,cut3@example.com,,Z\n,cut4@example.com,,Z\nY,cut29@example.com,,Y\n`
    const job = await importFile(server, content, { token })
    assert.deepEqual(
      // biome-ignore lint/suspicious/noExplicitAny: what came back
      job.errors.map(({ rowNumber, message }: any) => `${rowNumber} ${message}`),
      [
        '32 email: already used in row 5',
        '33 name: is required; email: already used in row 6',
        '34 email: already used in row 31',
      ],
    )
  })

  test('F8 a header alone is a completed file of no rows', async () => {
    const job = await importFile(server, HEADER)
    assert.deepEqual([job.status, job.totalRows, job.processedRows], ['completed', 0, 0])
  })

  test('N3 eight uploads of one filename at once get eight records', async () => {
    const token = await server.token('kim@example.com', 'krn:burst')
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, n) =>
        upload(server, validRows(1, `burst${n}`), { token, filename: 'x.csv' }),
      ),
    )
    for (const { body } of answers) await waitForEnd(server, body.jobId, token)
    const { body } = await server.call('GET', '/clients/krn:burst/progress')
    assert.equal(new Set(body.map(({ filename }: { filename: string }) => filename)).size, 8)
  })
})
