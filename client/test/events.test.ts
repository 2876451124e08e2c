import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { suiteScope } from '../../server/test/helpers/scope.ts'
import { startServer, type TestServer } from '../../server/test/helpers/server.ts'
import { until } from '../../server/test/helpers/until.ts'
import {
  type PageviewsEvent,
  PebblesApiError,
  PebblesTimeoutError,
  type RangeOptions,
  readAggregates,
  readBalance,
  readPageviews,
  readTopPostcodes,
  readTotals,
  sendEvents,
  sendPageviews,
  watchPageviews,
} from '../src/index.ts'
import { startProxy } from './helpers/proxy.ts'

const view = (more = {}) => ({
  user_id: 1,
  postcode: 'SW19',
  webpage: 'w',
  timestamp: 1_611_662_684,
  ...more,
})

describe('events', () => {
  const scope = suiteScope()
  let server: TestServer
  before(async () => {
    server = await startServer(scope)
  })

  test('S1 more than one request holds, over a bad network: each counts once, refused ones are told by their place', async () => {
    const proxy = await startProxy(scope, server.url)
    const events = Array.from({ length: 10_002 }, (_, n) => view({ postcode: n === 10_001 ? '' : 'EC1' }))
    // Ten minutes later: this one closes the window of the others.
    events.push(view({ postcode: 'EC1', timestamp: view().timestamp + 600 }))
    proxy.decide = (_request, n) => (n === 0 ? 'lose answer' : n === 2 ? { status: 503 } : 'pass')
    const watched: PageviewsEvent[] = []
    const watching = new AbortController()
    const opened = Promise.withResolvers<void>()
    const watch = (async () => {
      const options = { url: server.url, signal: watching.signal, onOpen: opened.resolve }
      for await (const event of watchPageviews(options)) {
        watched.push(event)
        if (event.event === 'aggregate') break
      }
    })()
    await opened.promise
    const { accepted, duplicates, refused } = await sendPageviews(events, { url: proxy.url })
    assert.deepEqual({ accepted, duplicates }, { accepted: 10_002, duplicates: 10_000 })
    assert.deepEqual(
      refused.map(({ item, errors }) => [item, errors[0]?.field]),
      [[10_001, 'postcode']],
    )
    const { seen } = proxy
    assert.equal(seen.length, 4)
    assert.equal(seen[0]!.key, seen[1]!.key)
    assert.equal(seen[2]!.key, seen[3]!.key)
    assert.notEqual(seen[1]!.key, seen[2]!.key)
    await watch
    const aggregate = { postcode: 'EC1', window_start: '2021-01-26T12:04:00', pageview_count: 10_001 }
    assert.deepEqual(watched, [{ event: 'aggregate', data: aggregate }])
  })

  test('S9 events of a declared stream; what is refused, and what is not confirmed in time, is thrown', async () => {
    const connection = { url: server.url, token: await server.token(), clientKrn: 'krn:sdk', stream: 'sales' }
    const declaration = {
      key: ['shop'],
      timestamp: { field: 'at', unit: 'ms' },
      windowSeconds: 60,
      graceSeconds: 0,
      fields: [
        { name: 'shop', type: 'string', maxLength: 40 },
        { name: 'at', type: 'integer' },
      ],
      measures: [{ name: 'sales', kind: 'count' }],
    }
    await server.call('PUT', '/clients/krn:sdk/streams/sales', { body: declaration })
    const event = { shop: 'Leeds', at: 1_611_662_684_000 }
    const key = 'till-1/2021-01-26'
    assert.deepEqual(await sendEvents([event], { ...connection, key }), {
      accepted: 1,
      duplicates: 0,
      refused: [],
    })
    assert.equal((await sendEvents([event], { ...connection, key })).duplicates, 1)
    await assert.rejects(sendEvents([{ shop: 7 }], connection), PebblesApiError)
    const away = { ...connection, url: 'http://127.0.0.1:9', timeoutMs: 50 }
    await assert.rejects(sendEvents([event], away), PebblesTimeoutError)
  })

  test('S10 what was counted is read to its end, over a bad network', async () => {
    const proxy = await startProxy(scope, server.url)
    proxy.decide = (_request, n) => (n === 0 ? { status: 503 } : n === 2 ? 'lose answer' : 'pass')
    const first = Date.UTC(2020, 0, 1)
    const minutes = 1_050
    // One postcode lies in one partition; each minute closes the one before the last.
    const events = Array.from({ length: minutes + 2 }, (_, n) =>
      view({ postcode: 'N1', timestamp: first / 1_000 + n * 60 }),
    )
    const connection = { url: server.url, token: await server.token('sdk@example.com', 'krn:sdk:read') }
    await sendPageviews([...events, view({ postcode: 'N1', timestamp: first / 1_000 })], connection)
    await until('the late one was met', async () => (await readBalance(connection)).late === 1)
    const to = new Date(first + minutes * 60_000)
    const range: RangeOptions = { ...connection, url: proxy.url, from: '2020-01-01T00:00', to }

    const read = await Array.fromAsync(readPageviews({ ...range, postcode: 'N1' }))
    assert.equal(proxy.seen.length, 4)
    assert.deepEqual(
      read.map(({ window_start }) => window_start),
      Array.from({ length: minutes }, (_, n) => new Date(first + n * 60_000).toISOString().slice(0, 19)),
    )
    const [hour] = await Array.fromAsync(readPageviews({ ...range, postcode: 'N1', step: 3_600 }))
    assert.equal(hour?.pageview_count, 60)
    assert.deepEqual(await readTopPostcodes({ ...range, limit: 1 }), [
      { postcode: 'N1', pageview_count: minutes },
    ])
    assert.deepEqual(
      (await readTotals({ ...range, step: 86_400 })).map(({ pageview_count }) => pageview_count),
      [minutes],
    )
    const { balanced, received } = await readBalance({ ...connection, stream: 'pageviews', recount: true })
    assert.deepEqual([balanced, received], [true, minutes + 3])
    await assert.rejects(readTotals({ ...range, to: 'tomorrow' }), PebblesApiError)
    const away = { ...range, url: 'http://127.0.0.1:9', timeoutMs: 50 }
    await assert.rejects(readPageviews(away).next(), PebblesTimeoutError)
  })

  test('S10 aggregates of a declared stream, by a key of several fields', async () => {
    const connection = { url: server.url, token: await server.token(), clientKrn: 'krn:sdk', stream: 'tills' }
    const declaration = {
      key: ['shop', 'till'],
      timestamp: { field: 'at', unit: 's' },
      windowSeconds: 60,
      graceSeconds: 0,
      fields: [
        { name: 'shop', type: 'string', maxLength: 40 },
        { name: 'till', type: 'integer' },
        { name: 'at', type: 'integer' },
      ],
      measures: [{ name: 'sales', kind: 'count' }],
    }
    await server.call('PUT', '/clients/krn:sdk/streams/tills', { body: declaration })
    const at = Date.UTC(2020, 0, 1) / 1_000
    await sendEvents(
      [at, at, at + 60].map((at) => ({ shop: 'Leeds', till: 1, at })),
      connection,
    )
    await until('two are counted', async () => (await readBalance(connection)).counted >= 2)
    const range = { from: new Date(at * 1_000), to: '2020-01-01T00:01:00Z' }
    const read = readAggregates({ ...connection, ...range, key: ['Leeds', 1] })
    assert.deepEqual(await Array.fromAsync(read), [
      { shop: 'Leeds', till: 1, window_start: '2020-01-01T00:00:00', sales: 2 },
    ])
  })
})
