import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { type Declaration, MAX_DATASETS } from '../../src/datasets/declaration.ts'
import { bindHeader } from '../../src/datasets/header.ts'
import { findDataset, listDatasets, putDataset } from '../../src/datasets/store-postgres.ts'
import { checkRow } from '../../src/datasets/validate.ts'
import { PebblesError } from '../../src/platform/errors.ts'
import { type Database, openDatabase } from '../../src/platform/postgres/database.ts'
import { migrate } from '../../src/platform/postgres/migrations.ts'
import { createTestDatabase } from '../helpers/database.ts'
import { atEnd, suiteScope } from '../helpers/scope.ts'
import { copyRows, declare, readExample } from './helpers.ts'

const krn = (name: string) => `krn:${name}`
const alice = (name: string) => ({ clientKrn: krn(name), email: 'alice@example.com' })

/** A refusal with one fault: its field. */
const refused = (field: string, text: RegExp) => (error: unknown) => {
  assert.ok(error instanceof PebblesError, String(error))
  assert.equal(error.code, 'invalid_request')
  assert.deepEqual(
    error.faults.map((fault) => fault.field),
    [field],
  )
  assert.match(error.faults[0]!.message, text)
  return true
}

describe('datasets of clients', () => {
  const scope = suiteScope()
  let url: string
  let database: Database
  let pool: pg.Pool
  before(async () => {
    url = await createTestDatabase(scope)
    database = openDatabase({ url, maxConnections: 8, maxLanes: 1, maxJobConnections: 1, log: () => {} })
    atEnd(scope, () => database[Symbol.asyncDispose]())
    pool = database.pool
  })

  const put = (client: string, declaration: Declaration) => putDataset(pool, alice(client), declaration)
  const find = async (client: string, name = 'things', version?: number) =>
    (await findDataset(pool, krn(client), name, version))!

  async function columnsOf(table: string): Promise<Record<string, string>> {
    const { rows } = await pool.query(
      `SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute
       WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
      [table],
    )
    return Object.fromEntries(rows.map((row) => [row.attname, row.type]))
  }

  test('F10 a table is made of what was declared, and takes the rows that were found valid', async () => {
    const declaration = JSON.parse(await readExample('products.dataset.json'))
    assert.equal((await put('copy', declaration)).version, 1)
    const found = await find('copy', 'products')
    assert.deepEqual(await columnsOf(found.table), {
      id: 'uuid',
      job_id: 'uuid',
      client_krn: 'text',
      row_number: 'bigint',
      sku: 'text',
      name: 'text',
      price: 'numeric',
      stock: 'bigint',
      status: 'text',
      available_from: 'date',
      updated: 'timestamp with time zone',
      organic: 'boolean',
      page: 'text',
      supplier_email: 'text',
      ean: 'text',
      created_at: 'timestamp(3) with time zone',
    })
    const [header = [], ...lines] = (await readExample('products.csv'))
      .trim()
      .split('\n')
      .map((line) => line.split(';'))
    const binding = bindHeader(found.dataset, header)
    if ('code' in binding) throw new Error(binding.message)
    const checked = lines.map((cells) => checkRow(binding, cells)).filter(({ faults }) => faults.length === 0)
    // The last but one of the valid rows has the article number of the first.
    await copyRows(
      pool,
      krn('copy'),
      found,
      checked.map(({ values }) => values).filter((_, index) => index !== 3),
    )
    const { rows } = await pool.query(
      `SELECT sku, price::text, stock, status, available_from::text, organic,
              updated = '2026-01-15T08:30:00.25Z' AS is_then
       FROM "${found.table}" ORDER BY row_number`,
    )
    assert.deepEqual(rows[1], {
      sku: 'TEA-1002',
      price: '12.50',
      stock: 0,
      status: 'Active',
      available_from: '2024-09-15',
      organic: true,
      is_then: true,
    })
    assert.equal(rows.length, 4)
  })

  test('F10 a unique key holds within the table; e-mail addresses are equal whatever their case; blank is no key', async () => {
    const uniqueKeys = [{ columns: ['mail', 'n'] }]
    await put(
      'key',
      declare(
        [
          { name: 'mail', type: 'email' },
          { name: 'n', type: 'integer' },
        ],
        { uniqueKeys },
      ),
    )
    const found = await find('key')
    const copy = (...rows: (string | null)[][]) => copyRows(pool, krn('key'), found, rows)
    await copy(
      ['Ann@example.com', '1'],
      ['ann@example.com', '2'],
      ['ann@example.com', null],
      ['ann@example.com', null],
    )
    await assert.rejects(copy(['ANN@example.com', '1']), { code: '23505' })
  })

  /** Letters of two bytes each that do not compress. */
  function dense(letters: number, seed: number): string {
    let value = ''
    for (let x = seed; value.length < letters; x = (x * 48_271) % 2_147_483_647) {
      value += String.fromCodePoint(0xc0 + (x % 1_500))
    }
    return value
  }

  test('F10 the longest texts that a key lets pass fit into its index', async () => {
    const uniqueKeys = [{ columns: ['one'] }, { columns: ['mail', 'two', 'n'] }]
    const declaration = declare(
      [{ name: 'one' }, { name: 'two' }, { name: 'mail', type: 'email' }, { name: 'n', type: 'decimal' }],
      { uniqueKeys },
    )
    // As long as the client of a token may be.
    const client = `long${'ü'.repeat(156)}`
    await put(client, declaration)
    const found = await find(client)
    // In lower case half of its letters have three bytes instead of two.
    const mail = `${'Ⱥ'.repeat(30)}@${Array.from({ length: 3 }, () => 'Ⱥ'.repeat(60)).join('.')}.example`
    const values = [dense(750, 11), dense(375, 12), mail, `0.${'9'.repeat(98)}`]
    for (const [index, { findFault }] of found.dataset.columns.entries()) {
      assert.equal(findFault?.(values[index]!), undefined)
    }
    await copyRows(pool, krn(client), found, [values])
    assert.match(found.dataset.columns[0]!.findFault!(`${values[0]}x`)!, /1500 bytes/)
  })

  test('F10 the same declaration again is no new version, however it is written', async () => {
    const first = await put('same', declare([{ name: 'n', type: 'decimal', min: 1 }, {}]))
    const again = await put('same', {
      uniqueKeys: [],
      columns: [
        { min: 1.0, type: 'decimal', name: 'n' },
        { type: 'text', name: 'c1' },
      ],
      name: 'things',
    })
    assert.deepEqual([first.version, again.version], [1, 1])
    assert.deepEqual(again.createdAt, first.createdAt)
  })

  test('F10 a new version adds columns; one that is left out stays in the table and keeps its type', async () => {
    await put('grow', declare([{ name: 'a' }, { name: 'b', type: 'integer' }]))
    assert.equal(
      (
        await put(
          'grow',
          declare([
            { name: 'a', maxLength: 5 },
            { name: 'c', type: 'date' },
          ]),
        )
      ).version,
      2,
    )
    const { table, dataset } = await find('grow')
    assert.deepEqual(
      Object.keys(await columnsOf(table)).filter((name) => name.length === 1),
      ['a', 'b', 'c'],
    )
    assert.deepEqual(
      dataset.columns.map(({ name }) => name),
      ['a', 'c'],
    )
    const back = (type: 'integer' | 'text') => put('grow', declare([{ name: 'a' }, { name: 'b', type }]))
    await assert.rejects(back('text'), refused('columns[1].type', /must stay integer/))
    assert.equal((await back('integer')).version, 3)
  })

  test('F10 a version stays as it was: a job is checked against the one that it names', async () => {
    await put('pin', declare([{ name: 'a', maxLength: 5 }]))
    await put('pin', declare([{ name: 'a', maxLength: 2 }, { name: 'b' }]))
    const [first, second, newest] = [
      await find('pin', 'things', 1),
      await find('pin', 'things', 2),
      await find('pin'),
    ]
    assert.equal(first.dataset.columns[0]!.findFault!('abc'), undefined)
    assert.equal(second.dataset.columns[0]!.findFault!('abc'), 'must not have more than 2 characters')
    assert.equal(newest.version, 2)
    assert.equal(await find('pin', 'things', 3), undefined)
  })

  test('F10 an earlier version knows the unique keys that the table has got since, where it has their columns', async () => {
    await put('keys', declare([{ name: 'a' }]))
    const uniqueKeys = [{ columns: ['a'] }, { columns: ['b'] }]
    await put('keys', declare([{ name: 'a' }, { name: 'b' }], { uniqueKeys }))
    const { dataset, declaration } = await find('keys', 'things', 1)
    assert.deepEqual(
      dataset.uniqueKeys.map(({ columns }) => columns),
      [['a']],
    )
    assert.deepEqual(declaration.uniqueKeys, [{ columns: ['a'] }])
  })

  test('F10 a unique key that rows break is refused, and nothing changes', async () => {
    await put('taken', declare([{ name: 'a' }]))
    const found = await find('taken')
    await copyRows(pool, krn('taken'), found, [['x'], ['x'], ['y']])
    const change = put('taken', declare([{ name: 'a' }, { name: 'b' }], { uniqueKeys: [{ columns: ['a'] }] }))
    await assert.rejects(change, refused('uniqueKeys[0]', /rows that are there already have the same values/))
    assert.equal((await find('taken')).version, 1)
    assert.ok(!('b' in (await columnsOf(found.table))))
    const composite = await put(
      'taken',
      declare([{ name: 'a' }, { name: 'b' }], { uniqueKeys: [{ columns: ['a', 'b'] }] }),
    )
    assert.equal(composite.version, 2)
  })

  test('F10 a unique key is refused when values that are there are too long for an index', async () => {
    await put('length', declare([{ name: 'a' }]))
    const value = dense(2_000, 14)
    await copyRows(pool, krn('length'), await find('length'), [[value]])
    const change = put('length', declare([{ name: 'a' }], { uniqueKeys: [{ columns: ['a'] }] }))
    await assert.rejects(change, refused('uniqueKeys[0]', /too long for a key/))
  })

  test('F10 a unique key cannot be taken away, but its message and the order of its columns may change', async () => {
    const columns = [{ name: 'a' }, { name: 'b' }]
    await put('stay', declare(columns, { uniqueKeys: [{ columns: ['a', 'b'] }] }))
    await assert.rejects(
      put('stay', declare(columns)),
      refused('uniqueKeys', /a \+ b: a unique key cannot be taken away/),
    )
    const reworded = declare(columns, { uniqueKeys: [{ columns: ['b', 'a'], message: 'is there' }] })
    assert.equal((await put('stay', reworded)).version, 2)
  })

  test('F10 two that declare at once both end well: one table, versions without a gap', async () => {
    const declarations = Array.from({ length: 8 }, (_, index) =>
      declare([{ name: 'a' }, { name: `b${index % 4}` }]),
    )
    const results = await Promise.all(declarations.map((declaration) => put('race', declaration)))
    const { rows } = await pool.query('SELECT version FROM datasets WHERE client_krn = $1 ORDER BY version', [
      krn('race'),
    ])
    const versions = rows.map((row) => row.version)
    assert.deepEqual(
      versions,
      Array.from({ length: versions.length }, (_, index) => index + 1),
    )
    for (const { version } of results) assert.ok(versions.includes(version))
    const { table } = await find('race')
    assert.deepEqual(
      Object.keys(await columnsOf(table))
        .filter((name) => /^[ab]\d?$/.test(name))
        .sort(),
      ['a', 'b0', 'b1', 'b2', 'b3'],
    )
  })

  test('F10 a change does not wait for ever behind a transaction that writes: 503, and nothing changed', async () => {
    await put('busy', declare([{ name: 'a' }]))
    const { table } = await find('busy')
    const client = await pool.connect()
    try {
      await client.query('BEGIN')
      await client.query(`LOCK TABLE "${table}" IN ROW EXCLUSIVE MODE`)
      const change = () => put('busy', declare([{ name: 'a' }, { name: 'b' }]))
      await assert.rejects(change(), { code: 'overloaded', retryAfterSeconds: 5 })
      assert.equal((await find('busy')).version, 1)
      // Rules alone need no lock on the table.
      assert.equal((await put('busy', declare([{ name: 'a', maxLength: 3 }]))).version, 2)
      const waiting = change()
      await delay(100)
      await client.query('COMMIT')
      assert.equal((await waiting).version, 3)
    } finally {
      client.release()
    }
  })

  test('F10 no client sees or touches the dataset of another, also of the same name', async () => {
    await put('one', declare([{ name: 'a' }]))
    assert.equal(await findDataset(pool, krn('two'), 'things'), undefined)
    await put('two', declare([{ name: 'a', type: 'integer' }]))
    assert.notEqual((await find('one')).table, (await find('two')).table)
    assert.equal((await find('one')).dataset.columns[0]!.sqlType, 'text')
    const listed = await listDatasets(pool, krn('two'))
    assert.deepEqual(
      listed.map(({ declaration, version }) => [declaration.name, version]),
      [
        ['customers', 0],
        ['things', 1],
      ],
    )
  })

  test('F10 a client can have so many datasets and no more; those that are there can still change', async () => {
    const numbered = (index: number, more = {}) => declare([more], { name: `d${index}` })
    for (let index = 0; index < MAX_DATASETS; index++) await put('many', numbered(index))
    await assert.rejects(put('many', numbered(MAX_DATASETS)), refused('name', /100 datasets/))
    assert.equal((await put('many', numbered(0, { maxLength: 3 }))).version, 2)
    assert.equal((await put('other', numbered(0))).version, 1)
  })

  test('F10 customers is built in for everyone, under version 0', async () => {
    const { version, table, createdAt } = await find('any', 'customers')
    assert.deepEqual([version, table, createdAt], [0, 'customers', null])
  })

  test('F9 F10 undoing the migration leaves no table of a dataset behind, and it can be done again', async (t) => {
    const other = openDatabase({
      url: await createTestDatabase(t),
      maxConnections: 2,
      maxLanes: 1,
      maxJobConnections: 1,
      log: () => {},
    })
    atEnd(t, () => other[Symbol.asyncDispose]())
    await putDataset(other.pool, alice('down'), declare([{}]))
    const undone: string[] = []
    while (undone.at(-1) !== '0004_datasets') undone.push(...(await migrate(other.url, 'down')))
    const { rows } = await other.pool.query(`SELECT relname FROM pg_class WHERE relname ~ '^dataset'`)
    assert.deepEqual(rows, [])
    assert.deepEqual(await migrate(other.url, 'up'), undone.toReversed())
  })
})
