import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, get, type IncomingMessage } from 'node:http'
import { describe, test } from 'node:test'
import { readConfig } from '../../src/config.ts'
import { serve } from '../../src/roles/serve.ts'
import { createTestDatabase } from '../helpers/database.ts'
import { scrape } from '../helpers/metrics.ts'
import { suiteScope } from '../helpers/scope.ts'
import { createTestDir, spawnServer, startServer } from '../helpers/server.ts'

describe('a process without the role api', () => {
  const scope = suiteScope()
  const started = startServer(scope, { PEBBLES_ROLES: 'imports,consumers' })

  test('P23 P24 S7 it answers whether it is alive and ready, and what it measures', async () => {
    const server = await started
    for (const path of ['/health', '/livez']) {
      const { status, body } = await server.call('GET', path, { token: null })
      assert.deepEqual([status, body], [200, 'OK'])
    }
    const { status, body } = await server.call('GET', '/readyz', { token: null })
    const all = { database: true, objects: true, eventLog: true }
    assert.deepEqual([status, body], [200, { status: 'ready', ...all }])
    for (const path of ['/actuator/health', '/actuator/health/liveness', '/actuator/health/readiness']) {
      const { status, body } = await server.call('GET', path, { token: null })
      assert.deepEqual([status, body.status], [200, 'UP'])
    }
    const samples = await scrape(server)
    assert.equal(samples['pebbles_jobs{status="pending"}'], 0)
    const livez = 'pebbles_http_request_duration_seconds_count{method="GET",route="/livez",status="200"}'
    assert.equal(samples[livez], 1)
  })

  test('P24 it answers nothing of the API', async () => {
    const server = await started
    for (const path of ['/', '/docs', '/openapi.json', '/api/jobs', '/clients/k/progress']) {
      const { status, body } = await server.call('GET', path)
      assert.deepEqual([path, status, body.code], [path, 404, 'not_found'])
    }
    const { status } = await server.call('POST', '/clients/k/progress', { body: {} })
    assert.equal(status, 404)
  })

  test('P24 a port that is taken ends the start, and says what to do', async () => {
    const { url, databaseUrl, dataDir } = await started
    const { port } = new URL(url)
    const env = { DATABASE_URL: databaseUrl, PEBBLES_DATA: dataDir, AUTH: 'dev', LOG_LEVEL: 'silent' }
    await assert.rejects(serve(readConfig({ ...env, PORT: port, PEBBLES_ROLES: 'imports' })), {
      code: 'in_use',
      message: `Port ${port} on 127.0.0.1 is taken. Set PORT to another one, or to 0.`,
    })
  })

  test('P23 SIGTERM ends it while a connection of Prometheus is open', async (t) => {
    const DATABASE_URL = await createTestDatabase(t)
    const PEBBLES_DATA = await createTestDir(t)
    const server = await spawnServer(t, { DATABASE_URL, PEBBLES_DATA, PEBBLES_ROLES: 'imports' })
    const agent = new Agent({ keepAlive: true })
    const asked = get(`${server.url}/metrics`, { agent })
    const [response] = (await once(asked, 'response')) as [IncomingMessage]
    const { socket } = response
    response.resume()
    await once(response, 'end')
    assert.equal(socket.destroyed, false)
    const closed = once(socket, 'close')
    server.process.kill('SIGTERM')
    const [exitCode] = await once(server.process, 'exit')
    assert.equal(exitCode, 0)
    await closed
    agent.destroy()
  })
})
