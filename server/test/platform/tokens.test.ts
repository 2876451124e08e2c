import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { suite, type TestContext, test } from 'node:test'
import fc from 'fast-check'
import {
  exportJWK,
  exportSPKI,
  type GenerateKeyPairResult,
  generateKeyPair,
  type JWK,
  type JWTHeaderParameters,
  type JWTPayload,
  SignJWT,
  UnsecuredJWT,
} from 'jose'
import { PebblesError } from '../../src/platform/errors.ts'
import { createLocalKeys } from '../../src/platform/tokens/issuer-keys.ts'
import { googleTokens, oidcTokens } from '../../src/platform/tokens/token-sources.ts'
import { createTokenVerifier } from '../../src/platform/tokens/token-verifier.ts'

const START_MS = Date.UTC(2026, 0, 15, 12)
const AUDIENCE = 'pebbles-client-id'
const EMAIL = 'ada@example.org'

interface Key {
  pair: GenerateKeyPairResult
  public: JWK
  alg: string
}

async function makeKey(kid: string, alg = 'ES256'): Promise<Key> {
  const pair = await generateKeyPair(alg, { extractable: true })
  return { pair, alg, public: { ...(await exportJWK(pair.publicKey)), kid, alg, use: 'sig' } }
}

type Answer = (response: ServerResponse) => void

/** A real issuer on loopback: discovery document, key set, a count of the fetches, and a way to misbehave. */
async function startIssuer(t: TestContext, keys: Key[]) {
  const state = { keys, keyFetches: 0, discoveries: 0, misbehave: undefined as Answer | undefined }
  const server = createServer((request, response) => {
    const isDiscovery = request.url === '/.well-known/openid-configuration'
    if (isDiscovery) state.discoveries += 1
    else state.keyFetches += 1
    if (state.misbehave !== undefined) return state.misbehave(response)
    const document = isDiscovery
      ? { issuer: url, jwks_uri: `${url}/keys` }
      : { keys: state.keys.map((key) => key.public) }
    response.setHeader('content-type', 'application/json').end(JSON.stringify(document))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return Object.assign(state, { url, server })
}

/** The clock of a test, and claims that are good at its start. */
function setUp(issuer: string) {
  const clock = { nowMs: START_MS }
  const failures: PebblesError[] = []
  const good: JWTPayload = {
    iss: issuer,
    aud: AUDIENCE,
    exp: START_MS / 1000 + 3600,
    email: EMAIL,
    email_verified: true,
  }
  const common = {
    audience: AUDIENCE,
    clientClaim: 'client',
    now: () => clock.nowMs,
    onRefreshFailed: (error: PebblesError) => failures.push(error),
  }
  return { clock, failures, good, common }
}

async function oidcSetUp(t: TestContext, keys?: Key[]) {
  const key = keys?.[0] ?? (await makeKey('first'))
  const issuer = await startIssuer(t, keys ?? [key])
  return { ...setUp(issuer.url), issuer, key }
}

function sign(key: Key, claims: JWTPayload, header: Partial<JWTHeaderParameters> = {}): Promise<string> {
  const protectedHeader = { alg: key.alg, kid: key.public.kid!, ...header }
  return new SignJWT(claims).setProtectedHeader(protectedHeader).sign(key.pair.privateKey)
}

function refusal(message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof PebblesError, String(error))
    assert.equal(error.code, 'unauthorized')
    assert.match(error.message, message)
    return true
  }
}

function unavailability(retryAfterSeconds: number) {
  return (error: unknown) => {
    assert.ok(error instanceof PebblesError, String(error))
    assert.equal(error.code, 'unavailable')
    assert.equal(error.retryAfterSeconds, retryAfterSeconds)
    return true
  }
}

