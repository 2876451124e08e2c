import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createTestDir, spawnServer, update } from '../helpers/server.ts'

test('an embedded PostgreSQL that is killed comes back by itself, with all that was acknowledged', async (t) => {
  const PEBBLES_DATA = await createTestDir(t)
  const server = await spawnServer(t, { PEBBLES_DATA, DATABASE_URL: '', PEBBLES_ROLES: 'api' })
  const report = () => server.call('POST', '/clients/k/progress', { body: update('a.csv') })
  for (let round = 1; round <= 3; round++) {
    assert.equal((await report()).body.counts.done, round)
    const pidFile = await readFile(join(PEBBLES_DATA, 'postgres', 'cluster', 'postmaster.pid'), 'utf8')
    process.kill(Number(pidFile.split('\n')[0]), 'SIGKILL')
    let ready = await server.call('GET', '/readyz')
    for (let attempt = 0; attempt < 200 && ready.status !== 200; attempt++) {
      await sleep(50)
      ready = await server.call('GET', '/readyz')
    }
    assert.equal(ready.status, 200)
  }
  const { body } = await server.call('GET', '/clients/k/progress?filename=a.csv')
  assert.equal(body.counts.done, 3)
})
