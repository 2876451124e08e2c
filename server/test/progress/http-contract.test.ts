import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { suiteScope } from '../helpers/scope.ts'
import { type Answer, startServer, type TestServer, update } from '../helpers/server.ts'

const PROBLEM = 'application/problem+json; charset=utf-8'

describe('the ledger over HTTP', () => {
  const scope = suiteScope()
  let server: TestServer
  let clients = 0

  before(async () => {
    server = await startServer(scope, { PEBBLES_ROLES: 'api' })
  })

  const newClient = () => `/clients/krn:http:${clients++}/progress`
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    server.call('POST', path, { body, headers })
  const read = async (client: string, filename: string) =>
    (await server.call('GET', `${client}?filename=${filename}`)).body
  function assertProblem({ status, headers, body }: Answer, expected: number, code: string): void {
    assert.deepEqual([status, body.status, body.code], [expected, expected, code])
    assert.equal(headers.get('content-type'), PROBLEM)
  }

  test('P4 any update may set the total or change it, and none has to', async () => {
    const client = newClient()
    const totals = []
    for (const total of [undefined, 100, undefined, 50, 0])
      totals.push((await post(client, update('t.csv', { total }))).body.total)
    assert.deepEqual(totals, [null, 100, 100, 50, 0])
    assert.equal((await read(client, 't.csv')).total, 0)
  })

  test('P5 after the last update every other is refused, and changes nothing', async () => {
    const client = newClient()
    const last = await post(client, update('l.csv', { isLast: true, total: 1 }))
    assert.deepEqual([last.status, last.body.isCompleted], [200, true])
    const before = await read(client, 'l.csv')
    const none = { done: 0, warn: 0, failed: 0 }
    for (const more of [{}, { isLast: true }, { isLast: false }, { total: 2 }, { counts: none }])
      assertProblem(await post(client, update('l.csv', more)), 400, 'file_completed')
    assert.deepEqual(await read(client, 'l.csv'), before)
  })

  test('P6 who created a record owns it: anyone else is refused, and changes nothing, also after the last update', async () => {
    const client = newClient()
    const token = await server.token('bob@example.com')
    await post(client, update('o.csv'))
    const before = await read(client, 'o.csv')
    const asBob = (more = {}) => server.call('POST', client, { token, body: update('o.csv', more) })
    for (const more of [{}, { isLast: true }, { total: 1 }])
      assertProblem(await asBob(more), 403, 'forbidden')
    assert.deepEqual(await read(client, 'o.csv'), before)
    await post(client, update('o.csv', { isLast: true }))
    assertProblem(await asBob(), 403, 'forbidden')
    // E-mails are compared exactly: who differs in one letter's case is somebody else.
    const upper = await server.token('ALICE@example.com')
    assertProblem(
      await server.call('POST', client, { token: upper, body: update('o.csv') }),
      403,
      'forbidden',
    )
  })

  test('P18 each item of a batch has its own outcome, in order; a bad one harms no other', async () => {
    const client = newClient()
    const bob = await server.token('bob@example.com')
    await server.call('POST', client, { token: bob, body: update('bobs.csv') })
    await post(client, update('done.csv', { isLast: true }))
    const issues = [{ line: 1, message: 'm' }]
    const { status, body } = await post(`${client}/batch`, [
      update('a.csv', { errors: issues }),
      update('bobs.csv'),
      update('done.csv'),
      null,
      { filename: 'a.csv', counts: { done: '1', warn: -1 }, extra: 1 },
      update('f'.repeat(1_025)),
      update('a.csv', { counts: { done: Number.MAX_SAFE_INTEGER, warn: 1, failed: 0 } }),
      { id: '', ...update('a.csv') },
      { id: 'i'.repeat(256), ...update('a.csv') },
      { id: 7, ...update('a.csv') },
      [],
      update('a.csv', { total: 9, warnings: issues }),
    ])
    assert.equal(status, 200)
    const brief = body.map(
      (outcome: {
        status: number
        result?: string
        problem?: { code: string; errors?: { field: string }[] }
      }) => [
        outcome.status,
        outcome.result ?? outcome.problem?.code,
        ...(outcome.problem?.errors?.map(({ field }) => field).sort() ?? []),
      ],
    )
    assert.deepEqual(brief, [
      [200, 'created'],
      [403, 'forbidden'],
      [400, 'file_completed'],
      [400, 'invalid_request', 'body'],
      [400, 'invalid_request', 'counts.done', 'counts.failed', 'counts.warn', 'extra'],
      [400, 'invalid_request', 'filename'],
      [400, 'invalid_request', 'counts'],
      [400, 'invalid_request', 'id'],
      [400, 'invalid_request', 'id'],
      [400, 'invalid_request', 'id'],
      [400, 'invalid_request', 'body'],
      [200, 'updated'],
    ])
    assert.deepEqual(body.at(-1), {
      status: 200,
      result: 'updated',
      filename: 'a.csv',
      counts: { done: 2, warn: 0, failed: 0 },
      total: 9,
      isCompleted: false,
      errorsTotal: 1,
      warningsTotal: 1,
    })
    for (const { problem } of body) {
      if (problem)
        assert.deepEqual(Object.keys(problem).slice(0, 5), ['type', 'title', 'status', 'detail', 'code'])
    }
    const record = await read(client, 'a.csv')
    assert.deepEqual([record.counts.done, record.sequence], [2, 2])
  })

  test('P18 a batch may have 1,000 items, of one file or of a thousand', async () => {
    const client = newClient()
    const one = await post(`${client}/batch`, new Array(1_000).fill(update('one.csv')))
    assert.equal(one.body.at(-1).counts.done, 1_000)
    const many = await post(
      `${client}/batch`,
      Array.from({ length: 1_000 }, (_, i) => update(`${i}.csv`)),
    )
    assert.ok(many.body.every(({ result }: { result: string }) => result === 'created'))
  })

  test('P18 items about one file are applied in their order, however large the batch', async () => {
    const client = newClient()
    const errors = Array.from({ length: 90 }, (_, line) => ({ line, message: '' }))
    const items = Array.from({ length: 1_000 }, (_, i) =>
      update('ordered.csv', { errors, isLast: i === 999 }),
    )
    const { body } = await post(`${client}/batch`, items)
    const misplaced = body.findIndex(
      ({ counts }: { counts?: { done: number } }, i: number) => counts?.done !== i + 1,
    )
    assert.equal(misplaced, -1, JSON.stringify(body[misplaced]))
  })

  test('P19 the audit, read by its cursor, is what was sent, in order', async () => {
    const client = newClient()
    const issues = (n: number) => Array.from({ length: n }, (_, line) => ({ line, message: 'm' }))
    const sent = Array.from({ length: 23 }, (_, i) =>
      update('audit.csv', {
        counts: { done: i, warn: i % 3, failed: i % 2 },
        errors: issues(i % 4),
        warnings: issues(i % 5),
        ...(i % 6 === 0 && { total: 100 + i }),
        isLast: i === 22,
      }),
    )
    const startedAt = Date.now()
    for (const [i, body] of sent.entries()) {
      const headers: Record<string, string> = i % 2 === 0 ? { 'idempotency-key': `key-${i}` } : {}
      assert.equal((await post(client, body, headers)).status, 200)
      // Neither a repetition nor a refusal leaves an event.
      if (i % 2 === 0) await post(client, body, headers)
      await post(client, { ...body, counts: { done: -1, warn: 0, failed: 0 } })
    }
    await post(client, update('audit.csv'))
    const { id } = await read(client, 'audit.csv')

    const events = []
    for (let next: string | undefined = `${client}/${id}/events?limit=5`; next !== undefined; ) {
      const answer: Answer = await server.call('GET', next, { token: null })
      assert.ok(answer.body.length <= 5)
      events.push(...answer.body)
      next = /^<(.*)>; rel="next"$/.exec(answer.headers.get('link') ?? '')?.[1]
    }
    const sum = { done: 0, warn: 0, failed: 0 }
    let total: number | null = null
    const expected = sent.map(({ counts, ...body }, i) => {
      const { errors, warnings, isLast, ...rest } = body as unknown as Record<string, unknown> & {
        errors: []
        warnings: []
      }
      for (const name of ['done', 'warn', 'failed'] as const) sum[name] += counts[name]
      total = (rest.total as number | undefined) ?? total
      return {
        sequence: i + 1,
        email: 'alice@example.com',
        channel: 'http',
        updateId: i % 2 === 0 ? `key-${i}` : null,
        counts,
        total,
        isLast,
        errors: errors.length,
        warnings: warnings.length,
        countsAfter: { ...sum },
      }
    })
    assert.deepEqual(
      events.map(({ at: _, ...event }) => event),
      expected,
    )
    const times = events.map(({ at }) => Date.parse(at))
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    )
    assert.ok(startedAt <= times[0]! && times.at(-1)! <= Date.now())
    const afterLast = await server.call('GET', `${client}/${id}/events?after=23`)
    assert.deepEqual([afterLast.body, afterLast.headers.get('link')], [[], null])
  })

  test('every answer of a problem has its media type, also where nothing is', async () => {
    assertProblem(await server.call('GET', '/nowhere'), 404, 'not_found')
    assertProblem(await server.call('PUT', newClient()), 404, 'not_found')
    assertProblem(await post(newClient(), '{'), 400, 'invalid_json')
  })

  test('the API describes itself in OpenAPI 3.1, with its limits and its problems', async () => {
    const { status, headers, body } = await server.call('GET', '/openapi.json', { token: null })
    assert.equal(status, 200)
    assert.match(headers.get('content-type')!, /^application\/json/)
    assert.match(body.openapi, /^3\.1\./)
    assert.ok(body.info.title && body.info.version)
    const paths = Object.keys(body.paths)
    for (const rest of [
      '',
      '/batch',
      '/stream',
      '/{id}',
      '/{id}/events',
      '/{id}/refusals',
      '/{id}/errors',
      '/{id}/warnings.csv',
    ])
      assert.ok(paths.includes(`/clients/{clientKrn}/progress${rest}`), rest)

    const operation = body.paths['/clients/{clientKrn}/progress'].post
    const { properties, additionalProperties } = operation.requestBody.content['application/json'].schema
    assert.equal(additionalProperties, false)
    assert.equal(properties.filename.maxLength, 1_024)
    assert.equal(properties.counts.properties.done.maximum, Number.MAX_SAFE_INTEGER)
    assert.equal(properties.errors.maxItems, 10_000)
    assert.equal(properties.warnings.items.properties.message.maxLength, 4_096)
    const batch =
      body.paths['/clients/{clientKrn}/progress/batch'].post.requestBody.content['application/json'].schema
    assert.deepEqual(
      [batch.type, batch.minItems, batch.maxItems, batch.items.properties.id.maxLength],
      ['array', 1, 1_000, 255],
    )
    const client = operation.parameters.find(({ name }: { name: string }) => name === 'clientKrn')
    assert.deepEqual([client.in, client.required, client.schema.maxLength], ['path', true, 256])
    const list = body.paths['/clients/{clientKrn}/progress'].get
    const limit = list.parameters.find(({ name }: { name: string }) => name === 'limit')
    assert.deepEqual([limit.schema.minimum, limit.schema.maximum, limit.schema.default], [1, 1_000, 100])
    assert.deepEqual([operation.security, list.security], [[{ bearer: [] }], undefined])
    assert.equal(body.components.securitySchemes.bearer.scheme, 'bearer')
    for (const status of [400, 401, 403, 413, 415, 422, 429, 503]) {
      const { properties } = operation.responses[status].content['application/problem+json'].schema
      assert.ok(properties.code && properties.errors, `${status}`)
    }
    for (const [path, operations] of Object.entries<Record<string, { summary: string; responses: object }>>(
      body.paths,
    )) {
      for (const [method, { summary, responses }] of Object.entries(operations))
        assert.ok(summary && Object.keys(responses).length > 0, `${method} ${path}`)
    }
    assert.doesNotMatch(JSON.stringify(body), /"\$ref":"(?!#\/components\/)/)
  })

  test('what a record looks like is what OpenAPI says', async () => {
    const client = newClient()
    await post(client, update('schema.csv'))
    const { body } = await server.call('GET', '/openapi.json')
    const { properties, required } =
      body.paths['/clients/{clientKrn}/progress/{id}'].get.responses[200].content['application/json'].schema
    const record = await read(client, 'schema.csv')
    assert.deepEqual(Object.keys(record).sort(), Object.keys(properties).sort())
    assert.deepEqual([...required].sort(), Object.keys(properties).sort())
  })

  test('/docs is a page for people', async () => {
    const { status, headers, body } = await server.call('GET', '/docs', { token: null })
    assert.equal(status, 200)
    assert.match(headers.get('content-type')!, /^text\/html/)
    assert.match(body, /<html/i)
  })

  test('browsers of other origins are let in only when that is configured', async () => {
    const names = ({ headers }: Answer) =>
      [...headers.keys()].filter((name) => name.startsWith('access-control-'))
    const client = newClient()
    const asked = {
      origin: 'https://app.example',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type,idempotency-key',
    }
    assert.deepEqual(names(await server.call('GET', client, { headers: asked })), [])
    assert.deepEqual(names(await server.call('OPTIONS', client, { headers: asked })), [])

    const withCors = await startServer(scope, { PEBBLES_ROLES: 'api', CORS_ORIGIN: 'https://app.example' })
    const preflight = await withCors.call('OPTIONS', client, { token: null, headers: asked })
    assert.equal(preflight.status, 204)
    assert.equal(preflight.headers.get('access-control-allow-origin'), 'https://app.example')
    const allowed = preflight.headers.get('access-control-allow-methods')!.split(', ')
    const { paths } = (await withCors.call('GET', '/openapi.json')).body
    const methods = new Set(Object.values(paths).flatMap((path) => Object.keys(path as object)))
    for (const method of methods) assert.ok(allowed.includes(method.toUpperCase()), method)
    assert.equal(
      preflight.headers.get('access-control-allow-headers'),
      asked['access-control-request-headers'],
    )
    assert.equal(preflight.headers.get('access-control-allow-credentials'), null)
    for (const path of [client, `${client}?limit=0`, '/nowhere']) {
      const { headers } = await withCors.call('GET', path, { headers: { origin: 'https://evil.example' } })
      assert.equal(headers.get('access-control-allow-origin'), 'https://app.example')
      for (const name of ['etag', 'link', 'retry-after', 'ratelimit-remaining', 'idempotency-replayed'])
        assert.ok(headers.get('access-control-expose-headers')!.includes(name), name)
    }
  })
})

