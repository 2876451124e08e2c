import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { before, describe, test } from 'node:test'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { atEnd, type Scope, suiteScope } from '../helpers/scope.ts'
import { startServer, type TestServer } from '../helpers/server.ts'
import { HEADER, importFile, upload } from './helpers.ts'

/** A provider of tokens, as small as one can be. */
async function startIssuer(scope: Scope) {
  const { publicKey, privateKey } = await generateKeyPair('RS256')
  const key = { ...(await exportJWK(publicKey)), kid: 'k', alg: 'RS256', use: 'sig' }
  const server = createServer((request, response) => {
    const isKeys = request.url === '/keys'
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(isKeys ? { keys: [key] } : { issuer: url, jwks_uri: `${url}/keys` }))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  atEnd(scope, () => {
    server.close()
    server.closeAllConnections()
  })
  const sign = (claims: Record<string, unknown>) =>
    new SignJWT({ email: 'alice@example.com', email_verified: true, ...claims })
      .setProtectedHeader({ alg: 'RS256', kid: 'k' })
      .setIssuer(url)
      .setAudience('pebbles')
      .setExpirationTime('1h')
      .sign(privateKey)
  return { url, sign }
}

describe('jobs with a real issuer', () => {
  const scope = suiteScope()
  let server: TestServer
  let sign: Awaited<ReturnType<typeof startIssuer>>['sign']
  before(async () => {
    const issuer = await startIssuer(scope)
    sign = issuer.sign
    server = await startServer(scope, {
      AUTH: 'oidc',
      OIDC_ISSUER: issuer.url,
      OIDC_AUDIENCE: 'pebbles',
      JWT_CLIENT_CLAIM: 'tenant',
    })
  })

  const paths = [
    '/api/jobs',
    '/api/jobs/stats',
    '/api/jobs/stream',
    '/api/jobs/x',
    '/api/jobs/x/stream',
    '/api/jobs/x/errors.csv',
  ]

  test('F1 F2 nothing is served without a token', async () => {
    assert.equal((await upload(server, HEADER)).status, 401)
    for (const path of paths)
      assert.equal((await server.call('GET', path, { token: null })).status, 401, path)
  })

  test('F1 F2 a token that names no client is refused, and told why', async () => {
    const token = await sign({})
    const answers = [await upload(server, HEADER, { token })]
    for (const path of paths) answers.push(await server.call('GET', path, { token }))
    for (const { status, body } of answers) {
      assert.equal(status, 403)
      assert.match(body.detail, /names no client/)
    }
  })

  test('F1 F2 the client of a token is the client of its jobs', async () => {
    const token = await sign({ tenant: 'krn:real' })
    const job = await importFile(server, HEADER, { token })
    assert.equal(job.status, 'completed')
    const other = await sign({ tenant: 'krn:other' })
    assert.equal((await server.call('GET', `/api/jobs/${job.id}`, { token: other })).status, 404)
    const record = await server.call('GET', '/clients/krn:real/progress?filename=customers.csv', {
      token: null,
    })
    assert.equal(record.body.email, 'alice@example.com')
  })
})
