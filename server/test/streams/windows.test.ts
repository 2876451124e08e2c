import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openDatabase } from '../../src/platform/postgres/database.ts'
import { commitProgress, loadCheckpoint, scopeIdOf } from '../../src/streams/windows/aggregates-postgres.ts'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import { atEnd, suiteScope } from '../helpers/scope.ts'
import { startServer, type TestServer } from '../helpers/server.ts'

const DAY = '2021-01-26'
const at = (time: string) => Date.parse(`${DAY}T${time}Z`) / 1_000
const RANGE = `from=${DAY}T00:00:00&to=${DAY}T23:59:59`
/** A declaration that is accepted. */
const THINGS = {
  key: ['id'],
  timestamp: { field: 'at', unit: 's' },
  windowSeconds: 60,
  graceSeconds: 60,
  fields: [
    { name: 'id', type: 'integer' },
    { name: 'at', type: 'integer' },
    { name: 'text', type: 'string' },
    { name: 'maybe', type: 'integer', required: false },
  ],
  measures: [{ name: 'n', kind: 'count' }],
}

describe('windows', () => {
  const scope = suiteScope()
  let starting: Promise<TestServer> | undefined
  const server = () => {
    starting ??= startServer(scope, {
      PEBBLES_ROLES: 'api,streams',
      STREAM_IDLE_MS: '400',
      STREAM_GRACE_MS: '2000',
    })
    return starting
  }

  /** What a client sees; each test has a client of its own. */
  async function client(name: string) {
    const { call, token } = await server()
    const bearer = await token('alice@example.com', name)
    const path = `/clients/${encodeURIComponent(name)}/streams`
    const get = (url: string) => call('GET', url, { token: bearer })
    return {
      path,
      get,
      put: (url: string, body: unknown) => call('PUT', url, { token: bearer, body }),
      async send(events: readonly unknown[], url = '/api/pageviews/batch') {
        const answer = await call('POST', url, { token: bearer, body: events })
        assert.equal(answer.status, 202, JSON.stringify(answer.body))
      },
      /** Waits until nothing is open or in flight; the books balance at every look. */
      async settled(stream = 'pageviews') {
        for (let look = 0; ; look++) {
          const { body } = await get(`/api/streams/${stream}/balance?recount=true`)
          assert.deepEqual(body.differences, [])
          if (body.received > 0 && body.open === 0 && body.inFlight === 0) return body
          assert.ok(look < 1_200, JSON.stringify(body))
          await sleep(50)
        }
      },
    }
  }

  const view = (postcode: string, time: string) => ({
    user_id: 1,
    postcode,
    webpage: 'w',
    timestamp: at(time),
  })

  test('S4 S6 S10 one page view, and then silence: the clock closes its window, in the shape of the source', async () => {
    const { send, settled, get } = await client('krn:one')
    await send([view('SW19', '14:44:44')], '/api/pageviews/batch')
    await settled()
    const { body } = await get(`/api/pageviews/aggregates?${RANGE}`)
    assert.deepEqual(body, [{ postcode: 'SW19', window_start: '2021-01-26T14:44:00', pageview_count: 1 }])
    assert.equal(
      JSON.stringify(body[0]),
      '{"postcode":"SW19","window_start":"2021-01-26T14:44:00","pageview_count":1}',
    )
  })

  test('S4 S10 windows by postcode and time, steps, pages, the top, and totals over all', async () => {
    const { send, settled, get } = await client('krn:many')
    const events = []
    for (let minute = 0; minute < 30; minute++)
      for (let n = 0; n < 8; n++)
        for (let times = 0; times <= n % 4; times++)
          events.push(view(`P${n}`, `10:${String(minute).padStart(2, '0')}:${times}${n}`))
    await send(events)
    await settled()
    const one = await get(`/api/pageviews/aggregates?postcode=P3&${RANGE}`)
    assert.equal(one.body.length, 30)
    assert.deepEqual(one.body[29], { postcode: 'P3', window_start: `${DAY}T10:29:00`, pageview_count: 4 })
    const from = `from=${DAY}T10:10:00&to=${DAY}T10:20:00Z`
    assert.equal((await get(`/api/pageviews/aggregates?postcode=P3&${from}`)).body.length, 10)
    const seconds = `from=${at('10:10:00')}&to=${at('10:20:00')}`
    assert.equal((await get(`/api/pageviews/aggregates?postcode=P3&${seconds}`)).body.length, 10)
    const steps = await get(`/api/pageviews/aggregates?postcode=P3&step=600&${RANGE}`)
    assert.deepEqual(
      steps.body.map((row: { window_start: string; pageview_count: number }) => [
        row.window_start.slice(11),
        row.pageview_count,
      ]),
      [
        ['10:00:00', 40],
        ['10:10:00', 40],
        ['10:20:00', 40],
      ],
    )
    const pages: unknown[] = []
    let path: string | undefined = `/api/pageviews/aggregates?limit=100&${RANGE}`
    while (path !== undefined) {
      const page: Awaited<ReturnType<typeof get>> = await get(path)
      pages.push(...page.body)
      path = /<(.*)>; rel="next"/.exec(page.headers.get('link') ?? '')?.[1]
    }
    assert.equal(new Set(pages.map((row) => JSON.stringify(row))).size, 240)
    assert.equal(pages.length, 240)
    const top = await get(`/api/pageviews/top?limit=3&${RANGE}`)
    assert.deepEqual(top.body, [
      { postcode: 'P3', pageview_count: 120 },
      { postcode: 'P7', pageview_count: 120 },
      { postcode: 'P2', pageview_count: 90 },
    ])
    const totals = await get(`/api/pageviews/totals?step=900&${RANGE}`)
    assert.deepEqual(totals.body, [
      { window_start: `${DAY}T10:00:00`, pageview_count: 300 },
      { window_start: `${DAY}T10:15:00`, pageview_count: 300 },
    ])
  })

  for (const [query, field] of [
    ['from=yesterday', 'from'],
    [`from=${DAY}T25:00:00`, 'from'],
    ['from=2021-02-30T00:00:00', 'from'],
    ['to=-1', 'to'],
    ['to=9999-12-31T23:00:00-05:00', 'to'],
    [`from=${DAY}T10:00:00&to=${DAY}T10:00:00`, 'from'],
    ['postcode=', 'postcode'],
    ['step=90&postcode=SW19', 'step'],
    ['step=0&postcode=SW19', 'step'],
    ['step=120', 'step'],
    ['limit=0', 'limit'],
    ['limit=10001', 'limit'],
    ['after=nonsense', 'after'],
  ] as const) {
    test(`S10 aggregates with ?${query} are refused by name`, async () => {
      const { get } = await client('krn:bad-queries')
      const { status, body } = await get(`/api/pageviews/aggregates?${query}`)
      assert.equal(status, 400)
      assert.deepEqual(
        body.errors.map((error: { field: string }) => error.field),
        [field],
      )
    })
  }

  test('S5 N5 late events are counted and kept, and change no window', async () => {
    const { send, settled, get } = await client('krn:late')
    await send([view('A', '12:00:10'), view('A', '12:10:00'), view('A', '12:00:20'), view('A', '12:09:59')])
    const { received, counted, late } = await settled()
    assert.deepEqual({ received, counted, late }, { received: 4, counted: 3, late: 1 })
    const { body } = await get(`/api/pageviews/aggregates?${RANGE}`)
    assert.deepEqual(
      body.map((row: { window_start: string; pageview_count: number }) => [
        row.window_start.slice(11),
        row.pageview_count,
      ]),
      [
        ['12:00:00', 1],
        ['12:09:00', 1],
        ['12:10:00', 1],
      ],
    )
    const pool = openTestPool(scope, (await server()).databaseUrl)
    const { rows } = await pool.query(
      `SELECT l.payload, l.window_start FROM late_events l JOIN stream_scopes s ON s.id = l.scope_id
       WHERE s.client_krn = 'krn:late'`,
    )
    assert.deepEqual(rows, [
      { payload: JSON.stringify(view('A', '12:00:20')), window_start: new Date(`${DAY}T12:00:00Z`) },
    ])
  })

  test('S9 a declared stream: key of two fields, sum, min and max', async () => {
    const { put, get, send, settled, path } = await client('krn:declared')
    const declaration = {
      key: ['shop', 'till'],
      timestamp: { field: 'at', unit: 'ms' },
      windowSeconds: 3_600,
      graceSeconds: 0,
      fields: [
        { name: 'shop', type: 'string', minLength: 1, maxLength: 20 },
        { name: 'till', type: 'integer', min: 1 },
        { name: 'at', type: 'integer' },
        { name: 'amount', type: 'number', min: 0 },
        { name: 'note', type: 'string', required: false },
      ],
      measures: [
        { name: 'sales', kind: 'count' },
        { name: 'turnover', kind: 'sum', field: 'amount' },
        { name: 'least', kind: 'min', field: 'amount' },
        { name: 'most', kind: 'max', field: 'amount' },
      ],
    }
    const events = `${path}/sales/events`
    const { call, token } = await server()
    const bearer = await token('a@example.com', 'krn:declared')
    assert.equal((await call('POST', events, { body: [{}], token: bearer })).status, 404)
    const declared = await put(`${path}/sales`, declaration)
    assert.equal(declared.status, 200)
    assert.deepEqual((await get(`${path}/sales`)).body, declared.body)
    const sale = (till: number, time: string, amount: number, more = {}) => ({
      shop: 'north "1"',
      till,
      at: at(time) * 1_000,
      amount,
      ...more,
    })
    await send(
      [
        sale(1, '09:00:00', 1.5),
        sale(1, '09:59:59', 10),
        sale(2, '09:30:00', 3, { note: 'x' }),
        sale(1, '10:00:00', 7),
      ],
      events,
    )
    await settled('sales')
    const before1970 = await call('POST', events, {
      token: bearer,
      body: [sale(1, '09:00:00', 1, { at: -1 })],
    })
    assert.deepEqual([before1970.status, before1970.body.errors[0].field], [400, '[0].at'])
    const { body } = await get(`${path}/sales/aggregates?${RANGE}`)
    const shop = 'north "1"'
    assert.deepEqual(body, [
      { shop, till: 1, window_start: `${DAY}T09:00:00`, sales: 2, turnover: 11.5, least: 1.5, most: 10 },
      { shop, till: 2, window_start: `${DAY}T09:00:00`, sales: 1, turnover: 3, least: 3, most: 3 },
      { shop, till: 1, window_start: `${DAY}T10:00:00`, sales: 1, turnover: 7, least: 7, most: 7 },
    ])
    const key = encodeURIComponent(JSON.stringify([shop, 1]))
    const day = await get(`${path}/sales/aggregates?key=${key}&step=86400&${RANGE}`)
    assert.deepEqual(day.body, [
      { shop, till: 1, window_start: `${DAY}T00:00:00`, sales: 3, turnover: 18.5, least: 1.5, most: 10 },
    ])
    const spaced = encodeURIComponent(JSON.stringify([shop, 1], null, 1))
    assert.equal((await get(`${path}/sales/aggregates?key=${spaced}&${RANGE}`)).body.length, 2)
    for (const noKey of ['north', '["north"]', '["north","1"]', '[1,"north"]', '["north",1,1]', '{']) {
      const { status, body } = await get(`${path}/sales/aggregates?key=${encodeURIComponent(noKey)}&${RANGE}`)
      const errors = [{ field: 'key', message: 'must be a JSON array with shop, till' }]
      assert.deepEqual([status, body.errors], [400, errors], noKey)
    }

    const other = await put(`${path}/sales`, { ...declaration, windowSeconds: 60 })
    assert.equal(other.status, 400)
    const fields = [...declaration.fields, { name: 'currency', type: 'string', required: false }]
    assert.equal((await put(`${path}/sales`, { ...declaration, fields })).status, 200)
    assert.equal((await put(`${path}/pageviews`, declaration)).status, 400)
    const missing = await get(`${path}/nothing`)
    assert.deepEqual(
      [missing.status, missing.body.detail],
      [404, 'This client has declared no stream nothing.'],
    )

    assert.equal((await put(`${path}/another`, declaration)).status, 200)
    const list = (await get(path)).body
    assert.deepEqual(
      list.map(({ name, isBuiltIn }: { name: string; isBuiltIn: boolean }) => [name, isBuiltIn]),
      [
        ['pageviews', true],
        ['another', false],
        ['sales', false],
      ],
    )
    assert.deepEqual(list[2], (await get(`${path}/sales`)).body)

    const late = sale(2, '08:00:00', 4)
    await send([late], events)
    await settled('sales')
    const found = (await get(`${path}/sales/late?${RANGE}`)).body
    assert.deepEqual(
      found.map(({ window_start, event }: Record<string, unknown>) => [window_start, event]),
      [[`${DAY}T08:00:00`, late]],
    )
    assert.equal((await get(`${path}/nothing/late`)).status, 404)
  })

  test('S9 S10 the longest keys are listed page by page and asked for as any others', async () => {
    const { put, get, send, settled, path } = await client('krn:long-keys')
    const field = (name: string) => ({ name, type: 'string', maxLength: 128 })
    const fields = [field('a'), field('b'), field('c'), { name: 'at', type: 'integer' }]
    const declaration = { ...THINGS, key: ['a', 'b', 'c'], fields, graceSeconds: 0 }
    assert.equal((await put(`${path}/things`, declaration)).status, 200)
    const things = ['é', '\u0001', '"', '\\'].map((each) => {
      const text = each.repeat(128)
      return { a: text, b: text, c: text, at: at('12:00:00') }
    })
    await send(things, `${path}/things/events`)
    await settled('things')
    const seen: unknown[] = []
    let next: string | undefined = `${path}/things/aggregates?${RANGE}&limit=1`
    while (next !== undefined) {
      const { status, body, headers } = await get(next)
      assert.equal(status, 200, JSON.stringify(body))
      seen.push(...body)
      next = /<([^>]+)>; rel="next"/.exec(headers.get('link') ?? '')?.[1]
    }
    assert.equal(seen.length, things.length)
    for (const { a, b, c } of things) {
      const key = encodeURIComponent(JSON.stringify([a, b, c]))
      assert.equal((await get(`${path}/things/aggregates?${RANGE}&key=${key}`)).body.length, 1)
    }
  })

  for (const [what, change, field] of [
    ['a key that is no field', { key: ['nothing'] }, 'key[0]'],
    ['a key that may be missing', { key: ['maybe'] }, 'key[0]'],
    ['a key without a bound', { key: ['text'] }, 'key[0]'],
    ['a timestamp that is no whole number', { timestamp: { field: 'text', unit: 's' } }, 'timestamp.field'],
    ['a sum of texts', { measures: [{ name: 'x', kind: 'sum', field: 'text' }] }, 'measures[0].field'],
    ['a sum of nothing', { measures: [{ name: 'x', kind: 'sum' }] }, 'measures[0].field'],
    ['a measure named as a key', { measures: [{ name: 'id', kind: 'count' }] }, 'measures[0].name'],
    [
      'a key named as what Pebbles tells of a revision',
      {
        key: ['delta'],
        fields: [
          { name: 'delta', type: 'integer' },
          { name: 'at', type: 'integer' },
        ],
      },
      'key[0]',
    ],
    [
      'a name of what every object has, in a field that an event may leave out',
      { fields: [...THINGS.fields, { name: 'toString', type: 'string', required: false }] },
      `fields[${THINGS.fields.length}].name`,
    ],
    ['no window', { windowSeconds: 0 }, 'windowSeconds'],
    ['an unknown field', { colour: 'red' }, 'colour'],
  ] as const) {
    test(`S9 ${what} is refused by name`, async () => {
      const { put, path } = await client('krn:bad-declarations')
      const { status, body } = await put(`${path}/things`, { ...THINGS, ...change })
      assert.equal(status, 400)
      assert.deepEqual(
        body.errors.map((error: { field: string }) => error.field),
        [field],
      )
    })
  }

  test('S9 S10 a number is refused by name whose sums could become infinite; the largest ones are summed, also over windows', async () => {
    const { put, path, get, settled } = await client('krn:huge')
    const declaration = {
      ...THINGS,
      fields: [...THINGS.fields.slice(0, 2), { name: 'amount', type: 'number' }],
      measures: [{ name: 'sum', kind: 'sum', field: 'amount' }],
    }
    assert.equal((await put(`${path}/huge`, declaration)).status, 200)
    const { call, token } = await server()
    const body = [1e301, 1e300, 1e300, -1e308].map((amount, n) => ({ id: 1, at: at(`12:0${n}:00`), amount }))
    const bearer = await token('alice@example.com', 'krn:huge')
    const answer = await call('POST', `${path}/huge/events`, { token: bearer, body })
    assert.deepEqual(
      answer.body.refused.map(({ item, errors }: { item: number; errors: { field: string }[] }) => [
        item,
        errors[0]!.field,
      ]),
      [
        [0, 'amount'],
        [3, 'amount'],
      ],
    )
    await settled('huge')
    const { body: sums } = await get(`${path}/huge/aggregates?${RANGE}&key=[1]&step=3600`)
    assert.equal(sums[0].sum, 2e300)
  })

  test('S4 no client sees the windows of another, or makes its events late', async () => {
    const names = ['krn:left', 'krn:right'] as const
    const [left, right] = [await client(names[0]), await client(names[1])]
    await left.send([view('SAME', '20:00:00')])
    await right.send([view('SAME', '08:00:00'), view('SAME', '08:00:01')])
    assert.deepEqual((await left.settled()).counted, 1)
    assert.deepEqual((await right.settled()).counted, 2)
    const counts = async ({ get }: typeof left) =>
      (await get(`/api/pageviews/aggregates?${RANGE}`)).body.map(
        ({ pageview_count }: { pageview_count: number }) => pageview_count,
      )
    assert.deepEqual(await counts(left), [1])
    assert.deepEqual(await counts(right), [2])
    await right.send([view('SAME', '07:00:00')])
    assert.deepEqual((await right.settled()).late, 1)
    const seen = async ({ get }: typeof left) => {
      const paths = [`top?${RANGE}`, `totals?step=86400&${RANGE}`, `late?${RANGE}`]
      const [top, totals, late] = await Promise.all(paths.map((path) => get(`/api/pageviews/${path}`)))
      return [top!.body[0].pageview_count, totals!.body[0].pageview_count, late!.body.length]
    }
    assert.deepEqual(await seen(left), [1, 1, 0])
    assert.deepEqual(await seen(right), [2, 2, 1])
  })

  test('S9 S10 no client gets at the streams of another, by whatever path', async () => {
    const [owner, stranger] = [await client('krn:owner'), await client('krn:stranger')]
    assert.equal((await owner.put(`${owner.path}/secret`, THINGS)).status, 200)
    for (const path of ['secret', 'secret/aggregates', 'secret/balance', 'pageviews/aggregates']) {
      assert.equal((await stranger.get(`${owner.path}/${path}`)).status, 403, path)
    }
    assert.equal((await stranger.put(`${owner.path}/secret`, THINGS)).status, 403)
    const { call, token } = await server()
    const events = {
      body: [{ id: 1, at: at('10:00:00') }],
      token: await token('a@example.com', 'krn:stranger'),
    }
    assert.equal((await call('POST', `${owner.path}/secret/events`, events)).status, 403)
    // Under its own name there is none.
    assert.equal((await call('POST', `${stranger.path}/secret/events`, events)).status, 404)
    assert.equal((await stranger.get('/api/streams/secret/balance')).status, 404)
    assert.equal((await owner.get('/api/streams/secret/balance')).body.received, 0)
  })
})

