import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../../scripts/services/process.ts'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import { startRedis } from '../helpers/redis.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { createTestDir, startServer } from '../helpers/server.ts'
import { redisMissing } from '../helpers/services.ts'
import { importFile, uploadJob, validRows, waitForEnd } from './helpers.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const PASSWORD = 'correct-horse-battery'

/** Runs the service until `isEnough` of what it wrote, or until it ends by itself; everything that it wrote. */
async function runService(
  scope: Scope,
  redisUrl: string,
  isEnough: (written: string) => boolean,
): Promise<{ output: string; exitCode: number | null }> {
  const child = spawn(process.execPath, [MAIN, 'serve'], {
    env: {
      ...process.env,
      PORT: '0',
      LOG_LEVEL: 'debug',
      DATABASE_URL: await createTestDatabase(scope),
      PEBBLES_DATA: await createTestDir(scope),
      REDIS_URL: redisUrl,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  atEnd(scope, () => child.kill('SIGKILL'))
  let output = ''
  // A second signal would end it at once.
  let isAsked = false
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk) => {
      output += chunk
      if (isAsked || !isEnough(output)) return
      isAsked = true
      child.kill('SIGTERM')
    })
  }
  await once(child, 'close')
  return { output, exitCode: child.exitCode }
}

const never = () => false

describe('Redis as the queue', { concurrency: 2, skip: redisMissing() }, () => {
  test('F7 a file goes from upload to completed, and /readyz tells of Redis', async (t) => {
    const redis = await startRedis(t)
    const server = await startServer(t, { REDIS_URL: redis.url })
    assert.equal((await importFile(server, validRows(5))).successCount, 5)
    const { status, body } = await server.call('GET', '/readyz', { token: null })
    assert.deepEqual([status, body.status, body.redis], [200, 'ready', true])
  })

  test('F7 REDIS_HOST and REDIS_PORT do the same', async (t) => {
    const redis = await startRedis(t)
    const server = await startServer(t, { REDIS_HOST: '127.0.0.1', REDIS_PORT: new URL(redis.url).port })
    assert.equal((await importFile(server, validRows(5))).successCount, 5)
    assert.match(String(await redis.send('KEYS', '*')), /pebbles:/)
  })

  test('F7 while Redis is away files are taken in, and they are imported when it is back, empty', async (t) => {
    const redis = await startRedis(t)
    const server = await startServer(t, { REDIS_URL: redis.url })
    await redis.kill()
    const jobId = await uploadJob(server, validRows(5))
    const away = await server.call('GET', '/readyz', { token: null })
    assert.deepEqual([away.status, away.body.status, away.body.redis], [200, 'ready', false])
    assert.equal((await server.call('GET', `/api/jobs/${jobId}`)).body.status, 'pending')
    await redis.restart()
    assert.equal((await waitForEnd(server, jobId)).successCount, 5)
    const back = await server.call('GET', '/readyz', { token: null })
    assert.equal(back.body.redis, true)
  })

  test('F7 a Redis that hangs holds up no upload, and the imports go on when it answers again', async (t) => {
    const redis = await startRedis(t)
    const server = await startServer(t, { REDIS_URL: redis.url })
    redis.freeze()
    const jobs = [await uploadJob(server, validRows(5, 'one')), await uploadJob(server, validRows(5, 'two'))]
    const frozen = await server.call('GET', '/readyz', { token: null })
    assert.deepEqual([frozen.status, frozen.body.redis], [200, false])
    redis.thaw()
    for (const jobId of jobs) assert.equal((await waitForEnd(server, jobId)).successCount, 5)
  })

  test('F7 a process that only takes files in needs no worker, and one that only imports gets them', async (t) => {
    const redis = await startRedis(t)
    const env = {
      REDIS_URL: redis.url,
      DATABASE_URL: await createTestDatabase(t),
      PEBBLES_DATA: await createTestDir(t),
    }
    const api = await startServer(t, { ...env, PEBBLES_ROLES: 'api' })
    const jobId = await uploadJob(api, validRows(5))
    await startServer(t, { ...env, PEBBLES_ROLES: 'imports' })
    assert.equal((await waitForEnd(api, jobId)).successCount, 5)
  })

  test('F7 databases that share a Redis do not get each other’s jobs', async (t) => {
    const redis = await startRedis(t)
    const servers = await Promise.all(
      [1, 2].map(async () => {
        const databaseUrl = await createTestDatabase(t)
        // Copies of one template have its id as well.
        await openTestPool(t, databaseUrl).query('UPDATE installation SET id = gen_random_uuid()')
        return startServer(t, { REDIS_URL: redis.url, DATABASE_URL: databaseUrl })
      }),
    )
    const jobs = await Promise.all(
      Array.from({ length: 10 }, (_, n) => uploadJob(servers[n % 2]!, validRows(3, `shared${n}-`))),
    )
    for (const [n, jobId] of jobs.entries()) {
      assert.equal((await waitForEnd(servers[n % 2]!, jobId)).successCount, 3)
    }
    const keys = (await redis.send('KEYS', 'pebbles:*:imports:meta')) as string[]
    assert.equal(keys.length, 2)
  })

  test('F7 a Redis that does not answer ends the start with its address, without its password', async (t) => {
    const port = await freePort()
    const { output, exitCode } = await runService(t, `redis://:${PASSWORD}@127.0.0.1:${port}`, never)
    assert.equal(exitCode, 1)
    assert.match(output, new RegExp(`Redis cannot be used at redis://127.0.0.1:${port} \\(REDIS_URL`))
    assert.match(output, /ECONNREFUSED/)
    assert.ok(!output.includes(PASSWORD))
  })

  test('F7 a wrong password ends the start as well, and is not told', async (t) => {
    const redis = await startRedis(t, { requirepass: 'another' })
    const url = redis.url.replace('another', PASSWORD)
    const { output, exitCode } = await runService(t, url, never)
    assert.equal(exitCode, 1)
    assert.match(output, /Redis cannot be used at redis:\/\/127\.0\.0\.1:\d+ [\s\S]*WRONGPASS/)
    assert.ok(!output.includes(PASSWORD))
  })

  test('F7 the password of Redis is in no log, also when the connection breaks', async (t) => {
    const redis = await startRedis(t, { requirepass: PASSWORD })
    let isKilled = false
    const { output, exitCode } = await runService(t, redis.url, (written) => {
      if (!isKilled && written.includes('listens on')) {
        isKilled = true
        void redis.kill()
      }
      return written.includes('could not be made again')
    })
    assert.equal(exitCode, 0)
    assert.match(output, /the connection to Redis broke/)
    assert.ok(!output.includes(PASSWORD))
  })

  test('F7 a Redis that drops keys when it is full is refused', async (t) => {
    const redis = await startRedis(t, { 'maxmemory-policy': 'allkeys-lru' })
    await assert.rejects(startServer(t, { REDIS_URL: redis.url }), {
      code: 'misconfigured',
      message: /allkeys-lru.*noeviction/,
    })
  })
})
