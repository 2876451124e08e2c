import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { readConfig } from '../src/config.ts'
import { PebblesError } from '../src/platform/errors.ts'

function faultsOf(env: Record<string, string>): string[] {
  try {
    readConfig(env)
  } catch (error) {
    assert.ok(error instanceof PebblesError)
    assert.equal(error.code, 'misconfigured')
    for (const { field } of error.faults) assert.ok(error.message.includes(field))
    return error.faults.map(({ field }) => field)
  }
  return []
}

describe('configuration', () => {
  test('nothing needs to be set, and what is empty counts as not set', () => {
    const config = readConfig({ PORT: '', DATABASE_URL: ' ' })
    assert.equal(config.PORT, 8081)
    assert.equal(config.HOST, '127.0.0.1')
    assert.equal(config.auth, 'dev')
    assert.equal(config.DATABASE_URL, undefined)
    assert.deepEqual([...config.roles], ['api', 'imports'])
  })

  test('everything that is wrong is told at once', () => {
    const env = {
      PORT: '70000',
      LEDGER_LANES: '0',
      LOG_LEVEL: 'loud',
      PUBLIC_READ: 'yes',
      PEBBLES_ROLES: 'api,cook',
    }
    assert.deepEqual(faultsOf(env).sort(), Object.keys(env).sort())
  })

  test('numbers are whole and plainly written', () => {
    for (const PORT of ['abc', 'NaN', '1e3', '0x10', '-1', '1.5', '8081 8082', '99999999999999999']) {
      assert.deepEqual(faultsOf({ PORT }), ['PORT'], PORT)
    }
  })

  test('F7 Redis is named by a URL, or by host and port, not by both', () => {
    assert.equal(readConfig({}).redisUrl, undefined)
    assert.equal(readConfig({ REDIS_PORT: '6380' }).redisUrl, undefined)
    assert.equal(readConfig({ REDIS_HOST: 'cache' }).redisUrl, 'redis://cache:6379')
    assert.equal(readConfig({ REDIS_HOST: '::1', REDIS_PORT: '6380' }).redisUrl, 'redis://[::1]:6380')
    const url = 'rediss://user:secret@cache:6380/2'
    assert.equal(readConfig({ REDIS_URL: url }).redisUrl, url)
    assert.deepEqual(faultsOf({ REDIS_URL: url, REDIS_HOST: 'cache' }), ['REDIS_URL'])
    assert.deepEqual(faultsOf({ REDIS_PORT: '0', REDIS_HOST: 'cache' }), ['REDIS_PORT'])
    assert.deepEqual(faultsOf({ REDIS_HOST: 'a b' }), ['REDIS_HOST'])
  })

  test('F7 a wrong REDIS_URL is refused without repeating its password', () => {
    for (const REDIS_URL of ['http://:secret@cache', ':secret@cache:6379', 'redis://', 'redis:secret']) {
      assert.throws(
        () => readConfig({ REDIS_URL }),
        ({ message }: Error) => message.includes('REDIS_URL') && !message.includes('secret'),
        REDIS_URL,
      )
    }
  })

  test('P13 Google tokens once a client id is set; an issuer needs its audience', () => {
    assert.equal(readConfig({ GOOGLE_CLIENT_ID: 'x.apps.googleusercontent.com' }).auth, 'google')
    assert.deepEqual(faultsOf({ AUTH: 'google' }), ['GOOGLE_CLIENT_ID'])
    assert.deepEqual(faultsOf({ AUTH: 'oidc', OIDC_ISSUER: 'https://issuer.example' }), ['OIDC_AUDIENCE'])
  })

  test('P13 development tokens do not run where others can reach them, unless told so', () => {
    assert.deepEqual(faultsOf({ HOST: '0.0.0.0' }), ['AUTH'])
    assert.equal(readConfig({ HOST: '0.0.0.0', DEV_TOKENS_EVERYWHERE: 'true' }).auth, 'dev')
    assert.deepEqual(faultsOf({ HOST: '0.0.0.0', GOOGLE_CLIENT_ID: 'x' }), [])
  })
})
