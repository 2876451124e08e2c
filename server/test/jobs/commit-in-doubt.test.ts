import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { startCommitProxy } from '../helpers/commit-proxy.ts'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import type { Scope } from '../helpers/scope.ts'
import { startServer } from '../helpers/server.ts'
import { upload, validRows } from './helpers.ts'
import { openWorker, readEverything } from './worker-helpers.ts'

/** Longer than the worker pauses before it looks at the job again. */
const LATE_MS = 1_500

describe('a COMMIT whose answer is lost', { concurrency: 2 }, () => {
  /**
   * The race: the connection of a batch breaks after COMMIT was sent, and the server gets to it only later. A worker
   * that looks at the job meanwhile sees the checkpoint before the batch, and imports the same rows again: the first
   * transaction commits, then the second, which names the same attempt. Each commit of the import has its turn: the
   * total, a batch, the last one.
   */
  for (const [commits, what] of [
    [0, 'of the total'],
    [1, 'of the first batch'],
    [3, 'of a batch in the middle'],
    [4, 'of the last batch'],
  ] as const) {
    test(`and which takes effect late (${what}): every row counts once`, async (t) => {
      const databaseUrl = await createTestDatabase(t)
      const proxy = await startCommitProxy(t, databaseUrl)
      let seen = 0
      const lose = () => {
        if (seen++ === commits) proxy.loseNextCommit({ deliverAfterMs: LATE_MS })
      }
      const { pool, newJob, claim, handle } = await openWorker(t, {
        url: proxy.url,
        batchRows: 5,
        onCommitted: lose,
      })
      const jobId = await newJob(`${validRows(18, 'late')}bad,,,\nD,late0@example.com,,C\n`)
      const job = await claim()
      lose()
      await handle(job, new AbortController().signal)
      await proxy.settled()
      assert.equal(proxy.lost, 1)
      assert.deepEqual(await readEverything(pool, jobId), {
        status: 'completed',
        error: null,
        total: 20,
        processed: 20,
        success: 18,
        failed: 2,
        stalled: 0,
        failures: 0,
        customers: 18,
        rejects: 2,
        record: { done: 18, failed: 2, total: 20, isCompleted: true },
      })
    })
  }

  async function startApi(scope: Scope) {
    const databaseUrl = await createTestDatabase(scope)
    const proxy = await startCommitProxy(scope, databaseUrl)
    const server = await startServer(scope, { DATABASE_URL: proxy.url, PEBBLES_ROLES: 'api' })
    const pool = openTestPool(scope, databaseUrl)
    const files = () => readdir(join(server.dataDir, 'objects'), { recursive: true, withFileTypes: true })
    return {
      proxy,
      server,
      pool,
      jobIds: async () => (await pool.query('SELECT id FROM jobs')).rows.map(({ id }) => id),
      fileNames: async () => (await files()).filter((entry) => entry.isFile()).map(({ name }) => name),
    }
  }

  test('an upload finds its own job, also when that appears late', async (t) => {
    const { proxy, server, jobIds, fileNames } = await startApi(t)
    proxy.loseNextCommit({ deliverAfterMs: LATE_MS })
    const { status, body } = await upload(server, validRows(1))
    assert.deepEqual([status, proxy.lost], [200, 1])
    assert.deepEqual([await jobIds(), await fileNames()], [[body.jobId], [body.jobId]])
  })

  /**
   * The race: the job is committed, but the answer is lost, and the next try meets an error that is none of a database
   * that is away. Whoever takes that error for a refusal removes the file of a job that is there.
   */
  test('an upload that fails after it leaves the file, for the job may be there', async (t) => {
    const { proxy, server, jobIds, fileNames } = await startApi(t)
    proxy.loseNextCommit({ deliverAfterMs: 0, refuseAfter: true })
    const { status, body } = await upload(server, validRows(1))
    assert.deepEqual([status, body.code, proxy.lost], [503, 'unavailable', 1])
    await proxy.settled()
    const ids = await jobIds()
    assert.equal(ids.length, 1)
    assert.deepEqual(await fileNames(), ids)
    proxy.stopRefusing()
  })

  test('an upload that fails before any COMMIT leaves nothing', async (t) => {
    const { server, pool, jobIds, fileNames } = await startApi(t)
    await pool.query('ALTER TABLE records RENAME TO elsewhere')
    assert.equal((await upload(server, validRows(1))).status, 500)
    await pool.query('ALTER TABLE elsewhere RENAME TO records')
    assert.deepEqual([await jobIds(), await fileNames()], [[], []])
  })
})
