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
    assert.deepEqual([...config.roles], ['api', 'imports', 'consumers', 'streams'])
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

  test('a folder for data below /proc, where making one never ends, is refused', () => {
    for (const PEBBLES_DATA of ['/proc', '/proc/1/data', '/proc/../proc/x'])
      assert.deepEqual(faultsOf({ PEBBLES_DATA }), ['PEBBLES_DATA'])
    assert.deepEqual(faultsOf({ PEBBLES_DATA: '/process' }), [])
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

  test('P16 a wrong MONGO_URI, or one without a database, is refused without repeating its password', () => {
    for (const MONGO_URI of [
      'mongodb://a:27017,b:27018/pebbles?replicaSet=r',
      'mongodb+srv://u:p@cluster/pebbles',
    ])
      assert.equal(readConfig({ MONGO_URI }).MONGO_URI, MONGO_URI)
    for (const MONGO_URI of [
      'mongodb://u:secret@host',
      'mongodb://u:secret@host/?x=1',
      'http://u:secret@host/db',
    ]) {
      assert.throws(
        () => readConfig({ MONGO_URI }),
        ({ message }: Error) => message.includes('MONGO_URI') && !message.includes('secret'),
        MONGO_URI,
      )
    }
  })

  test('P15 half of what protects the way to the brokers is refused: nobody would notice the rest is missing', () => {
    const sasl = { KAFKA_SASL_USERNAME: 'u', KAFKA_SASL_PASSWORD: 'p' }
    assert.deepEqual(faultsOf({ KAFKA_SASL_MECHANISM: 'PLAIN' }), Object.keys(sasl))
    assert.deepEqual(new Set(faultsOf(sasl)), new Set(['KAFKA_SASL_MECHANISM']))
    assert.deepEqual(faultsOf({ ...sasl, KAFKA_SASL_MECHANISM: 'PLAIN' }), [])
    assert.deepEqual(faultsOf({ KAFKA_TLS_CA: 'ca.pem' }), ['KAFKA_TLS'])
    assert.deepEqual(faultsOf({ KAFKA_TLS_CA: 'ca.pem', KAFKA_TLS: 'true' }), [])
  })

  test('S2 S4 S5 P15 topics have names that brokers take, and no two parts have one in common', () => {
    const brokers = { KAFKA_BOOTSTRAP_SERVERS: 'localhost:9092' }
    const streams = { ...brokers, STREAM_LOG: 'kafka' }
    assert.deepEqual(faultsOf({ ...streams, KAFKA_ENABLED: 'true' }), [])
    assert.deepEqual(faultsOf({ STREAM_TOPIC: 'page views' }), ['STREAM_TOPIC'])
    assert.deepEqual(faultsOf({ KAFKA_TOPIC_NAME: 'x'.repeat(246) }), ['KAFKA_TOPIC_NAME'])
    // Late events would come in as new ones, without end.
    assert.deepEqual(faultsOf({ ...streams, STREAM_LATE_TOPIC: 'pageviews' }), ['STREAM_LATE_TOPIC'])
    const same = { ...streams, KAFKA_ENABLED: 'true', KAFKA_TOPIC_NAME: 'pageview-late' }
    assert.deepEqual(faultsOf(same), ['STREAM_LATE_TOPIC'])
    assert.deepEqual(faultsOf({ ...same, STREAM_LOG: 'postgres' }), [])
  })

  test('F1 a bucket is named with what belongs to it, and nothing else of S3 without one', () => {
    assert.equal(readConfig({ S3_BUCKET: 'files' }).S3_BUCKET, 'files')
    const S3_ENDPOINT = 'http://storage:9000'
    assert.deepEqual(faultsOf({ S3_BUCKET: 'files', S3_ENDPOINT, S3_PREFIX: 'pebbles/one' }), [])
    assert.deepEqual(faultsOf({ S3_ENDPOINT, S3_PREFIX: 'one' }), ['S3_BUCKET', 'S3_BUCKET'])
    assert.deepEqual(faultsOf({ S3_BUCKET: 'files', S3_ENDPOINT: 'storage:9000' }), ['S3_ENDPOINT'])
    assert.deepEqual(faultsOf({ S3_BUCKET: 'files', S3_PREFIX: '/one/../' }), ['S3_PREFIX'])
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
    // A process that answers no API takes no tokens.
    assert.deepEqual(faultsOf({ HOST: '0.0.0.0', PEBBLES_ROLES: 'imports,consumers' }), [])
    assert.deepEqual(faultsOf({ HOST: '0.0.0.0', PEBBLES_ROLES: 'api,imports' }), ['AUTH'])
  })
})
