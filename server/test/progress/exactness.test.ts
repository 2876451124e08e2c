import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import { createTestDir, spawnServer, startServer, update } from '../helpers/server.ts'
import { runStorm, seededRandom } from '../verify/ledger-storm.ts'

describe('the ledger is exact', () => {
  test('N1 P2 P24 with 3 instances, 64 callers, keys sent again, and an instance killed half-way', async (t) => {
    const DATABASE_URL = await createTestDatabase(t)
    const PEBBLES_DATA = await createTestDir(t)
    const seed = Math.floor(Math.random() * 2 ** 31)
    t.diagnostic(`seed ${seed}`)
    const report = await runStorm({
      instances: 3,
      callers: 64,
      files: 50,
      updates: 5_000,
      kills: 1,
      random: seededRandom(seed),
      spawn: () => spawnServer(t, { DATABASE_URL, PEBBLES_DATA, PEBBLES_ROLES: 'api' }),
    })
    t.diagnostic(JSON.stringify(report))
    assert.equal(report.answered, 5_000)
    assert.equal(report.kills, 1)
    assert.ok(report.sentAgain > 250)
  })

  test('P6 two users who create the same file at the same instant: one owner, 500 times', async (t) => {
    const DATABASE_URL = await createTestDatabase(t)
    const PEBBLES_DATA = await createTestDir(t)
    const servers = [
      await startServer(t, { DATABASE_URL, PEBBLES_DATA, PEBBLES_ROLES: 'api' }),
      await startServer(t, { DATABASE_URL, PEBBLES_DATA, PEBBLES_ROLES: 'api' }),
    ]
    const users = ['alice@example.com', 'bob@example.com']
    const tokens = await Promise.all(users.map((user) => servers[0]!.token(user)))
    for (let round = 0; round < 500; round++) {
      const answers = await Promise.all(
        servers.map((server, i) =>
          server.call('POST', '/clients/krn:race/progress', {
            body: update(`${round}.csv`),
            token: tokens[i]!,
          }),
        ),
      )
      assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 403])
      const winner = answers.findIndex(({ status }) => status === 200)
      assert.equal(answers[winner]!.body.result, 'created')
      const { body } = await servers[0]!.call('GET', `/clients/krn:race/progress?filename=${round}.csv`)
      assert.equal(body.email, users[winner])
      assert.equal(body.counts.done, 1)
    }
    const { rows } = await openTestPool(t, DATABASE_URL).query('SELECT count(*)::int AS records FROM records')
    assert.equal(rows[0].records, 500)
  })
})
