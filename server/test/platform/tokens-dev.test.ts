import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { inspect } from 'node:util'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { PebblesError } from '../../src/platform/errors.ts'
import { openDevIssuer } from '../../src/platform/tokens/dev-issuer.ts'
import { devTokens } from '../../src/platform/tokens/token-sources.ts'

const EMAIL = 'ada@example.org'

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'pebbles-tokens-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

test('a token of the development issuer is accepted by its verifier, for twelve hours', async (t) => {
  const clock = { nowMs: Date.UTC(2026, 0, 15) }
  const now = () => clock.nowMs
  const issuer = await openDevIssuer({ dataDir: await folder(t), clientClaim: 'org', now })
  const verifier = devTokens({ issuer, now })
  const token = await issuer.issue({ email: EMAIL, client: 'krn:dev' })
  assert.deepEqual(await verifier.verify(token), { email: EMAIL, client: 'krn:dev' })
  assert.equal(decodeProtectedHeader(token).kid, issuer.jwks().keys[0]?.kid)
  const nowSeconds = clock.nowMs / 1000
  assert.deepEqual(decodeJwt(token), {
    org: 'krn:dev',
    sub: EMAIL,
    email: EMAIL,
    email_verified: true,
    iss: 'pebbles-dev',
    aud: 'pebbles',
    iat: nowSeconds,
    exp: nowSeconds + 12 * 3600,
  })
  clock.nowMs += 12 * 3600 * 1000 + 5_000
  assert.throws(() => verifier.verify(token), { code: 'unauthorized', message: 'The token has expired' })
})

test('the public key set holds nothing private', async (t) => {
  const issuer = await openDevIssuer({ dataDir: await folder(t) })
  const [key, ...others] = issuer.jwks().keys
  assert.deepEqual(Object.keys(key!).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x'])
  assert.deepEqual(others, [])
})

test('another folder is another issuer', async (t) => {
  const mine = await openDevIssuer({ dataDir: await folder(t) })
  const other = await openDevIssuer({ dataDir: await folder(t) })
  const token = await other.issue({ email: EMAIL })
  await assert.rejects(async () => devTokens({ issuer: mine }).verify(token), { code: 'unauthorized' })
})

test('a token that would not be accepted back is not made', async (t) => {
  const issuer = await openDevIssuer({ dataDir: await folder(t) })
  await assert.rejects(issuer.issue({ email: '', client: '\0', expiresInSeconds: 0.5 }), (error) => {
    assert.ok(error instanceof PebblesError)
    assert.equal(error.code, 'invalid_request')
    assert.deepEqual(
      error.faults.map((fault) => fault.field),
      ['email', 'client', 'expiresInSeconds'],
    )
    return true
  })
})

// The race: each sees no file and makes a key of its own. All but one must throw theirs away.
test('processes that open one folder at the same instant share one key, in a file of mode 0600', async (t) => {
  const dataDir = join(await folder(t), 'not', 'there', 'yet')
  const source = import.meta.resolve('../../src/platform/tokens/dev-issuer.ts')
  // They wait for a line on stdin, so that loading the modules does not spread them out.
  const script = `
    import { once } from 'node:events'
    import { openDevIssuer } from ${JSON.stringify(source)}
    process.stdout.write('ready\\n')
    await once(process.stdin, 'data')
    const issuer = await openDevIssuer({ dataDir: ${JSON.stringify(dataDir)} })
    process.stdout.write(JSON.stringify({
      kid: issuer.jwks().keys[0].kid,
      token: await issuer.issue({ email: ${JSON.stringify(EMAIL)} }),
    }))
    process.stdin.destroy()
  `
  const children = Array.from({ length: 5 }, () =>
    spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['pipe', 'pipe', 'inherit'],
    }),
  )
  await Promise.all(children.map((child) => once(child.stdout, 'data')))
  const answers = children.map((child) => once(child.stdout, 'data'))
  for (const child of children) child.stdin.write('go\n')
  const opened = (await Promise.all(answers)).map(([text]) => JSON.parse(String(text)))
  await Promise.all(children.map((child) => child.exitCode ?? once(child, 'exit')))

  const issuer = await openDevIssuer({ dataDir })
  const verifier = devTokens({ issuer })
  for (const { kid, token } of opened) {
    assert.equal(kid, issuer.jwks().keys[0]?.kid)
    assert.deepEqual(await verifier.verify(token), { email: EMAIL, client: undefined })
  }
  assert.deepEqual(await readdir(dataDir), ['dev-issuer.json'])
  if (process.platform !== 'win32') {
    assert.equal((await stat(join(dataDir, 'dev-issuer.json'))).mode & 0o777, 0o600)
  }
})

test('a damaged key file is told, and not quoted', async (t) => {
  const dataDir = await folder(t)
  await openDevIssuer({ dataDir })
  const path = join(dataDir, 'dev-issuer.json')
  const good = await readFile(path, 'utf8')
  const secret: string = JSON.parse(good).d
  for (const damaged of [good.slice(0, -3), 'null', '{}', good.replace('Ed25519', 'X25519'), secret]) {
    await writeFile(path, damaged)
    await assert.rejects(openDevIssuer({ dataDir }), (error) => {
      assert.ok(error instanceof PebblesError)
      assert.equal(error.code, 'misconfigured')
      assert.ok(!inspect(error, { depth: 9 }).includes(secret.slice(0, 8)))
      return true
    })
  }
})

test('a data folder that cannot be made is told', async (t) => {
  const file = join(await folder(t), 'file')
  await writeFile(file, '')
  await assert.rejects(openDevIssuer({ dataDir: file }), { code: 'misconfigured' })
})
