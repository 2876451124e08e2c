import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { importJWK, type JWTPayload, SignJWT } from 'jose'
import { suiteScope } from '../helpers/scope.ts'
import { startServer, type TestServer, update } from '../helpers/server.ts'
import { sendRaw } from './raw-http.ts'

const UPDATES = '/clients/krn:clnt:auth/progress'
const HOUR = 3_600

type Key = Parameters<SignJWT['sign']>[0]

/** P7: who is not known does not write. What is refused in a token is tested with the verifier; here, what is answered. */
describe('P7 without a valid token nothing is written', () => {
  const scope = suiteScope()
  let server: TestServer
  let key: Key
  let publicKey: KeyObject
  let good: JWTPayload

  before(async () => {
    server = await startServer(scope)
    const jwk = JSON.parse(await readFile(join(server.dataDir, 'dev-issuer.json'), 'utf8'))
    key = await importJWK(jwk, 'EdDSA')
    publicKey = createPublicKey({ key: jwk, format: 'jwk' })
    const now = Math.floor(Date.now() / 1_000)
    good = {
      iss: 'pebbles-dev',
      aud: 'pebbles',
      email: 'eve@example.com',
      email_verified: true,
      iat: now,
      exp: now + HOUR,
    }
  })

  const sign = (claims: Record<string, unknown>, by = key, alg = 'EdDSA') =>
    new SignJWT({ ...good, ...claims }).setProtectedHeader({ alg }).sign(by)
  const base64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

  const headers: Record<string, () => Promise<string | undefined> | string | undefined> = {
    'no token': () => undefined,
    'an empty header': () => '',
    'the scheme alone': () => 'Bearer',
    'the scheme and a space': () => 'Bearer ',
    'another scheme': () => 'Basic YWxpY2U6c2VjcmV0',
    'a token without a scheme': async () => sign({}),
    'two tokens': async () => `Bearer ${await sign({})} ${await sign({})}`,
    'a word': () => 'Bearer token',
    'a token of 10,000 characters': () => `Bearer ${'a'.repeat(10_000)}`,
    'an unsigned token': () => `Bearer ${base64({ alg: 'none' })}.${base64(good)}.`,
    'a changed signature': async () => {
      const token = await sign({})
      return `Bearer ${token.slice(0, -10)}${token.slice(-10) === 'AAAAAAAAAA' ? 'B' : 'AAAAAAAAAA'}`
    },
    'changed claims': async () => {
      const [head, , signature] = (await sign({})).split('.')
      return `Bearer ${head}.${base64({ ...good, email: 'alice@example.com' })}.${signature}`
    },
    "somebody else's key": async () => `Bearer ${await sign({}, generateKeyPairSync('ed25519').privateKey)}`,
    'the public key as a shared secret': async () =>
      `Bearer ${await sign({}, new Uint8Array(publicKey.export({ type: 'spki', format: 'der' })), 'HS256')}`,
    'a token that has expired': async () => `Bearer ${await sign({ exp: good.iat! - HOUR })}`,
    'a token without an expiry': async () => `Bearer ${await sign({ exp: undefined })}`,
    'a token that is not valid yet': async () => `Bearer ${await sign({ nbf: good.iat! + HOUR })}`,
    'another issuer': async () => `Bearer ${await sign({ iss: 'https://accounts.google.com' })}`,
    'another audience': async () => `Bearer ${await sign({ aud: 'somebody-else' })}`,
    'no e-mail': async () => `Bearer ${await sign({ email: undefined })}`,
    'an e-mail that is a list': async () => `Bearer ${await sign({ email: ['eve@example.com'] })}`,
    'an e-mail with NUL': async () => `Bearer ${await sign({ email: 'eve\0@example.com' })}`,
    'an unverified e-mail': async () => `Bearer ${await sign({ email_verified: false })}`,
    'an e-mail verified in words': async () => `Bearer ${await sign({ email_verified: 'true' })}`,
    'no word on verification': async () => `Bearer ${await sign({ email_verified: undefined })}`,
  }
  for (const [name, header] of Object.entries(headers)) {
    test(`${name} is answered 401`, async () => {
      const authorization = await header()
      for (const [path, body] of [
        [UPDATES, update('never.csv')],
        [`${UPDATES}/batch`, [update('never.csv')]],
        // The caller is looked at first: who is unknown does not learn what is wrong with the body.
        [UPDATES, { no: 'update' }],
      ] as const) {
        const answer = await sendRaw(server.url, {
          method: 'POST',
          path,
          headers: {
            'content-type': 'application/json',
            ...(authorization !== undefined && { authorization }),
          },
          body: JSON.stringify(body),
        })
        assert.equal(answer.status, 401, answer.text)
        assert.match(answer.headers['www-authenticate'] as string, /^Bearer\b/)
        assert.equal(answer.headers['content-type'], 'application/problem+json; charset=utf-8')
        const { status, code, errors } = JSON.parse(answer.text)
        assert.deepEqual([status, code, errors], [401, 'unauthorized', undefined])
      }
      const { body } = await server.call('GET', UPDATES, { token: null })
      assert.deepEqual(body, [])
    })
  }

  test('the scheme may be written in any case, and the token that all of these were made from is good', async () => {
    const authorization = `bEaReR ${await sign({})}`
    const answer = await server.call('POST', '/clients/krn:clnt:good/progress', {
      token: null,
      headers: { authorization },
      body: update('written.csv'),
    })
    assert.equal(answer.status, 200)
  })
})
