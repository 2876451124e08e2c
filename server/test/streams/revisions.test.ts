import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { readEvents } from '../helpers/events.ts'
import { suiteScope } from '../helpers/scope.ts'
import { startServer, type TestServer } from '../helpers/server.ts'

const DAY = '2021-01-26'
const RANGE = `from=${DAY}T00:00:00&to=${DAY}T23:59:59`
const at = (time: string) => Date.parse(`${DAY}T${time}Z`) / 1_000

describe('revisions', () => {
  const scope = suiteScope()
  let starting: Promise<TestServer> | undefined
  const server = () => {
    starting ??= startServer(scope, {
      PEBBLES_ROLES: 'api,streams',
      STREAM_IDLE_MS: '300',
      STREAM_GRACE_MS: '1000',
      LATE_POLICY: 'revise',
    })
    return starting
  }

  async function client(name: string) {
    const { call, token, url } = await server()
    const bearer = await token('alice@example.com', name)
    const get = async (path: string) => (await call('GET', path, { token: bearer })).body
    return {
      path: `/clients/${encodeURIComponent(name)}/streams`,
      get,
      put: (path: string, body: unknown) => call('PUT', path, { token: bearer, body }),
      async send(events: readonly unknown[], path = '/api/pageviews/batch') {
        const answer = await call('POST', path, { token: bearer, body: events })
        assert.equal(answer.status, 202, JSON.stringify(answer.body))
      },
      /** Waits until so many events are decided; the books balance at every look. */
      async settled(received: number, stream = 'pageviews') {
        for (let look = 0; ; look++) {
          const body = await get(`/api/streams/${stream}/balance?recount=true`)
          assert.deepEqual(body.differences, [])
          if (body.received === received && body.open === 0 && body.inFlight === 0) return body
          assert.ok(look < 1_200, JSON.stringify(body))
          await sleep(50)
        }
      },
      async pages(first: string) {
        // biome-ignore lint/suspicious/noExplicitAny: whatever a page has
        const items: any[] = []
        for (let path: string | undefined = first; path !== undefined; ) {
          const page: Awaited<ReturnType<typeof call>> = await call('GET', path, { token: bearer })
          items.push(...page.body)
          path = /<(.*)>; rel="next"/.exec(page.headers.get('link') ?? '')?.[1]
        }
        return items
      },
      watch: () => readEvents(scope, `${url}/api/pageviews/stream`, { authorization: `Bearer ${bearer}` }),
    }
  }

  const view = (postcode: string, time: string) => ({
    user_id: 1,
    postcode,
    webpage: 'w',
    timestamp: at(time),
  })

  test('N8 N5 S10 a late event revises its window, in every answer and live; the books tell it apart', async () => {
    const { send, get, settled, watch } = await client('krn:revised')
    const viewer = await watch()
    await viewer.until(({ event }) => event === 'start')
    await send([view('A', '12:00:10'), view('A', '12:00:20'), view('A', '12:10:00')])
    await settled(3)
    await send([view('A', '12:00:30'), view('A', '12:05:00')])
    const { counted, late, revised, balanced } = await settled(5)
    assert.deepEqual(
      { counted, late, revised, balanced },
      { counted: 3, late: 2, revised: 2, balanced: true },
    )
    assert.deepEqual(await get(`/api/pageviews/aggregates?${RANGE}`), [
      { postcode: 'A', window_start: `${DAY}T12:00:00`, pageview_count: 3 },
      { postcode: 'A', window_start: `${DAY}T12:05:00`, pageview_count: 1 },
      { postcode: 'A', window_start: `${DAY}T12:10:00`, pageview_count: 1 },
    ])
    assert.deepEqual(await get(`/api/pageviews/totals?step=3600&${RANGE}`), [
      { window_start: `${DAY}T12:00:00`, pageview_count: 5 },
    ])
    assert.deepEqual(await get(`/api/pageviews/top?${RANGE}`), [{ postcode: 'A', pageview_count: 5 }])
    await viewer.until(({ data }) => data.window_start === `${DAY}T12:05:00`)
    assert.deepEqual(
      viewer.events.flatMap(({ data }) => (data.postcode ? [data] : [])),
      [
        { postcode: 'A', window_start: `${DAY}T12:00:00`, pageview_count: 2 },
        { postcode: 'A', window_start: `${DAY}T12:10:00`, pageview_count: 1 },
        { postcode: 'A', window_start: `${DAY}T12:00:00`, pageview_count: 3, revision: 1, delta: 1 },
        { postcode: 'A', window_start: `${DAY}T12:05:00`, pageview_count: 1, revision: 1, delta: 1 },
      ],
    )
  })

  test('N8 S5 page views that came too late are listed in pages, as they were sent', async () => {
    const { send, settled, get, pages } = await client('krn:listed')
    await send([view('A', '12:10:00')])
    await settled(1)
    const late = ['12:00:30', '12:01:00', '12:01:10', '12:03:00'].map((time) => view('A', time))
    await send([...late.toReversed(), view('B', '12:10:01')])
    await settled(6)
    const found = await pages(`/api/pageviews/late?limit=1&${RANGE}`)
    assert.deepEqual(
      found.map(({ window_start, revised }) => [window_start.slice(11), revised]),
      [
        ['12:00:00', true],
        ['12:01:00', true],
        ['12:01:00', true],
        ['12:03:00', true],
      ],
    )
    assert.deepEqual(
      found.map(({ event }) => event),
      [late[0], late[2], late[1], late[3]],
    )
    assert.deepEqual(await get(`/api/pageviews/late?from=${DAY}T12:03:00&to=${DAY}T12:04:00&limit=7`), [
      found[3],
    ])
    const refused = await get('/api/pageviews/late?after=nonsense')
    assert.deepEqual(
      refused.errors?.map(({ field }: { field: string }) => field),
      ['after'],
    )
  })

  test('S9 N8 distinct: who is in two windows, or comes late, counts once; sum, least and most follow', async () => {
    const { put, send, get, settled, path } = await client('krn:distinct')
    const declaration = {
      key: ['shop'],
      timestamp: { field: 'at', unit: 's' },
      windowSeconds: 60,
      graceSeconds: 0,
      fields: [
        { name: 'shop', type: 'string', minLength: 1, maxLength: 20 },
        { name: 'at', type: 'integer' },
        { name: 'visitor', type: 'string', maxLength: 40 },
        { name: 'amount', type: 'number' },
      ],
      measures: [
        { name: 'visitors', kind: 'distinct', field: 'visitor' },
        { name: 'turnover', kind: 'sum', field: 'amount' },
        { name: 'prices', kind: 'distinct', field: 'amount' },
        { name: 'most', kind: 'max', field: 'amount' },
        { name: 'sales', kind: 'count' },
      ],
    }
    assert.equal((await put(`${path}/sales`, declaration)).status, 200)
    const sale = (time: string, visitor: string, amount: number) => ({
      shop: 'north',
      at: at(time),
      visitor,
      amount,
    })
    // More visitors than are kept as they are.
    const many = Array.from({ length: 1_000 }, (_, n) => sale('10:01:00', `visitor ${n}`, 2))
    await send(
      [sale('10:00:00', 'ann', 1.5), sale('10:00:01', 'bob', 1.5), sale('10:00:02', 'ann', 3), ...many],
      `${path}/sales/events`,
    )
    await settled(1_003, 'sales')
    await send(
      [sale('10:00:03', 'bob', 9), sale('10:00:04', 'eve', 1.5), sale('10:01:00', 'visitor 7', 2)],
      `${path}/sales/events`,
    )
    await settled(1_006, 'sales')
    const [first, second] = await get(`${path}/sales/aggregates?${RANGE}`)
    const shop = 'north'
    assert.deepEqual(first, {
      ...{ shop, window_start: `${DAY}T10:00:00` },
      ...{ visitors: 3, turnover: 16.5, prices: 3, most: 9, sales: 5 },
    })
    const { visitors, ...rest } = second
    assert.ok(Math.abs(visitors - 1_000) < 65, `${visitors}`)
    const minute = {
      shop,
      window_start: `${DAY}T10:01:00`,
      turnover: 2_002,
      prices: 1,
      most: 2,
      sales: 1_001,
    }
    assert.deepEqual(rest, minute)

    const [hour, ...none] = await get(`${path}/sales/aggregates?key=north&step=3600&${RANGE}`)
    assert.deepEqual(none, [])
    assert.ok(hour.visitors > visitors && hour.visitors <= visitors + 5, `${hour.visitors} of ${visitors}`)
    const { visitors: _, ...whole } = hour
    assert.deepEqual(whole, {
      ...{ shop, window_start: `${DAY}T10:00:00` },
      ...{ turnover: 2_018.5, prices: 4, most: 9, sales: 1_006 },
    })
    const pages = await get(`${path}/sales/aggregates?key=north&step=120&limit=1&${RANGE}`)
    assert.equal(pages.length, 1)
    const far = await get(
      `${path}/sales/aggregates?key=north&step=120&from=1970-01-01T00:00:00&to=${DAY}T10:00:00`,
    )
    assert.deepEqual(
      far.errors?.map(({ field }: { field: string }) => field),
      ['from'],
    )
  })
})
