import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { openDatabase } from '../../src/platform/postgres/database.ts'
import { createPostgresStore } from '../../src/progress/postgres/store-postgres.ts'
import { atEnd, suiteScope } from '../helpers/scope.ts'
import { type Answer, startServer, type TestServer, update } from '../helpers/server.ts'
import { makeMessageId, makeUpdate } from './store-contract.ts'

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

interface Listed {
  id: string
  filename: string
  updatedAt: string
}

const nextOf = ({ headers }: Answer) => /^<(\/[^>]*)>; rel="next"$/.exec(headers.get('link') ?? '')?.[1]

describe('reading progress', () => {
  const scope = suiteScope()
  let server: TestServer
  let clients = 0

  before(async () => {
    server = await startServer(scope, { PEBBLES_ROLES: 'api' })
  })

  const newClient = () => `/clients/krn:read:${clients++}/progress`
  const get = (path: string, headers: Record<string, string> = {}) =>
    server.call('GET', path, { token: null, headers })
  async function report(path: string, body: object, email?: string) {
    const token = email === undefined ? undefined : await server.token(email)
    const answer = await server.call('POST', path, { body, ...(token && { token }) })
    assert.equal(answer.status, 200)
    return answer
  }

  /** Follows `Link` to the end; `meanwhile` runs between the pages. */
  async function readAll(
    path: string,
    meanwhile: (page: Listed[], pages: number) => Promise<unknown> = async () => {},
  ) {
    const all: Listed[] = []
    let pages = 0
    for (let next: string | undefined = path; next !== undefined; pages++) {
      assert.ok(pages < 100, 'the links lead nowhere')
      const answer: Answer = await get(next)
      assert.equal(answer.status, 200)
      all.push(...answer.body)
      await meanwhile(answer.body, pages)
      next = nextOf(answer)
    }
    return { all, pages }
  }

  test('P11 a record has the fields of the source, what Pebbles adds, and the times of the server', async () => {
    const client = newClient()
    const before = Date.now()
    const issue = (message: string) => [{ line: 1, message }]
    await report(client, update('fields.csv', { errors: issue('e'), warnings: issue('w'), total: 2 }))
    await new Promise((resolve) => setTimeout(resolve, 5))
    await report(client, update('fields.csv', { isLast: true }))
    const { body } = await get(`${client}?filename=fields.csv`)
    const { id, createdAt, updatedAt, ...rest } = body
    assert.deepEqual(rest, {
      clientKrn: decodeURIComponent(client.split('/')[2]!),
      filename: 'fields.csv',
      email: 'alice@example.com',
      counts: { done: 2, warn: 0, failed: 0 },
      total: 2,
      isCompleted: true,
      errorsTotal: 1,
      warningsTotal: 1,
      errors: issue('e'),
      warnings: issue('w'),
      sequence: 2,
    })
    assert.match(id, UUID)
    for (const time of [createdAt, updatedAt]) assert.match(time, ISO)
    assert.ok(before <= Date.parse(createdAt) && createdAt < updatedAt && Date.parse(updatedAt) <= Date.now())
    assert.deepEqual((await get(`${client}/${id}`)).body, body)
    assert.deepEqual((await get(client)).body, [body])
  })

  test('P9 a client without records has an empty list, without a token and without a link', async () => {
    const answer = await get(newClient())
    assert.deepEqual([answer.status, answer.body, answer.headers.get('link')], [200, [], null])
  })

  test('P9 the newest update comes first', async () => {
    const client = newClient()
    for (const filename of ['a', 'b', 'c', 'a']) {
      await report(client, update(filename))
      await new Promise((resolve) => setTimeout(resolve, 3))
    }
    const { body } = await get(client)
    assert.deepEqual(
      body.map(({ filename }: Listed) => filename),
      ['a', 'c', 'b'],
    )
  })

  test('P9 pages lead to the very end, each record once, though records of one instant share a time', async () => {
    const client = newClient()
    const items = Array.from({ length: 57 }, (_, i) => update(`${i}`))
    await server.call('POST', `${client}/batch`, { body: items })
    for (const limit of [1, 7, 56, 57, 58, 1_000]) {
      const { all, pages } = await readAll(`${client}?limit=${limit}`)
      assert.equal(new Set(all.map(({ id }) => id)).size, 57)
      assert.equal(all.length, 57)
      assert.equal(pages, Math.ceil(57 / limit))
      assert.deepEqual(
        all,
        all.toSorted((a, b) =>
          a.updatedAt === b.updatedAt ? (a.id > b.id ? -1 : 1) : a.updatedAt > b.updatedAt ? -1 : 1,
        ),
      )
    }
  })

  test('P9 while records are updated between pages, no record comes twice and none that rests is missed', async () => {
    const client = newClient()
    const names = Array.from({ length: 40 }, (_, i) => `${i}`)
    for (let i = 0; i < 40; i += 8)
      await server.call('POST', `${client}/batch`, {
        body: names.slice(i, i + 8).map((name) => update(name)),
      })
    const touched = new Set<string>()
    const { all } = await readAll(`${client}?limit=6`, async (page, pages) => {
      // One that was seen moves to the front, and so does one that was not.
      for (const name of [page[0]?.filename, `${pages}`]) {
        if (name === undefined) continue
        touched.add(name)
        await report(client, update(name))
      }
    })
    const seen = all.map(({ filename }) => filename)
    assert.equal(new Set(seen).size, seen.length)
    for (const name of names) assert.ok(touched.has(name) || seen.includes(name), `${name} was missed`)
    // What moved to the front is there for who looks again.
    const again = await readAll(client)
    assert.equal(again.all.length, 40)
    assert.ok(again.all.slice(0, touched.size).every(({ filename }) => touched.has(filename)))
  })

  test('P9 a page is cut where its errors and warnings would make it too large, and the next one goes on', async () => {
    const client = newClient()
    const errors = Array.from({ length: 1_200 }, (_, line) => ({ line, message: 'm' }))
    for (let i = 0; i < 7; i++) await report(client, update(`${i}`, { errors }))
    const first = await get(client)
    assert.equal(first.body.length, 5)
    assert.ok(
      first.body.every(
        (record: { errors: unknown[]; errorsTotal: number }) =>
          record.errors.length === 1_000 && record.errorsTotal === 1_200,
      ),
    )
    assert.equal((await readAll(client)).all.length, 7)
  })

  test('P10 filename finds one record, email those of one user, and both the one that has both', async () => {
    const client = newClient()
    await report(client, update('a.csv'))
    await report(client, update('b.csv'), 'bob@example.com')
    await report(client, update('c.csv'), 'bob@example.com')
    const one = await get(`${client}?filename=b.csv`)
    assert.deepEqual([one.status, one.body.filename, one.body.email], [200, 'b.csv', 'bob@example.com'])
    const bobs = await readAll(`${client}?email=bob@example.com&limit=1`)
    assert.deepEqual(
      bobs.all.map(({ filename }) => filename),
      ['c.csv', 'b.csv'],
    )
    assert.deepEqual((await get(`${client}?email=nobody@example.com`)).body, [])
    assert.equal((await get(`${client}?filename=b.csv&email=bob@example.com`)).body.id, one.body.id)
    for (const query of ['filename=b.csv&email=alice@example.com', 'filename=B.csv', 'filename=d.csv']) {
      const none = await get(`${client}?${query}`)
      assert.deepEqual([none.status, none.body.code], [404, 'not_found'])
    }
  })

  test('P10 links keep the filter', async () => {
    const client = newClient()
    for (const name of ['1', '2', '3']) await report(client, update(name), 'b+ö@example.com')
    await report(client, update('4'))
    const { all, pages } = await readAll(`${client}?limit=1&email=${encodeURIComponent('b+ö@example.com')}`)
    assert.deepEqual([all.map(({ filename }) => filename), pages], [['3', '2', '1'], 3])
  })

  test('N4 the ETag is the sequence: 304 while nothing changed, and never afterwards', async () => {
    const client = newClient()
    const posted = await report(client, update('tag.csv'))
    const { body, headers } = await get(`${client}?filename=tag.csv`)
    assert.deepEqual([headers.get('etag'), posted.headers.get('etag')], ['"1"', '"1"'])
    for (const path of [`${client}?filename=tag.csv`, `${client}/${body.id}`]) {
      for (const tag of ['"1"', 'W/"1"', '"0", "1"', '*']) {
        const answer = await get(path, { 'if-none-match': tag })
        assert.deepEqual([answer.status, answer.body, answer.headers.get('etag')], [304, '', '"1"'], tag)
      }
      for (const tag of ['"0"', '1', '"11"', '', '"1'])
        assert.equal((await get(path, { 'if-none-match': tag })).status, 200, tag)
    }
    await report(client, update('tag.csv'))
    const changed = await get(`${client}?filename=tag.csv`, { 'if-none-match': '"1"' })
    assert.deepEqual([changed.status, changed.headers.get('etag'), changed.body.sequence], [200, '"2"', 2])
  })

  test('a record that was created is found at its Location', async () => {
    const client = newClient()
    const created = await report(client, update('located.csv'))
    assert.equal((await get(created.headers.get('location')!)).body.filename, 'located.csv')
    assert.equal((await report(client, update('located.csv'))).headers.get('location'), null)
  })

  test('P14 P15 what queues sent and was refused is listed page by page; what HTTP refused is not', async () => {
    const path = newClient()
    const clientKrn = path.split('/')[2]!
    await report(path, update('refusing.csv', { isLast: true }))
    assert.equal((await server.call('POST', path, { body: update('refusing.csv') })).status, 400)
    const { id } = (await get(`${path}?filename=refusing.csv`)).body
    assert.deepEqual((await get(`${path}/${id}/refusals`)).body, [])
    const database = openDatabase({
      url: server.databaseUrl,
      maxConnections: 1,
      maxLanes: 1,
      maxJobConnections: 1,
      log: () => {},
    })
    atEnd(scope, () => database[Symbol.asyncDispose]())
    await createPostgresStore(database).apply(
      Array.from({ length: 5 }, (_, n) =>
        makeUpdate('refusing.csv', { clientKrn, channel: 'sqs', id: makeMessageId(`${clientKrn} ${n}`) }),
      ),
    )
    for (const limit of [1, 2, 4, 5, 100]) {
      const { all, pages } = await readAll(`${path}/${id}/refusals?limit=${limit}`)
      assert.equal(pages, Math.ceil(5 / limit))
      assert.deepEqual(
        (all as unknown as { updateId: string }[]).map(({ updateId }) => updateId),
        [0, 1, 2, 3, 4].map((n) => `${clientKrn} ${n}`),
      )
    }
    const [first] = (await get(`${path}/${id}/refusals?limit=1`)).body
    const { ordinal, at, ...rest } = first
    assert.match(at, ISO)
    assert.ok(Number.isInteger(ordinal))
    assert.deepEqual(rest, {
      email: 'alice@example.com',
      channel: 'sqs',
      updateId: `${clientKrn} 0`,
      result: 'completed',
      counts: { done: 1, warn: 0, failed: 0 },
    })
    assert.equal((await get(`${newClient()}/${id}/refusals`)).status, 404)
  })

  test('P12 /health answers OK, and the process says whether it can work', async () => {
    const health = await get('/health')
    assert.deepEqual([health.status, health.body], [200, 'OK'])
    assert.match(health.headers.get('content-type')!, /^text\/plain/)
    assert.equal((await get('/livez')).body, 'OK')
    const ready = await get('/readyz')
    assert.deepEqual([ready.status, ready.body.status, ready.body.database], [200, 'ready', true])
  })

  test('HEAD tells what GET would, without a body', async () => {
    const client = newClient()
    await report(client, update('head.csv'))
    for (const path of [client, `${client}?filename=head.csv`, '/health']) {
      const head = await server.call('HEAD', path, { token: null })
      assert.deepEqual([head.status, head.body], [200, ''])
    }
  })
})
