import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { openTestPool } from '../helpers/database.ts'
import { suiteScope } from '../helpers/scope.ts'
import { startServer, type TestServer } from '../helpers/server.ts'
import { upload, uploadJob } from '../jobs/helpers.ts'
import { readExample } from './helpers.ts'

describe('/api/datasets', () => {
  const scope = suiteScope()
  let server: TestServer
  // Nothing is imported here: what is looked at is what an upload leaves for the one who imports.
  before(async () => {
    server = await startServer(scope, { PEBBLES_ROLES: 'api' })
  })

  const tokenOf = (client: string) => server.token('alice@example.com', client)
  const put = async (client: string, body: unknown) =>
    server.call('PUT', '/api/datasets', { body, token: await tokenOf(client) })
  const get = async (client: string, path = '') =>
    server.call('GET', `/api/datasets${path}`, { token: await tokenOf(client) })

  const things = (columns: object[] = [{ name: 'a', type: 'text' }]) => ({ name: 'things', columns })

  test('F10 what was declared is answered, can be read alone and in the list, and sent back as it was read', async () => {
    const declaration = JSON.parse(await readExample('products.dataset.json'))
    const created = await put('krn:a', declaration)
    assert.equal(created.status, 200)
    assert.equal(created.headers.get('location'), '/api/datasets/products')
    const { createdAt, ...rest } = created.body
    assert.deepEqual(rest, { ...declaration, version: 1, isBuiltIn: false })
    assert.equal(
      JSON.stringify(rest.columns),
      JSON.stringify(declaration.columns),
      'in the order of its author',
    )
    assert.ok(Math.abs(Date.parse(createdAt) - Date.now()) < 60_000)
    assert.deepEqual((await get('krn:a', '/products')).body, created.body)
    assert.deepEqual(
      (await get('krn:a')).body.map((dataset: { name: string }) => dataset.name),
      ['customers', 'products'],
    )
    assert.deepEqual((await put('krn:a', created.body)).body, created.body)
  })

  test('F5 F10 customers is there for everyone and cannot be changed', async () => {
    const { body } = await get('krn:b', '/customers')
    assert.deepEqual(body, {
      name: 'customers',
      version: 0,
      isBuiltIn: true,
      createdAt: null,
      columns: [
        { name: 'name', type: 'text', required: true },
        { name: 'email', type: 'email', required: true },
        { name: 'phone', type: 'text' },
        { name: 'company', type: 'text', required: true },
      ],
      uniqueKeys: [{ columns: ['email'] }],
    })
    const changed = await put('krn:b', body)
    assert.equal(changed.status, 400)
    assert.deepEqual(changed.body.errors, [
      { field: 'name', message: 'is the built-in dataset, which cannot be changed' },
    ])
  })

  test('F10 a declaration that is wrong in several places is told all of them, and nothing is made', async () => {
    const { status, body } = await put('krn:c', {
      ...things([{ name: 'id', type: 'regex', pattern: '(' }]),
      colour: 1,
    })
    assert.equal(status, 400)
    assert.equal(body.code, 'invalid_request')
    assert.deepEqual(
      body.errors.map(({ field }: { field: string }) => field),
      ['colour', 'columns[0].pattern', 'columns[0].name'],
    )
    assert.equal((await get('krn:c')).body.length, 1)
  })

  test('F10 what is no JSON, or too much of it, is refused as everywhere', async () => {
    const options = { token: await tokenOf('krn:c') }
    assert.equal(
      (await server.call('PUT', '/api/datasets', { ...options, body: '{' })).body.code,
      'invalid_json',
    )
    assert.equal((await server.call('PUT', '/api/datasets', { ...options, body: 'null' })).status, 400)
    assert.equal((await server.call('PUT', '/api/datasets', options)).status, 400)
    const large = await put('krn:c', {
      ...things(),
      uniqueKeys: [{ columns: ['a'], message: 'x'.repeat(140_000) }],
    })
    assert.equal(large.status, 413)
    const headers = { 'content-type': 'text/csv' }
    assert.equal(
      (await server.call('PUT', '/api/datasets', { ...options, body: 'a,b', headers })).status,
      415,
    )
  })

  test('F10 a dataset of another client is not there', async () => {
    await put('krn:d', things())
    assert.equal((await get('krn:e', '/things')).status, 404)
    assert.equal((await get('krn:e', '/%00')).status, 400)
    const file = await upload(server, 'a\n1\n', { query: '?dataset=things', token: await tokenOf('krn:e') })
    assert.equal(file.status, 400)
    assert.deepEqual(file.body.errors, [{ field: 'dataset', message: 'is not a dataset of this client' }])
  })

  test('F10 a token that is not valid is refused', async () => {
    const options = { token: 'x.y.z', body: things() }
    assert.equal((await server.call('PUT', '/api/datasets', options)).status, 401)
    assert.equal((await server.call('GET', '/api/datasets', { token: 'x.y.z' })).status, 401)
    assert.equal((await server.call('GET', '/api/datasets/customers', { token: 'x.y.z' })).status, 401)
  })

  test('F10 a dataset that is not known, or not named as one, is refused, also with a large file behind it', async () => {
    const file = `a\n${'x\n'.repeat(4_000_000)}`
    for (const query of ['?dataset=nothing', '?dataset=', '?dataset=a&dataset=b', '?dataset=%00']) {
      const { status, body } = await upload(server, file, { query })
      assert.equal(status, 400, query)
      assert.deepEqual(
        body.errors.map(({ field }: { field: string }) => field),
        ['dataset'],
        query,
      )
    }
  })

  test('F10 a job is of the dataset, and of its version at the time of the upload', async (t) => {
    const pool = openTestPool(t, server.databaseUrl)
    const token = await tokenOf('krn:f')
    const query = '?dataset=things'
    await put('krn:f', things())
    const first = await uploadJob(server, 'a\n1\n', { query, token })
    await put('krn:f', things([{ name: 'a', type: 'text', maxLength: 1 }]))
    const second = await uploadJob(server, 'a\n1\n', { query, token })
    const builtIn = await uploadJob(server, 'name,email,company\n', { token })
    const { rows } = await pool.query(
      'SELECT id, dataset, dataset_version FROM jobs WHERE client_krn = $1 ORDER BY id',
      ['krn:f'],
    )
    assert.deepEqual(rows, [
      { id: first, dataset: 'things', dataset_version: 1 },
      { id: second, dataset: 'things', dataset_version: 2 },
      { id: builtIn, dataset: 'customers', dataset_version: 0 },
    ])
  })

  test('F10 one key for two datasets is a mismatch; for one dataset it is one job, also after a change of it', async () => {
    const token = await tokenOf('krn:g')
    const headers = { 'idempotency-key': 'k' }
    await put('krn:g', things())
    const send = (query: string) => upload(server, 'a\n1\n', { query, token, headers, filename: 'a.csv' })
    const first = await send('?dataset=things')
    assert.equal(first.status, 200)
    const other = await send('')
    assert.equal(other.status, 422)
    assert.equal(other.body.code, 'idempotency_mismatch')
    await put('krn:g', things([{ name: 'a', type: 'text', maxLength: 1 }]))
    const again = await send('?dataset=things')
    assert.deepEqual(again.body, first.body)
    assert.equal(again.headers.get('idempotency-replayed'), 'true')
  })

  test('F10 OpenAPI describes what is sent and what is answered', async () => {
    const { body } = await server.call('GET', '/openapi.json', { token: null })
    const { put: declare } = body.paths['/api/datasets']
    const schema = declare.requestBody.content['application/json'].schema
    assert.deepEqual(Object.keys(schema.properties), [
      'name',
      'columns',
      'uniqueKeys',
      'version',
      'isBuiltIn',
      'createdAt',
    ])
    assert.ok(schema.properties.columns.items.properties.pattern.description)
    assert.deepEqual(Object.keys(declare.responses).sort(), ['200', '400', '401', '403', '413', '415', '503'])
    const [query] = body.paths['/api/jobs/upload'].post.parameters.filter(
      ({ name }: { name: string }) => name === 'dataset',
    )
    assert.equal(query.in, 'query')
  })
})
