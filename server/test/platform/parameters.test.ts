import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startServer, update } from '../helpers/server.ts'

interface Operation {
  parameters?: { name: string; in: string }[]
}

const VIEW = { user_id: 1, postcode: 'SW19', webpage: '/', timestamp: 1_611_662_684 }
const STREAM = {
  key: ['shop'],
  timestamp: { field: 'at', unit: 's' },
  windowSeconds: 60,
  graceSeconds: 0,
  fields: [
    { name: 'shop', type: 'string', maxLength: 40 },
    { name: 'at', type: 'integer' },
  ],
  measures: [{ name: 'sales', kind: 'count' }],
}
/** A body is looked at before the query. */
const BODIES: Record<string, unknown> = {
  '/clients/{clientKrn}/progress': update('a.csv'),
  '/clients/{clientKrn}/progress/batch': [update('a.csv')],
  '/clients/{clientKrn}/streams/{stream}': STREAM,
  '/clients/{clientKrn}/streams/{stream}/events': [],
  '/api/datasets': { name: 'readings', columns: [{ name: 'meter', type: 'text' }] },
  '/api/pageviews': VIEW,
  '/api/pageviews/batch': [VIEW],
}

test('a parameter that a path does not know is refused wherever it is asked, with those that it knows', async (t) => {
  const server = await startServer(t)
  const { body: document } = await server.call('GET', '/openapi.json')
  let asked = 0
  for (const [path, operations] of Object.entries<Record<string, Operation>>(document.paths)) {
    if (!/^\/(api|clients)\//.test(path)) continue
    for (const [method, { parameters = [] }] of Object.entries(operations)) {
      const known = parameters.filter((parameter) => parameter.in === 'query').map(({ name }) => name)
      const at = path.replace('{id}', '00000000-0000-4000-8000-000000000000').replace(/\{\w+\}/g, 'any')
      const { status, body } = await server.call(method.toUpperCase(), `${at}?mispelt=1`, {
        body: method === 'get' ? undefined : BODIES[path],
      })
      const list = known.length > 0 ? `known: ${known.join(', ')}` : 'there are none here'
      const errors = [{ field: 'mispelt', message: `is not a known parameter; ${list}` }]
      assert.deepEqual([status, body.errors], [400, errors], `${method} ${path}`)
      asked++
    }
  }
  assert.ok(asked > 30, `${asked} requests`)
  assert.deepEqual((await server.call('GET', '/clients/any/progress')).body, [])
})

test('a probe, Prometheus and a browser may ask with any parameter', async (t) => {
  const server = await startServer(t)
  for (const path of ['/', '/health', '/livez', '/readyz', '/actuator/health', '/metrics', '/openapi.json']) {
    assert.equal((await server.call('GET', `${path}?t=1`, { token: null })).status, 200, path)
  }
})
