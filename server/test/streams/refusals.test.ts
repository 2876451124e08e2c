import assert from 'node:assert/strict'
import { test } from 'node:test'
import { takeDatabaseAway } from '../helpers/database.ts'
import { startServer, type TestServer } from '../helpers/server.ts'

interface Route {
  method: string
  path: string
}

/** All that there are, by the OpenAPI document. */
async function streamRoutes({ call }: TestServer): Promise<Route[]> {
  const { body } = await call('GET', '/openapi.json')
  const paths = Object.entries<Record<string, { tags?: string[] }>>(body.paths)
  return paths.flatMap(([template, methods]) => {
    const path = template.replace('{clientKrn}', 'krn:refused').replace('{stream}', 'sales')
    return Object.entries(methods).flatMap(([method, { tags }]) =>
      tags?.includes('streams') ? [{ method: method.toUpperCase(), path }] : [],
    )
  })
}

const DECLARATION = {
  key: ['id'],
  timestamp: { field: 'at', unit: 's' },
  windowSeconds: 60,
  graceSeconds: 60,
  fields: [
    { name: 'id', type: 'integer' },
    { name: 'at', type: 'integer' },
  ],
  measures: [{ name: 'n', kind: 'count' }],
}
const bodyOf = ({ method }: Route) => (method === 'PUT' ? DECLARATION : method === 'POST' ? [{}] : undefined)

test('S1 S9 S10 with a real issuer every route of streams wants a token, and a development token is none', async (t) => {
  const server = await startServer(t, { AUTH: 'google', GOOGLE_CLIENT_ID: 'x', PEBBLES_ROLES: 'api' })
  const routes = await streamRoutes(server)
  assert.ok(routes.length >= 12, `only ${routes.length} routes`)
  for (const route of routes) {
    for (const more of [{ token: null }, {}]) {
      const { status, body } = await server.call(route.method, route.path, { body: bodyOf(route), ...more })
      assert.deepEqual([status, body.code], [401, 'unauthorized'], `${route.method} ${route.path}`)
    }
  }
})

test('S1 S9 S10 N5 what is wrong is refused by name, and while the database is away every route is a 503 that says when to come back', async (t) => {
  const server = await startServer(t, { PEBBLES_ROLES: 'api' })
  for (const [path, field] of [
    ['/api/pageviews/top?limit=1001', 'limit'],
    ['/api/pageviews/top?from=2021-01-26T00:00:00&to=2021-01-27T00:00:01', 'from'],
    ['/api/pageviews/totals?step=7', 'step'],
    ['/api/pageviews/totals?from=0&to=4000000', 'from'],
    ['/api/pageviews/late?limit=0', 'limit'],
    ['/api/pageviews/aggregates?postcode=%00', 'postcode'],
    ['/api/streams/pageviews/balance?recount=yes', 'recount'],
    ['/api/streams/Page/balance', 'stream'],
    ['/clients/krn:refused/streams/%00/aggregates', 'stream'],
  ] as const) {
    const { status, body, headers } = await server.call('GET', path)
    assert.match(headers.get('content-type')!, /^application\/problem\+json/, path)
    assert.deepEqual([status, body.errors?.[0]?.field], [400, field], path)
  }
  const routes = await streamRoutes(server)
  const giveBack = await takeDatabaseAway(server.databaseUrl)
  // Page views are tried for ten seconds before that; here they are left out.
  const asked = routes.filter(({ method, path }) => method !== 'POST' || !path.startsWith('/api/'))
  const answers = await Promise.all(
    asked.map(async (route) => {
      const answer = await server.call(route.method, route.path, { body: bodyOf(route) })
      return { route, answer }
    }),
  )
  await giveBack()
  for (const { route, answer } of answers) {
    const { status, body, headers } = answer
    const shown = `${route.method} ${route.path} ${JSON.stringify(body)}`
    assert.deepEqual([status, body.code], [503, 'unavailable'], shown)
    assert.match(headers.get('content-type')!, /^application\/problem\+json/, shown)
    assert.ok(Number(headers.get('retry-after')) > 0, shown)
  }
})
