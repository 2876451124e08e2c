import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { before, describe, test } from 'node:test'
import type pg from 'pg'
import { tableOf } from '../../src/datasets/table-postgres.ts'
import { openTestPool } from '../helpers/database.ts'
import { suiteScope } from '../helpers/scope.ts'
import { startServer, type TestServer } from '../helpers/server.ts'
import { importFile } from './helpers.ts'

const example = (name: string) => readFile(new URL(`../../../examples/${name}`, import.meta.url), 'utf8')

describe('importing into a declared dataset', () => {
  const scope = suiteScope()
  let server: TestServer
  let pool: pg.Pool
  before(async () => {
    server = await startServer(scope, { IMPORT_BATCH_ROWS: '3' })
    pool = openTestPool(scope, server.databaseUrl)
  })

  const declare = (token: string, body: unknown) => server.call('PUT', '/api/datasets', { token, body })
  // biome-ignore lint/suspicious/noExplicitAny: what came back
  const messages = (job: any): string[] => job.errors.map((e: any) => `${e.rowNumber} ${e.message}`)
  const stored = async (client: string, name: string, columns: string) => {
    const { rows } = await pool.query({
      text: `SELECT ${columns} FROM "${tableOf(client, name)}" ORDER BY id`,
      rowMode: 'array',
    })
    return rows
  }

  test('F10 the example of the documents: four of eight rows get in, with their types; the others are told why', async () => {
    const token = await server.token('alice@example.com', 'krn:products')
    assert.equal((await declare(token, JSON.parse(await example('products.dataset.json')))).status, 200)
    const job = await importFile(server, await example('products.csv'), { token, query: '?dataset=products' })
    assert.deepEqual([job.status, job.totalRows, job.successCount], ['completed', 8, 4], job.error)
    assert.deepEqual(messages(job), [
      '5 sku: must be an article number such as AB-1234',
      '6 name: is required; price: must be 0 or more; stock: is not a whole number such as 42; status: is not one of Active, On hold, Retired; available_from: is no day of the calendar; updated: has no time zone: it needs a Z or an offset such as +02:00; organic: is neither yes nor no; page: is not a web address such as https://example.com/; supplier_email: is not a valid e-mail address; ean: must have at least 8 characters',
      '7 sku: is an article that is there already (row 2)',
      '9 price: is not a decimal number such as 1234.56',
    ])
    const columns = 'sku, price::text, stock::int, status, available_from::text, organic'
    assert.deepEqual(await stored('krn:products', 'products', columns), [
      ['TEA-1001', '7.90', 120, 'Active', '2024-03-01', true],
      ['TEA-1002', '12.50', 0, 'Active', '2024-09-15', true],
      ['CUP-2001', '9.00', 36, 'On hold', null, false],
      ['CUP-2003', '9.00', 12, 'Active', '2026-02-28', false],
    ])
  })

  test('F10 keys of several columns: the first row in the file counts, and every key that is taken is told', async () => {
    const token = await server.token('alice@example.com', 'krn:keys')
    await declare(token, {
      name: 'seats',
      columns: [
        { name: 'hall', type: 'text', required: true },
        { name: 'seat', type: 'integer', required: true },
        { name: 'guest', type: 'email' },
      ],
      uniqueKeys: [{ columns: ['hall', 'seat'] }, { columns: ['guest'] }],
    })
    const file = [
      'hall,seat,guest',
      'A,1,ann@example.com',
      'A,2,',
      'A,3,',
      'A,1,bob@example.com',
      'B,1,ANN@example.com',
      'a,1,cem@example.com',
      'A,01,ann@example.com',
      'A,x,ann@example.com',
    ].join('\n')
    const first = await importFile(server, file, { token, query: '?dataset=seats' })
    assert.equal(first.successCount, 4)
    assert.deepEqual(messages(first), [
      '5 hall + seat: already used in row 2',
      '6 guest: already used in row 2',
      '8 hall + seat: already used in row 2; guest: already used in row 2',
      '9 seat: is not a whole number such as 42; guest: already used in row 2',
    ])
    const again = await importFile(server, file, { token, query: '?dataset=seats', filename: 'again.csv' })
    assert.equal(again.successCount, 0)
    assert.equal(messages(again)[0], '2 hall + seat: already exists; guest: already exists')
    assert.deepEqual(await stored('krn:keys', 'seats', 'hall, seat::int'), [
      ['A', 1],
      ['A', 2],
      ['A', 3],
      ['a', 1],
    ])
  })

  test('F10 a dataset without keys takes every row, however often; values that COPY has signs for come through', async () => {
    const token = await server.token('alice@example.com', 'krn:nokeys')
    await declare(token, { name: 'notes', columns: [{ name: 'note', type: 'text' }] })
    const notes = ['back\\slash', 'tab\there', '\\N', '\\.', 'é "quoted" 🙂', 'two\nlines\r\nand more', '']
    const file = `note,x\n${notes.map((note) => `"${note.replaceAll('"', '""')}",1`).join('\n')}\n`
    for (const n of [1, 2]) {
      const job = await importFile(server, file, { token, query: '?dataset=notes', filename: `${n}.csv` })
      assert.deepEqual([job.status, job.successCount, job.failedCount], ['completed', notes.length, 0])
    }
    const rows = (await stored('krn:nokeys', 'notes', 'note')).map(([note]) => note)
    const once = notes.map((note) => note || null)
    assert.deepEqual(rows, [...once, ...once])
  })

  test('F10 a job is checked by the declaration of its upload, also when that has changed since', async () => {
    const token = await server.token('alice@example.com', 'krn:versions')
    const columns = [{ name: 'code', type: 'text', required: true, maxLength: 3 }]
    await declare(token, { name: 'codes', columns })
    const before = await importFile(server, 'code\nabcd\nabc\n', { token, query: '?dataset=codes' })
    await declare(token, {
      name: 'codes',
      columns: [
        { ...columns[0], maxLength: 4 },
        { name: 'note', type: 'text' },
      ],
    })
    const after = await importFile(server, 'code,note\nabcd,n\n', { token, query: '?dataset=codes' })
    assert.deepEqual([before.successCount, after.successCount], [1, 1])
    assert.deepEqual(await stored('krn:versions', 'codes', 'code, note'), [
      ['abc', null],
      ['abcd', 'n'],
    ])
  })
})
