import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { FastifyBaseLogger } from 'fastify'
import { Registry } from 'prom-client'
import { createApp } from '../../src/platform/http/app.ts'
import { registerPage } from '../../src/platform/http/page.ts'
import { createLog } from '../../src/platform/log.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { createTestDir, startServer } from '../helpers/server.ts'

const DIST = fileURLToPath(new URL('../../../web/dist', import.meta.url))
const HTML = { accept: 'text/html,application/xhtml+xml' }

async function appWith(scope: Scope, dir: string) {
  const app = await createApp({
    log: createLog('silent') as FastifyBaseLogger,
    registry: new Registry(),
  })
  atEnd(scope, () => app.close())
  registerPage(app, dir)
  return app
}

describe('the page over HTTP', () => {
  test('W7 the page is asked for anew each time, what it names is kept for a year', async (t) => {
    const { url } = await startServer(t)
    const page = await fetch(url, { headers: HTML })
    const html = await page.text()
    assert.equal(page.status, 200)
    assert.match(page.headers.get('content-type')!, /^text\/html/)
    assert.equal(page.headers.get('cache-control'), 'no-cache')
    const named = [...html.matchAll(/(?:src|href)="\.\/(assets\/[^"]+)"/g)].map(([, path]) => path!)
    assert.ok(named.some((path) => path.endsWith('.js')))
    for (const path of named) {
      const asset = await fetch(`${url}/${path}`)
      await asset.bytes()
      assert.equal(asset.status, 200, path)
      assert.equal(asset.headers.get('cache-control'), 'public, max-age=31536000, immutable')
      assert.equal(asset.headers.get('x-content-type-options'), 'nosniff')
    }
    // Not fetch, which asks for no cached answer when it is given the tag by hand.
    const app = await appWith(t, DIST)
    const etag = (await app.inject({ url: '/', headers: HTML })).headers.etag!
    const again = await app.inject({ url: '/', headers: { ...HTML, 'if-none-match': etag } })
    assert.equal(again.statusCode, 304)
  })

  test('W7 the page may run and load what lies beside it, and nothing else', async (t) => {
    const { url } = await startServer(t)
    const { headers } = await fetch(url, { headers: HTML })
    const policy = new Map(
      headers
        .get('content-security-policy')!
        .split('; ')
        .map((rule) => {
          const [name = '', ...values] = rule.split(' ')
          return [name, values.join(' ')]
        }),
    )
    assert.equal(policy.get('default-src'), "'none'")
    assert.equal(policy.get('script-src'), "'self'")
    assert.equal(policy.get('connect-src'), "'self'")
    assert.equal(policy.get('frame-ancestors'), "'none'")
    assert.doesNotMatch([...policy.values()].join(' '), /unsafe|https?:|\*/)
    assert.equal(headers.get('referrer-policy'), 'no-referrer')
    assert.equal(headers.get('x-content-type-options'), 'nosniff')
  })

  test('W7 scripts travel compressed to those who take that', async (t) => {
    const { url } = await startServer(t)
    const [path] = /assets\/[^"]+\.js/.exec(await (await fetch(url, { headers: HTML })).text())!
    const plain = await (
      await fetch(`${url}/${path}`, { headers: { 'accept-encoding': 'identity' } })
    ).bytes()
    const sizes: Record<string, number> = {}
    for (const encoding of ['br', 'gzip']) {
      const answer = await fetch(`${url}/${path}`, { headers: { 'accept-encoding': encoding } })
      assert.equal(answer.headers.get('content-encoding'), encoding)
      assert.match(answer.headers.get('vary') ?? '', /accept-encoding/i)
      sizes[encoding] = Number(answer.headers.get('content-length'))
      assert.deepEqual(await answer.bytes(), plain)
    }
    assert.ok(sizes.br! < sizes.gzip! && sizes.gzip! <= 300_000, JSON.stringify(sizes))
  })

  test('unknown paths are problems, also below the page and for browsers', async (t) => {
    const { url } = await startServer(t)
    for (const path of [
      '/nothing',
      '/assets/nothing.js',
      '/assets/../../package.json',
      '/assets/%2e%2e/index.html',
      '/index.html',
    ])
      for (const headers of [{ accept: 'application/json' }, HTML]) {
        const answer = await fetch(`${url}${path}`, { headers })
        const body = (await answer.json()) as { code: string }
        assert.equal(answer.status, 404, path)
        assert.match(answer.headers.get('content-type')!, /^application\/problem\+json/)
        assert.equal(body.code, 'not_found')
      }
  })

  test('without a built page the server runs, and says to people and to programs what is missing', async (t) => {
    const dir = await createTestDir(t)
    const app = await appWith(t, join(dir, 'not-there'))
    const people = await app.inject({ url: '/', headers: HTML })
    assert.equal(people.statusCode, 404)
    assert.match(people.body, /Pebbles is running[\s\S]*npm run build -w web/)
    const programs = await app.inject({ url: '/', headers: { accept: '*/*' } })
    assert.equal(programs.statusCode, 404)
    assert.equal(programs.json().detail, 'The page has not been built.')
  })

  test('a page that is built while the server runs is served from then on', async (t) => {
    const dir = await createTestDir(t)
    const app = await appWith(t, dir)
    assert.equal((await app.inject({ url: '/', headers: HTML })).statusCode, 404)
    await writeFile(join(dir, 'index.html'), 'there')
    assert.equal((await app.inject({ url: '/', headers: HTML })).body, 'there')
  })
})