suite('which tokens are accepted', () => {
  test('a Google token gives the e-mail and the client, from both spellings of the issuer', async (t) => {
    const { common, good, issuer, key } = await oidcSetUp(t, [await makeKey('g', 'RS256')])
    const keysUrl = new URL(`${issuer.url}/certs`)
    const google = googleTokens({ ...common, clientId: AUDIENCE, keysUrl })
    for (const iss of ['https://accounts.google.com', 'accounts.google.com']) {
      const token = await sign(key, { ...good, iss, client: 'krn:acme' })
      assert.deepEqual(await google.verify(token), { email: EMAIL, client: 'krn:acme' })
    }
    const other = await sign(key, { ...good, iss: 'https://accounts.example.com' })
    await assert.rejects(async () => google.verify(other), refusal(/another issuer/))
    const text = await sign(key, { ...good, iss: 'accounts.google.com', email_verified: 'true' })
    await assert.rejects(async () => google.verify(text), refusal(/not verified/))
    assert.equal(issuer.discoveries, 0)
  })

  test('an OIDC token is accepted in each asymmetric algorithm, and with email_verified "true"', async (t) => {
    const keys = await Promise.all(['RS256', 'PS384', 'ES512', 'EdDSA'].map((alg) => makeKey(alg, alg)))
    const { common, good, issuer } = await oidcSetUp(t, keys)
    const oidc = oidcTokens({ ...common, issuer: issuer.url })
    for (const key of keys) {
      const token = await sign(key, { ...good, aud: ['another', AUDIENCE], email_verified: 'true' })
      assert.deepEqual(await oidc.verify(token), { email: EMAIL, client: undefined })
    }
  })

  test('every kind of bad token is refused, with a reason that does not quote it', async (t) => {
    const { common, good, issuer, key } = await oidcSetUp(t)
    const oidc = oidcTokens({ ...common, issuer: issuer.url })
    const attacker = await makeKey('first')
    const now = START_MS / 1000
    const without = (claim: string) => sign(key, { ...good, [claim]: undefined })
    const changed = (claims: JWTPayload) => sign(key, { ...good, ...claims })

    const token = await sign(key, good)
    const [header, , signature] = token.split('.')
    const otherPayload = Buffer.from(JSON.stringify({ ...good, email: 'eve@example.org' })).toString(
      'base64url',
    )
    const publicPem = new TextEncoder().encode(await exportSPKI(key.pair.publicKey))
    const hmac = new SignJWT(good).setProtectedHeader({ alg: 'HS256', kid: 'first' })
    const noKid = await new SignJWT(good).setProtectedHeader({ alg: 'ES256' }).sign(attacker.pair.privateKey)

    const table: [string, string, RegExp][] = [
      ['no signature (alg none)', new UnsecuredJWT(good).encode(), /not accepted/],
      ['HS256 keyed with the public key', await hmac.sign(publicPem), /not accepted/],
      ['another issuer', await changed({ iss: 'https://elsewhere.example' }), /another issuer/],
      ['no issuer', await without('iss'), /names no issuer/],
      ['another audience', await changed({ aud: 'another' }), /another audience/],
      ['no audience', await without('aud'), /names no audience/],
      ['expired', await changed({ exp: now - 5 }), /expired/],
      ['no expiry', await without('exp'), /no expiry/],
      ['an expiry in words', await changed({ exp: 'never' as never }), /expiry .* not valid/],
      ['not yet valid', await changed({ nbf: now + 6 }), /not valid yet/],
      ['no e-mail', await without('email'), /no e-mail/],
      ['an empty e-mail', await changed({ email: '' }), /not valid/],
      ['a blank e-mail', await changed({ email: ' ' }), /not valid/],
      ['an e-mail with NUL', await changed({ email: 'a\0@example.org' }), /not valid/],
      ['an e-mail with a line break', await changed({ email: 'a@example.org\nb' }), /not valid/],
      ['an e-mail with half a surrogate pair', await changed({ email: 'a\ud800@example.org' }), /not valid/],
      [
        'an e-mail of 321 characters',
        await changed({ email: `${'a'.repeat(309)}@example.org` }),
        /not valid/,
      ],
      ['an e-mail that is a list', await changed({ email: [EMAIL] }), /not valid/],
      ['email_verified false', await changed({ email_verified: false }), /not verified/],
      ['email_verified "false"', await changed({ email_verified: 'false' }), /not verified/],
      ['no email_verified', await without('email_verified'), /not verified/],
      ['a client that is a number', await changed({ client: 7 }), /names the client/],
      ['a changed payload', `${header}.${otherPayload}.${signature}`, /signature/],
      ['the key of someone else', await sign(attacker, good), /signature/],
      ['its own key in the header', await sign(attacker, good, { jwk: attacker.public }), /signature/],
      ['no kid, and a wrong key', noKid, /signature/],
      ['an unknown kid', await sign(key, good, { kid: 'unknown' }), /does not publish/],
      ['keys elsewhere (jku)', await sign(attacker, good, { kid: 'a', jku: issuer.url }), /does not publish/],
      [
        'an algorithm that is not the key’s',
        `${encode({ alg: 'RS256', kid: 'first' })}.e30.AA`,
        /not publish/,
      ],
      ['an unknown extension', `${encode({ alg: 'ES256', crit: ['x'], x: 1 })}.e30.AA`, /extension/],
      ['an unencoded payload', `${encode({ alg: 'ES256', crit: ['b64'], b64: false })}.{}.AA`, /signature/],
      ['garbage', 'garbage', /well-formed/],
      ['three empty parts', '..', /well-formed/],
      ['an encrypted token', 'e30.e30.e30.e30.e30', /well-formed/],
      ['nothing', '', /empty/],
      ['more than 8 KiB', `${token}${'A'.repeat(8192)}`, /too long/],
    ]
    for (const [name, bad, reason] of table) {
      await t.test(name, async () => {
        await assert.rejects(
          async () => oidc.verify(bad),
          (error: PebblesError) => {
            for (const part of bad.split('.').filter((text) => text.length > 8)) {
              assert.ok(!`${error.stack}${JSON.stringify(error.cause)}`.includes(part), 'quotes the token')
            }
            return refusal(reason)(error)
          },
        )
      })
    }
    assert.deepEqual(await oidc.verify(token), { email: EMAIL, client: undefined })
  })

  test('the clocks may differ by five seconds', async (t) => {
    const { common, good, issuer, key } = await oidcSetUp(t)
    const oidc = oidcTokens({ ...common, issuer: issuer.url })
    const now = START_MS / 1000
    await oidc.verify(await sign(key, { ...good, exp: now - 4 }))
    await oidc.verify(await sign(key, { ...good, nbf: now + 5 }))
  })

  test('no arbitrary text and no token with one changed character is accepted, nor fails otherwise', async (t) => {
    const { good, common, key } = await oidcSetUp(t)
    const keys = createLocalKeys({ keys: [key.public] })
    const rules = { ...common, issuers: [good.iss!], algorithms: ['ES256'], keys }
    const verifier = createTokenVerifier({ ...rules, emailVerified: 'boolean' })
    const token = await sign(key, good)
    // The last character of a signature has bits that encode nothing, so it may differ.
    const position = fc.nat(token.length - 2)
    const mutated = fc.tuple(position, fc.string({ minLength: 1, maxLength: 1 }))
    const changedToken = mutated.map(([at, by]) => token.slice(0, at) + by + token.slice(at + 1))
    await fc.assert(
      fc.asyncProperty(fc.oneof(changedToken, fc.string({ unit: 'binary' })), async (bad) => {
        if (bad === token) return
        await assert.rejects(async () => verifier.verify(bad), refusal(/^The /))
      }),
      { numRuns: 300 },
    )
  })

  test('options that would switch a check off are refused', () => {
    const { common } = setUp('https://issuer.example')
    const complete = { ...common, issuers: ['i'], keys: createLocalKeys({ keys: [] }) }
    const rules = { ...complete, algorithms: ['ES256'], emailVerified: 'boolean' as const }
    createTokenVerifier(rules)
    const bad = [
      { issuers: [] },
      { audience: '' },
      { audience: [] },
      { algorithms: [] },
      { algorithms: ['ES256', 'HS256'] },
      { algorithms: ['none'] },
      { clientClaim: '' },
      { cacheSize: 0 },
    ]
    for (const change of bad) {
      assert.throws(() => createTokenVerifier({ ...rules, ...change }), { code: 'misconfigured' })
    }
    assert.throws(() => oidcTokens({ ...common, issuer: 'issuer.example' }), { code: 'misconfigured' })
  })
})

