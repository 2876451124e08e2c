import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import { createLocalKeys, type IssuerKeys } from '../../src/platform/tokens/issuer-keys.ts'
import { createTokenVerifier } from '../../src/platform/tokens/token-verifier.ts'

const START_MS = Date.UTC(2026, 0, 15, 12)
const EXPIRES_MS = START_MS + 3_600_000
const EMAIL = 'ada@example.org'
const EXPIRED = { code: 'unauthorized', message: 'The token has expired' }
const NOT_YET_VALID = { code: 'unauthorized', message: 'The token is not valid yet' }

async function setUp({
  cacheSize,
  wrap,
}: {
  cacheSize?: number
  wrap?: (keys: IssuerKeys) => IssuerKeys
} = {}) {
  const clock = { nowMs: START_MS }
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const local = createLocalKeys({ keys: [await exportJWK(publicKey)] })
  const verifier = createTokenVerifier({
    issuers: ['https://issuer.example'],
    audience: 'pebbles',
    algorithms: ['ES256'],
    keys: wrap?.(local) ?? local,
    clientClaim: 'client',
    emailVerified: 'boolean',
    now: () => clock.nowMs,
    cacheSize,
  })
  const sign = (claims: JWTPayload = {}) =>
    new SignJWT({ email: EMAIL, email_verified: true, ...claims })
      .setProtectedHeader({ alg: 'ES256' })
      .setIssuer('https://issuer.example')
      .setAudience('pebbles')
      .setExpirationTime(EXPIRES_MS / 1000)
      .sign(privateKey)
  return { clock, sign, verifier }
}

test('the first verification of a token is shared, the next is synchronous', async () => {
  const { sign, verifier } = await setUp()
  const token = await sign()
  const first = verifier.verify(token)
  assert.ok(first instanceof Promise)
  assert.equal(verifier.verify(token), first)
  const identity = await first
  assert.equal(verifier.verify(token), identity)
  assert.ok(Object.isFrozen(identity))
})

test('a remembered token is refused from the instant it expires, and before it begins', async () => {
  const { clock, sign, verifier } = await setUp()
  const token = await sign({ nbf: START_MS / 1000 })
  await verifier.verify(token)
  clock.nowMs = START_MS - 5_001
  assert.throws(() => verifier.verify(token), NOT_YET_VALID)
  clock.nowMs = EXPIRES_MS + 4_999
  assert.deepEqual(verifier.verify(token), { email: EMAIL, client: undefined })
  clock.nowMs += 1
  assert.throws(() => verifier.verify(token), EXPIRED)
  await assert.rejects(async () => verifier.verify(token), EXPIRED)
})

test('only so many are remembered: the least recently used goes first', async () => {
  const { sign, verifier } = await setUp({ cacheSize: 2 })
  const [a, b, c] = [await sign({ sub: 'a' }), await sign({ sub: 'b' }), await sign({ sub: 'c' })]
  await verifier.verify(a)
  await verifier.verify(b)
  verifier.verify(a)
  await verifier.verify(c)
  assert.ok(!(verifier.verify(a) instanceof Promise))
  assert.ok(!(verifier.verify(c) instanceof Promise))
  assert.ok(verifier.verify(b) instanceof Promise)
})

test('a refusal is not remembered', async () => {
  const { clock, sign, verifier } = await setUp()
  const token = await sign({ nbf: START_MS / 1000 + 60 })
  await assert.rejects(async () => verifier.verify(token), NOT_YET_VALID)
  clock.nowMs += 60_000
  assert.deepEqual(await verifier.verify(token), { email: EMAIL, client: undefined })
})

// The race: a key is found for token A, a refresh withdraws it, token B arrives and empties the memory, and only
// then the signature of A has been checked. Stored now, A would outlive its key until it expires.
test('a token whose key is withdrawn while it is being verified is not remembered', async () => {
  let generation = 0
  let other: unknown
  const withdrawing = (keys: IssuerKeys): IssuerKeys => ({
    async find(header, token) {
      const key = await keys.find(header, token)
      if (generation === 0) {
        generation = 1
        other = verifier.verify(tokenB)
      }
      return key
    },
    watch: () => generation,
  })
  const { sign, verifier } = await setUp({ wrap: withdrawing })
  const [tokenA, tokenB] = [await sign({ sub: 'a' }), await sign({ sub: 'b' })]
  await verifier.verify(tokenA)
  await other
  assert.ok(!(verifier.verify(tokenB) instanceof Promise))
  assert.ok(verifier.verify(tokenA) instanceof Promise)
})
