import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { openTestPool } from '../helpers/database.ts'
import { suiteScope } from '../helpers/scope.ts'
import { startServer, type TestServer, update } from '../helpers/server.ts'

const OWN = '/clients/krn:own/progress'
const OTHER = '/clients/krn:other/progress'
const READS = [
  '',
  '?filename=a.csv',
  '/ID',
  '/ID/events',
  '/ID/refusals',
  '/ID/errors',
  '/ID/errors.csv',
  '/ID/warnings',
  '/ID/warnings.csv',
  '/stream',
]

/** A token may name a client; it then speaks for that one only. */
describe('tenants', () => {
  const scope = suiteScope()
  let open: TestServer
  let closed: TestServer
  let ownToken: string
  let otherToken: string
  let anyToken: string
  let otherId: string

  before(async () => {
    open = await startServer(scope, { PEBBLES_ROLES: 'api' })
    const { databaseUrl: DATABASE_URL, dataDir: PEBBLES_DATA } = open
    closed = await startServer(scope, {
      PEBBLES_ROLES: 'api',
      PUBLIC_READ: 'false',
      DATABASE_URL,
      PEBBLES_DATA,
    })
    ownToken = await open.token('alice@example.com', 'krn:own')
    otherToken = await open.token('bob@example.com', 'krn:other')
    anyToken = await open.token('carol@example.com')
    const body = update('a.csv', { errors: [{ line: 1, message: 'theirs' }] })
    assert.equal((await open.call('POST', OTHER, { token: otherToken, body })).status, 200)
    otherId = (await open.call('GET', `${OTHER}?filename=a.csv`)).body.id
  })

  test('a token for one client writes to no other, singly or in batches', async () => {
    for (const [path, body] of [
      [OTHER, update('b.csv')],
      [`${OTHER}/batch`, [update('b.csv')]],
      [OTHER, { no: 'update' }],
    ] as const) {
      const answer = await open.call('POST', path, { token: ownToken, body })
      assert.deepEqual([answer.status, answer.body.code], [403, 'forbidden'])
      assert.equal(answer.headers.get('content-type'), 'application/problem+json; charset=utf-8')
    }
    const { rows } = await openTestPool(scope, open.databaseUrl).query(
      "SELECT filename FROM records WHERE client_krn = 'krn:other'",
    )
    assert.deepEqual(rows, [{ filename: 'a.csv' }])
  })

  test('names of clients are compared exactly', async () => {
    for (const client of ['krn:OWN', 'krn:own ', 'krn:own/', 'krn:own%', 'own', 'krn:ow\u006e\u0301']) {
      const path = `/clients/${encodeURIComponent(client)}/progress`
      const answer = await open.call('POST', path, { token: ownToken, body: update('b.csv') })
      assert.equal(answer.status, 403, client)
    }
  })

  test('the same filename of two clients is two records', async () => {
    const answer = await open.call('POST', OWN, { token: ownToken, body: update('a.csv') })
    assert.deepEqual([answer.status, answer.body.result], [200, 'created'])
    assert.equal((await open.call('GET', `${OTHER}?filename=a.csv`)).body.email, 'bob@example.com')
  })

  for (const path of READS) {
    test(`with PUBLIC_READ=false GET ${path || 'of the list'} needs a token of the same client`, async () => {
      const get = async (token: string | null) => {
        const response = await fetch(`${closed.url}${OTHER}${path.replace('ID', otherId)}`, {
          headers: token === null ? {} : { authorization: `Bearer ${token}` },
        })
        const { status } = response
        if (status === 200) await response.body!.cancel()
        else assert.equal((await response.text()).includes('theirs'), false)
        return status
      }
      assert.equal(await get(null), 401)
      assert.equal(await get('nonsense'), 401)
      assert.equal(await get(ownToken), 403)
      assert.equal(await get(otherToken), 200)
      assert.equal(await get(anyToken), 200)
    })
  }

  test("another client's record is not found by its id, open or closed", async () => {
    for (const [server, token] of [
      [open, null],
      [open, otherToken],
      [closed, ownToken],
    ] as const) {
      for (const path of READS.filter((path) => path.startsWith('/ID'))) {
        const answer = await server.call('GET', `${OWN}${path.replace('ID', otherId)}`, { token })
        assert.deepEqual([answer.status, answer.body.code], [404, 'not_found'])
      }
    }
  })

  test('health, documentation and metrics of the process need no token', async () => {
    for (const path of ['/health', '/livez', '/readyz', '/actuator/health', '/metrics', '/openapi.json'])
      assert.equal((await closed.call('GET', path, { token: null })).status, 200)
  })

  test('an Idempotency-Key belongs to its client and its caller: nobody replays, spoils or guesses another', async () => {
    const headers = { 'idempotency-key': 'the-same' }
    const post = (path: string, token: string, filename: string) =>
      open.call('POST', path, { token, headers, body: update(filename) })
    const answers = [
      await post(OWN, ownToken, 'k.csv'),
      await post(OTHER, otherToken, 'k.csv'),
      await post(OWN, anyToken, 'k2.csv'),
      await post(OTHER, anyToken, 'k2.csv'),
    ]
    for (const { status, body, headers } of answers) {
      assert.deepEqual([status, body.result, headers.get('idempotency-replayed')], [200, 'created', null])
    }
    assert.equal((await post(OWN, anyToken, 'k.csv')).status, 422)
  })
})