test('S4 N5 N8 a reader that was overtaken commits nothing, whatever it has found', async (t) => {
  const url = await createTestDatabase(t)
  const database = openDatabase({ url, maxConnections: 1, maxLanes: 1, maxJobConnections: 1, log: () => {} })
  atEnd(t, () => database[Symbol.asyncDispose]())
  const pool = database.streams
  const scopeId = await scopeIdOf(pool, 'krn:zombie', 'pageviews')
  const window = {
    startMs: 60_000,
    events: 1,
    isParked: false,
    keys: new Map([['A', { events: 1, values: [], sketches: undefined }]]),
  }
  const rule = { windowMs: 60_000, graceMs: 0, measures: [] }
  const progress = {
    position: 5,
    resumeOffset: 5,
    scopes: [
      { scopeId, watermarkMs: 1, closedMs: 1, appendedMs: 1, counted: 1, late: 1, revised: 1, open: 0 },
    ],
    closings: [{ scopeId, window, rule }],
    late: [{ scopeId, offset: 3, key: 'A', windowStartMs: 0, payload: '{}', isRevision: true }],
    revisions: [
      {
        scopeId,
        rule,
        key: 'A',
        windowStartMs: 60_000,
        totals: { events: 1, values: [], sketches: undefined },
      },
    ],
    parked: [],
  }
  const both = await Promise.all([loadCheckpoint(pool, 0), loadCheckpoint(pool, 0)])
  assert.deepEqual(
    both.map(({ version }) => version),
    [0, 0],
  )
  // At the same instant: one of them waits for the other, and must then find that it has lost.
  const commits = await Promise.all(both.map(({ version }) => commitProgress(pool, 0, version, progress)))
  assert.deepEqual(commits.toSorted(), [false, true])
  const later = {
    ...progress,
    position: 9,
    resumeOffset: 9,
    closings: [],
    late: [],
    revisions: [],
  }
  assert.equal(await commitProgress(pool, 0, 0, later), false)
  const after = await loadCheckpoint(pool, 0)
  assert.deepEqual([after.version, after.position], [1, 5])
  const { rows } = await pool.query(
    `SELECT (SELECT sum(events)::int FROM aggregates) AS events, (SELECT count(*)::int FROM closings) AS closings,
            (SELECT count(*)::int FROM late_events) AS late, (SELECT counted::int FROM scope_progress) AS counted`,
  )
  assert.deepEqual(rows, [{ events: 2, closings: 2, late: 1, counted: 1 }])
})
