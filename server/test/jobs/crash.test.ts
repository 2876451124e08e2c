import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type pg from 'pg'
import { suiteScope } from '../helpers/scope.ts'
import { spawnServer, startServer, type TestServer } from '../helpers/server.ts'
import { holdAddress, shareStorage, waitForRows } from './control-helpers.ts'
import { HEADER, objectsDir, uploadJob, validRows, waitForEnd } from './helpers.ts'

const ROWS = 2_000

/** Valid rows with a newline in a cell, and after each ten a bad one and a duplicate of the first. */
function mixedRows(prefix: string): string {
  const lines: string[] = []
  for (let n = 0; n < ROWS; n++) {
    if (n % 10 === 8) lines.push(`,${prefix}${n}@example.com,,C\n`)
    else if (n % 10 === 9) lines.push(`D,${prefix}0@example.com,,C\n`)
    else lines.push(`"P\né ${n}",${prefix}${n}@example.com,,C\n`)
  }
  return HEADER + lines.join('')
}

const GOOD = ROWS * 0.8
const BAD = ROWS * 0.2

/** Table, rejects, job and ledger tell the same story, and tell it once. */
async function assertExact(server: TestServer, pool: pg.Pool, jobId: string): Promise<void> {
  const job = await waitForEnd(server, jobId)
  assert.deepEqual(
    [job.status, job.totalRows, job.processedRows, job.successCount, job.failedCount],
    ['completed', ROWS, ROWS, GOOD, BAD],
  )
  const { rows } = await pool.query(
    `SELECT (SELECT count(*) FROM customers WHERE job_id = $1)::int AS customers,
            (SELECT count(DISTINCT row_number) FROM customers WHERE job_id = $1)::int AS rows,
            (SELECT count(*) FROM job_rejects WHERE job_id = $1)::int AS rejects,
            (SELECT count(*) FROM job_rejects r JOIN customers c USING (job_id, row_number)
             WHERE job_id = $1)::int AS both`,
    [jobId],
  )
  assert.deepEqual(rows[0], { customers: GOOD, rows: GOOD, rejects: BAD, both: 0 })
  const filename = encodeURIComponent(job.filename)
  const record = (await server.call('GET', `/clients/krn:dev/progress?filename=${filename}`)).body
  assert.deepEqual(record.counts, { done: GOOD, warn: 0, failed: BAD })
  assert.deepEqual([record.total, record.errorsTotal, record.isCompleted], [ROWS, BAD, true])
}

describe('an import that is interrupted', { concurrency: 2 }, () => {
  const scope = suiteScope()

  test('kill -9 in the middle: another process takes over from the checkpoint, and every row counts once', async () => {
    const { env, pool } = await shareStorage(scope)
    const letGo = await holdAddress(pool, 'kill1000@example.com')
    const first = await spawnServer(scope, env)
    const jobId = await uploadJob(first, mixedRows('kill'), { filename: 'kill.csv' })
    await waitForRows(pool, jobId, 1_000)
    await first.kill()
    await letGo()
    const { rows } = await pool.query('SELECT processed_rows::int AS n, attempt, status FROM jobs')
    assert.deepEqual(rows[0], { n: 1_000, attempt: 1, status: 'processing' })
    const second = await startServer(scope, env)
    await assertExact(second, pool, jobId)
    assert.equal((await pool.query('SELECT attempt FROM jobs')).rows[0].attempt, 2)
    assert.deepEqual(await readdir(join(await objectsDir(pool, env.PEBBLES_DATA), 'partial')), [])
  })

  test('SIGTERM in the middle: the job is given back, and the next process goes on at once', async () => {
    const { env, pool } = await shareStorage(scope)
    const first = await startServer(scope, env)
    const jobId = await uploadJob(first, mixedRows('term'), { filename: 'term.csv' })
    await waitForRows(pool, jobId, 300)
    await first.stop()
    const { rows } = await pool.query(
      'SELECT processed_rows::int AS n, status, lease_until <= now() AS free FROM jobs',
    )
    assert.ok(rows[0].n < ROWS)
    assert.deepEqual([rows[0].status, rows[0].free], ['processing', true], 'its lease would have to run out')
    const second = await startServer(scope, env)
    await assertExact(second, pool, jobId)
  })

  test('connections that break again and again only delay it: it never fails, and every row counts once', async () => {
    const { env, pool } = await shareStorage(scope)
    const server = await startServer(scope, env)
    const jobId = await uploadJob(server, mixedRows('cut'), { filename: 'cut.csv' })
    for (let cut = 1; cut <= 5; cut++) {
      await waitForRows(pool, jobId, cut * 200)
      await pool.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name LIKE 'pebbles%'`,
      )
    }
    await assertExact(server, pool, jobId)
  })

  test('four files of one client that overlap, imported side by side by two processes, share the addresses exactly', async () => {
    const { env, pool } = await shareStorage(scope)
    const more = { ...env, IMPORT_CONCURRENCY: '2', IMPORT_BATCH_ROWS: '50' }
    const [one] = await Promise.all([startServer(scope, more), startServer(scope, more)])
    const lines = validRows(600, 'overlap').split('\n').slice(1, -1)
    const jobs = await Promise.all(
      [0, 1, 2, 3].map((n) => {
        // Each in an order of its own, so that they meet in the middle of their batches.
        const rotated = [...lines.slice(n * 150), ...lines.slice(0, n * 150)]
        return uploadJob(one, `${HEADER}${(n % 2 ? rotated.reverse() : rotated).join('\n')}\n`, {
          filename: `${n}.csv`,
        })
      }),
    )
    let success = 0
    for (const jobId of jobs) {
      const job = await waitForEnd(one, jobId)
      assert.deepEqual([job.status, job.processedRows], ['completed', 600])
      success += job.successCount
    }
    assert.equal(success, 600)
    assert.equal((await pool.query('SELECT count(*)::int AS n FROM customers')).rows[0].n, 600)
  })
})
