import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { createTestDir, spawnServer, update } from '../helpers/server.ts'
import { until } from '../helpers/until.ts'

test('an embedded PostgreSQL that is killed comes back by itself, with all that was acknowledged', async (t) => {
  const PEBBLES_DATA = await createTestDir(t)
  const server = await spawnServer(t, { PEBBLES_DATA, DATABASE_URL: '', PEBBLES_ROLES: 'api' })
  const report = () => server.call('POST', '/clients/k/progress', { body: update('a.csv') })
  async function postmaster(): Promise<number | undefined> {
    const file = join(PEBBLES_DATA, 'postgres', 'cluster', 'postmaster.pid')
    const content = await readFile(file, 'utf8').catch(() => '')
    return Number(content.split('\n')[0]) || undefined
  }
  for (let round = 1; round <= 3; round++) {
    assert.equal((await report()).body.counts.done, round)
    const killed = await postmaster()
    process.kill(killed!, 'SIGKILL')
    // A connection may outlive the server by a moment and still answer: it is back when it is another one.
    await until('it is back', async () => {
      const isAnother = ![undefined, killed].includes(await postmaster())
      return isAnother && (await server.call('GET', '/readyz')).status === 200
    })
  }
  const { body } = await server.call('GET', '/clients/k/progress?filename=a.csv')
  assert.equal(body.counts.done, 3)
})
