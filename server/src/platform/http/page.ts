import { existsSync } from 'node:fs'
import { join } from 'node:path'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { PebblesError } from '../errors.ts'
import type { App } from './app.ts'

/** SHA-256 of nothing: a style element may exist, but only empty. What is in it comes from scripts (CSSOM). */
const EMPTY_STYLE = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"

/**
 * Only what lies beside the page runs in it, and it speaks to its own server alone. Styles that are made at run time are
 * inserted as rules into an empty element, so neither `unsafe-inline` nor a nonce is needed, and the page stays a file.
 */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  `style-src 'self' ${EMPTY_STYLE}`,
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

const HEADERS = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'cross-origin-opener-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

/** Serves the built page: `index.html` at `/`, asked for anew each time, and the files it names, which never change. */
export function registerPage(app: App, dir: string): void {
  void app.register(async (untyped) => {
    const scope = untyped as unknown as FastifyInstance
    await scope.register(fastifyStatic, { root: dir, serve: false, preCompressed: true })
    scope.addHook('onSend', async (_request, reply) => void reply.headers(HEADERS))
    scope.get('/', { schema: { hide: true } }, (request, reply) => {
      if (existsSync(join(dir, 'index.html')))
        return reply.sendFile('index.html', { cacheControl: false }).header('cache-control', 'no-cache')
      return tellNotBuilt(reply, request.headers.accept ?? '')
    })
    scope.get<{ Params: { '*': string } }>('/assets/*', { schema: { hide: true } }, (request, reply) =>
      reply.sendFile(`assets/${request.params['*']}`, { maxAge: '365d', immutable: true }),
    )
  })
}

function tellNotBuilt(reply: FastifyReply, accept: string): FastifyReply {
  if (!accept.includes('text/html')) throw new PebblesError('not_found', 'The page has not been built.')
  return reply.code(404).type('text/html; charset=utf-8').header('cache-control', 'no-store').send(NOT_BUILT)
}

const NOT_BUILT = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="color-scheme" content="light dark">
<title>Pebbles</title>
<h1>Pebbles is running</h1>
<p>Its page has not been built yet. <code>npm start</code> builds it; by hand it is <code>npm run build -w web</code>.</p>
<p>The API is there: <a href="docs">read about it</a>.</p>
</html>
`