suite('the keys of the issuer', () => {
  test('a new key is picked up; a withdrawn one ends the tokens that were verified with it', async (t) => {
    const { clock, common, good, issuer, key } = await oidcSetUp(t)
    const oidc = oidcTokens({ ...common, issuer: issuer.url })
    const old = await sign(key, good)
    await oidc.verify(old)
    const second = await makeKey('second')
    const fresh = await sign(second, good)

    issuer.keys = [key, second]
    clock.nowMs += 30_000
    assert.deepEqual(await oidc.verify(fresh), { email: EMAIL, client: undefined })
    assert.ok(!(oidc.verify(old) instanceof Promise), 'an added key leaves the verified tokens alone')

    issuer.keys = [second]
    clock.nowMs += 30_000
    await assert.rejects(async () => oidc.verify(await sign(key, good, { kid: 'x' })), refusal(/not publish/))
    await assert.rejects(async () => oidc.verify(old), refusal(/not publish/))
    await oidc.verify(fresh)
  })

  test('a hundred unknown kids at once cost one fetch, and none more until the cool-down is over', async (t) => {
    const { clock, common, good, issuer, key } = await oidcSetUp(t)
    const oidc = oidcTokens({ ...common, issuer: issuer.url })
    await oidc.verify(await sign(key, good))
    assert.equal(issuer.keyFetches, 1)
    const unknown = async (round: string) => {
      const kids = Array.from({ length: 100 }, (_, index) => `${round}-${index}`)
      const tokens = await Promise.all(kids.map((kid) => sign(key, good, { kid })))
      const outcomes = await Promise.allSettled(tokens.map(async (token) => oidc.verify(token)))
      assert.ok(outcomes.every((outcome) => outcome.status === 'rejected'))
    }
    await unknown('within the cool-down')
    assert.equal(issuer.keyFetches, 1)
    clock.nowMs += 30_000
    await unknown('after it')
    await unknown('again')
    assert.equal(issuer.keyFetches, 2)
  })

  test('first tokens that arrive together share one fetch', async (t) => {
    const { common, good, issuer, key } = await oidcSetUp(t)
    const oidc = oidcTokens({ ...common, issuer: issuer.url })
    const emails = Array.from({ length: 20 }, (_, index) => `${index}@example.org`)
    const tokens = await Promise.all(emails.map((email) => sign(key, { ...good, email })))
    const identities = await Promise.all(tokens.map((token) => oidc.verify(token)))
    assert.deepEqual(
      identities.map(({ email }) => email),
      emails,
    )
    assert.deepEqual([issuer.discoveries, issuer.keyFetches], [1, 1])
  })

  test('old keys are fetched again behind the callers, and kept when that fails', async (t) => {
    const { clock, common, failures, good, issuer, key } = await oidcSetUp(t)
    const failed = Promise.withResolvers<void>()
    const onRefreshFailed = (error: PebblesError) => {
      failures.push(error)
      failed.resolve()
    }
    const oidc = oidcTokens({ ...common, issuer: issuer.url, onRefreshFailed })
    const known = await sign(key, good)
    await oidc.verify(known)

    issuer.misbehave = (response) => response.writeHead(500).end()
    clock.nowMs += 600_000
    assert.deepEqual(oidc.verify(known), { email: EMAIL, client: undefined })
    await failed.promise
    const first = await oidc.verify(await sign(key, { ...good, email: 'bob@example.org' }))
    assert.equal(first.email, 'bob@example.org')
    assert.equal(failures.length, 1)
    assert.match(failures[0]!.message, /status 500/)
    // Whether this key exists cannot be known now, so it is not the token's fault.
    const unknown = await sign(key, good, { kid: 'unknown' })
    await assert.rejects(async () => oidc.verify(unknown), unavailability(30))

    issuer.misbehave = undefined
    clock.nowMs += 30_000
    const fetched = once(issuer.server, 'request')
    oidc.verify(known)
    await fetched
    await assert.rejects(async () => oidc.verify(unknown), refusal(/does not publish/))
  })

  test('an issuer that is away at the start gives 503, at most a try per 5 s, and recovers', async (t) => {
    const { clock, common, failures, good, issuer, key } = await oidcSetUp(t)
    issuer.misbehave = (response) => response.destroy()
    const oidc = oidcTokens({ ...common, issuer: issuer.url })
    const token = await sign(key, good)
    await assert.rejects(async () => oidc.verify(token), unavailability(5))
    clock.nowMs += 3_000
    await assert.rejects(async () => oidc.verify(token), unavailability(2))
    assert.equal(issuer.discoveries, 1)
    assert.equal(failures.length, 1)

    issuer.misbehave = undefined
    clock.nowMs += 2_000
    assert.deepEqual(await oidc.verify(token), { email: EMAIL, client: undefined })
  })

  const json = (value: unknown): Answer => {
    return (response) => response.end(JSON.stringify(value))
  }
  /** Short where it is what ends the wait, and else longer than any machine comes to a halt. */
  const timeoutOf = (name: string) =>
    ['does not answer', 'stops in the middle'].includes(name) ? 100 : 60_000
  const misbehaviours: [string, Answer, RegExp][] = [
    ['does not answer', () => {}, /cannot be fetched/],
    ['stops in the middle', (response) => response.write('{"issuer":'), /cannot be fetched/],
    ['redirects', (response) => response.writeHead(302, { location: '/' }).end(), /status 302/],
    ['sends no JSON', (response) => response.end('<html>'), /cannot be fetched/],
    ['sends too much', (response) => response.end(`"${'x'.repeat(300_000)}"`), /too large/],
    [
      'names another issuer',
      json({ issuer: 'https://elsewhere.example', jwks_uri: 'x' }),
      /another token issuer/,
    ],
  ]
  for (const [name, misbehave, reason] of misbehaviours) {
    test(`an issuer that ${name} gives 503`, async (t) => {
      const { common, failures, good, issuer, key } = await oidcSetUp(t)
      issuer.misbehave = misbehave
      const oidc = oidcTokens({ ...common, issuer: issuer.url, timeoutMs: timeoutOf(name) })
      const token = await sign(key, good)
      await assert.rejects(async () => oidc.verify(token), unavailability(5))
      assert.match(failures[0]!.message, reason)
    })
  }

  const keySetFaults: [string, Answer, RegExp][] = [
    ['does not answer', () => {}, /cannot be fetched/],
    ['answers 404', (response) => response.writeHead(404).end(), /status 404/],
    ['is no key set', json({ keys: 'none' }), /cannot be fetched/],
    ['is empty', json({ keys: [] }), /no keys/],
  ]
  for (const [name, misbehave, reason] of keySetFaults) {
    test(`a key set that ${name} counts as a failed fetch`, async (t) => {
      const { common, failures, good, issuer, key } = await oidcSetUp(t, [await makeKey('g', 'RS256')])
      issuer.misbehave = misbehave
      const keysUrl = new URL(`${issuer.url}/certs`)
      const google = googleTokens({ ...common, clientId: AUDIENCE, keysUrl, timeoutMs: timeoutOf(name) })
      const token = await sign(key, good)
      await assert.rejects(async () => google.verify(token), unavailability(5))
      assert.match(failures[0]!.message, reason)
    })
  }
})

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
