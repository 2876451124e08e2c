import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import { suiteScope } from '../helpers/scope.ts'
import { type Answer, startServer, type TestServer } from '../helpers/server.ts'

const NDJSON = { 'content-type': 'application/x-ndjson' }

const pageview = (more: Record<string, unknown> = {}) => ({
  user_id: 1234,
  postcode: 'SW19',
  webpage: 'www.website.com/index.html',
  timestamp: 1611662684,
  ...more,
})

const fieldsOf = ({ body }: Answer) => body.errors.map(({ field }: { field: string }) => field).sort()

describe('events in', () => {
  const scope = suiteScope()
  let starting: Promise<TestServer> | undefined
  const server = () => {
    starting ??= startServer(scope, { PEBBLES_ROLES: 'api' })
    return starting
  }
  const post = async (path: string, body: unknown, headers: Record<string, string> = {}) =>
    (await server()).call('POST', path, { body, headers, token: null })

  test('S1 one page view as in the source: 202, and it is in the log', async () => {
    const answer = await post('/api/pageviews', pageview())
    assert.equal(answer.status, 202)
    assert.deepEqual(answer.body, { accepted: 1, duplicates: 0, refused: [] })
    const pool = openTestPool(scope, (await server()).databaseUrl)
    const { rows } = await pool.query('SELECT client_krn, stream, payloads FROM log_runs')
    assert.deepEqual(rows, [
      { client_krn: 'krn:dev', stream: 'pageviews', payloads: JSON.stringify(pageview()) },
    ])
  })

  for (const [what, more, field] of [
    ['user_id as text', { user_id: '7' }, 'user_id'],
    ['user_id with a fraction', { user_id: 1.5 }, 'user_id'],
    ['user_id beyond 2^53', { user_id: 2 ** 53 }, 'user_id'],
    ['an empty postcode', { postcode: '' }, 'postcode'],
    ['a postcode of 17 characters', { postcode: 'x'.repeat(17) }, 'postcode'],
    ['an empty webpage', { webpage: '' }, 'webpage'],
    ['a webpage of 2,049 characters', { webpage: 'x'.repeat(2_049) }, 'webpage'],
    ['a timestamp before 1970', { timestamp: -1 }, 'timestamp'],
    ['a timestamp with a fraction', { timestamp: 1611662684.5 }, 'timestamp'],
    ['a timestamp in milliseconds', { timestamp: 1611662684000 }, 'timestamp'],
    ['a timestamp 24 h and a minute ahead', { timestamp: nowS() + 24 * 3_600 + 60 }, 'timestamp'],
    ['no timestamp', { timestamp: undefined }, 'timestamp'],
    ['an empty event_id', { event_id: '' }, 'event_id'],
    ['an unknown field', { country: 'UK' }, 'country'],
  ] as const) {
    test(`S1 ${what} is refused by name`, async () => {
      const answer = await post('/api/pageviews', pageview(more))
      assert.equal(answer.status, 400)
      assert.deepEqual(fieldsOf(answer), [field])
    })
  }

  test('S1 what is wrong with a time in milliseconds, or with the content type, is told so that it can be mended', async () => {
    const { body } = await post('/api/pageviews', pageview({ timestamp: 1611662684000 }))
    assert.match(body.errors[0].message, /in seconds since 1970$/)
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    const asForm = await post('/api/pageviews', pageview(), form)
    assert.equal(asForm.status, 415)
    assert.match(asForm.body.detail, /application\/json/)
  })

  test('S1 the longest values are fine, and so is a timestamp almost a day ahead', async () => {
    const longest = {
      postcode: 'ü'.repeat(16),
      webpage: 'x'.repeat(2_048),
      timestamp: nowS() + 24 * 3_600 - 60,
    }
    assert.equal((await post('/api/pageviews', pageview(longest))).status, 202)
  })

  test('S1 one bad event of a batch spoils no other, in JSON and in NDJSON', async () => {
    const items = [pageview(), pageview({ postcode: '' }), pageview({ user_id: 'x', extra: 1 }), pageview()]
    const json = await post('/api/pageviews/batch', items)
    const ndjson = await post(
      '/api/pageviews/batch',
      items.map((item) => JSON.stringify(item)).join('\n'),
      NDJSON,
    )
    for (const { status, body } of [json, ndjson]) {
      assert.equal(status, 202)
      assert.equal(body.accepted, 2)
      assert.deepEqual(
        body.refused.map(({ item, errors }: { item: number; errors: { field: string }[] }) => [
          item,
          ...errors.map(({ field }) => field).sort(),
        ]),
        [
          [1, 'postcode'],
          [2, 'extra', 'user_id'],
        ],
      )
    }
  })

  test('S1 an event of a JSON array that holds a name twice, or text that cannot be stored, is refused alone', async () => {
    const good = JSON.stringify(pageview())
    const twice = good.replace('{', '{"user_id":5,')
    const nul = good.replace('SW19', '],[\\u0000')
    const { status, body } = await post('/api/pageviews/batch', `[${good}, ${twice},${nul} ,\n${good}]`)
    assert.equal(status, 202)
    assert.equal(body.accepted, 2)
    assert.deepEqual(
      body.refused.map(({ item, errors }: { item: number; errors: { field: string }[] }) => [
        item,
        errors[0]!.field,
      ]),
      [
        [1, 'body'],
        [2, 'postcode'],
      ],
    )
    assert.equal((await post('/api/pageviews', twice)).status, 400)
  })

  test('S1 a line that is no JSON, or holds a name twice, is refused alone; blank lines and CRLF are fine', async () => {
    const good = JSON.stringify(pageview())
    const twice = good.replace('{', '{"user_id":5,')
    const lines = ['{broken', '', good, twice, '{"user_id":"\\ud800"}']
    for (const type of ['application/x-ndjson', 'application/ndjson', 'application/jsonl']) {
      const headers = { 'content-type': type }
      const { status, body } = await post('/api/pageviews/batch', `${lines.join('\r\n')}\r\n`, headers)
      assert.equal(status, 202)
      assert.equal(body.accepted, 1)
      assert.deepEqual(
        body.refused.map(({ item }: { item: number }) => item),
        [0, 2, 3],
      )
    }
  })

  test('S1 a batch without one valid event is a 400 that names items and fields', async () => {
    const answer = await post('/api/pageviews/batch', [pageview({ postcode: '' }), 7, null])
    assert.equal(answer.status, 400)
    assert.deepEqual(fieldsOf(answer), ['[0].postcode', '[1]', '[2]'])
    for (const body of [[], {}, 7]) assert.equal((await post('/api/pageviews/batch', body)).status, 400)
    assert.equal((await post('/api/pageviews/batch', '\n\n', NDJSON)).status, 400)
    assert.equal((await post('/api/pageviews/batch', '[{', {})).status, 400)
  })

  test('S1 10,000 events are a batch, 10,001 are not; beyond 4 MiB it is 413; XML is 415', async () => {
    const many = Array<object>(10_001).fill(pageview({ webpage: 'w' }))
    assert.equal((await post('/api/pageviews/batch', many)).status, 400)
    const lines = many.map((item) => JSON.stringify(item))
    assert.equal((await post('/api/pageviews/batch', lines.join('\n'), NDJSON)).status, 400)
    const { status, body } = await post('/api/pageviews/batch', many.slice(1))
    assert.deepEqual([status, body.accepted], [202, 10_000])
    const large = Array<object>(3_000).fill(pageview({ webpage: 'w'.repeat(2_000) }))
    assert.equal((await post('/api/pageviews/batch', large)).status, 413)
    const xml = await post('/api/pageviews', '<a/>', { 'content-type': 'application/xml' })
    assert.equal(xml.status, 415)
  })

  test('S1 an event_id counts once within a client, an Idempotency-Key makes a whole request count once', async () => {
    const twice = [pageview({ event_id: 'a' }), pageview({ event_id: 'a' }), pageview({ event_id: 'b' })]
    const first = await post('/api/pageviews/batch', twice)
    assert.deepEqual([first.body.accepted, first.body.duplicates], [3, 1])
    const again = await post('/api/pageviews/batch', twice)
    assert.deepEqual([again.status, again.body.duplicates], [202, 3])
    const other = await (await server()).call('POST', '/api/pageviews', {
      body: pageview({ event_id: 'a' }),
      token: await (await server()).token('bob@example.com', 'krn:other'),
    })
    assert.equal(other.body.duplicates, 0)

    const key = { 'idempotency-key': 'batch-1' }
    const plain = [pageview(), pageview()]
    const keyed = await post('/api/pageviews/batch', plain, key)
    const retried = await post('/api/pageviews/batch', plain, key)
    assert.deepEqual([keyed.body.duplicates, retried.body.duplicates], [0, 2])
    assert.equal((await post('/api/pageviews/batch', [pageview()], key)).status, 422)

    // A key is its caller's, in the ledger as here: another one's request is another request, whatever is in it.
    const token = await (await server()).token('bob@example.com', 'krn:dev')
    const bobs = await (await server()).call('POST', '/api/pageviews/batch', {
      ...{ token, headers: key, body: plain },
    })
    assert.deepEqual([bobs.status, bobs.body.duplicates], [202, 0])

    // A request of which nothing was taken leaves its key free for the corrected one.
    const faulty = { 'idempotency-key': 'faulty' }
    assert.equal((await post('/api/pageviews', pageview({ postcode: '' }), faulty)).status, 400)
    assert.equal((await post('/api/pageviews', pageview(), faulty)).status, 202)
  })

  test('S1 more than may wait is answered 503 with Retry-After, and what was accepted is all there', async (t) => {
    const url = await createTestDatabase(t)
    const small = await startServer(t, { DATABASE_URL: url, PEBBLES_ROLES: 'api', STREAM_MAX_PENDING: '50' })
    const pool = openTestPool(t, url)
    const holder = await pool.connect()
    await holder.query('BEGIN')
    await holder.query('SELECT FROM log_partitions FOR UPDATE')
    const call = () =>
      small.call('POST', '/api/pageviews/batch', { body: Array(20).fill(pageview()), token: null })
    const calls = Array.from({ length: 10 }, call)
    const refused = await Promise.any(
      calls.map(async (each) => {
        const answer = await each
        if (answer.status !== 503) throw new Error('accepted')
        return answer
      }),
    )
    assert.equal(refused.body.code, 'overloaded')
    assert.ok(Number(refused.headers.get('retry-after')) > 0)
    await holder.query('ROLLBACK')
    holder.release()
    const accepted = (await Promise.all(calls)).filter(({ status }) => status === 202)
    assert.ok(accepted.length >= 1)
    const { rows } = await pool.query('SELECT sum(events)::int AS events FROM log_runs')
    assert.equal(rows[0].events, 20 * accepted.length)
  })
})

function nowS(): number {
  return Math.floor(Date.now() / 1_000)
}