describe('P20 rate limits', () => {
  const scope = suiteScope()
  let server: TestServer

  before(async () => {
    server = await startServer(scope, { PEBBLES_ROLES: 'api', RATE_LIMIT: '5' })
  })

  test('a client that asks too often is told when to come back, and nothing more of it is counted', async () => {
    const client = '/clients/krn:busy/progress'
    const answers = []
    for (let i = 0; i < 8; i++) answers.push(await server.call('POST', client, { body: update('busy.csv') }))
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 200, 200, 200, 429, 429, 429],
    )
    for (const [i, { headers }] of answers.entries()) {
      assert.equal(headers.get('ratelimit-limit'), '5')
      assert.equal(headers.get('ratelimit-remaining'), String(Math.max(0, 4 - i)))
      const reset = Number(headers.get('ratelimit-reset'))
      assert.ok(reset >= 1 && reset <= 60)
    }
    const { headers, body } = answers.at(-1)!
    assert.deepEqual([body.status, body.code, headers.get('content-type')], [429, 'rate_limited', PROBLEM])
    const retryAfter = headers.get('retry-after')!
    assert.match(retryAfter, /^\d+$/)
    assert.ok(Number(retryAfter) >= 1 && Number(retryAfter) <= 60)
    assert.equal((await server.call('POST', `${client}/batch`, { body: [update('busy.csv')] })).status, 429)
    assert.equal((await server.call('GET', `${client}?filename=busy.csv`)).body.counts.done, 5)
  })

  test('one client uses up neither the share of another nor that of the readers of its own', async () => {
    const client = '/clients/krn:apart/progress'
    for (let i = 0; i < 6; i++) await server.call('POST', client, { body: update('a.csv') })
    assert.equal(
      (await server.call('POST', '/clients/krn:calm/progress', { body: update('a.csv') })).status,
      200,
    )
    const reads = []
    for (let i = 0; i < 6; i++) reads.push((await server.call('GET', client)).status)
    assert.deepEqual(reads, [200, 200, 200, 200, 200, 429])
    for (let i = 0; i < 10; i++) assert.equal((await server.call('GET', '/health')).status, 200)
  })

  test('who may not write for a client does not use up its share', async () => {
    const client = '/clients/krn:guarded/progress'
    const stranger = await server.token('eve@example.com', 'krn:eve')
    for (let i = 0; i < 6; i++) {
      assert.equal(
        (await server.call('POST', client, { body: update('a.csv'), token: 'nonsense' })).status,
        401,
      )
      assert.equal(
        (await server.call('POST', client, { body: update('a.csv'), token: stranger })).status,
        403,
      )
    }
    assert.equal((await server.call('POST', client, { body: update('a.csv') })).status, 200)
  })
})
