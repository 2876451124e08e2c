import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { suiteScope } from '../../server/test/helpers/scope.ts'
import { startServer, type TestServer } from '../../server/test/helpers/server.ts'
import {
  type PageviewsEvent,
  PebblesApiError,
  PebblesTimeoutError,
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
})
