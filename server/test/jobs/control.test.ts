import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { suiteScope } from '../helpers/scope.ts'
import { startServer, type TestServer } from '../helpers/server.ts'
import { assertAgreed, balance, control, shareStorage, waitForRows } from './control-helpers.ts'
import { HEADER, importFile, readEvents, uploadJob, validRows, waitForEnd } from './helpers.ts'

/** As many as cannot be imported before a test has cancelled. */
const MANY = 20_000

describe('cancel and retry', () => {
  const scope = suiteScope()
  let server: TestServer
  let pool: pg.Pool
  before(async () => {
    const shared = await shareStorage(scope)
    pool = shared.pool
    server = await startServer(scope, shared.env)
  })

  test('F12 a cancelled import keeps what was committed, and commits nothing more', async () => {
    const jobId = await uploadJob(server, validRows(MANY, 'cancel'), { filename: 'cancel.csv' })
    await waitForRows(pool, jobId, 100)
    const { status, body } = await control(server, jobId, 'cancel')
    assert.deepEqual([status, body.status, body.error], [200, 'cancelled', null])
    assert.ok(body.completedAt)
    assert.ok(body.successCount >= 100 && body.successCount < MANY)
    await delay(300)
    assert.deepEqual((await server.call('GET', `/api/jobs/${jobId}`, { token: null })).body, body)
    const all = await assertAgreed(pool, jobId)
    assert.deepEqual([all.customers, Number(all.total)], [body.successCount, MANY])
    const books = await balance(server, jobId)
    assert.deepEqual([books.balanced, books.inFlight], [true, MANY - body.successCount])
    const name = '/clients/krn:dev/progress?filename=cancel.csv'
    const record = (await server.call('GET', name)).body
    assert.deepEqual(record.errors, [{ line: 0, message: 'The import was cancelled.' }])
  })

  test('F12 live views end with the cancelled state', async () => {
    const jobId = await uploadJob(server, validRows(MANY, 'live'), { filename: 'live.csv' })
    const watching = fetch(`${server.url}/api/jobs/${jobId}/stream`).then(readEvents)
    await waitForRows(pool, jobId, 50)
    const { body } = await control(server, jobId, 'cancel')
    const { data } = (await watching).at(-1)!
    const { totalRows, processedRows, successCount, failedCount } = body
    assert.deepEqual(data, {
      jobId,
      processedRows,
      totalRows,
      successCount,
      failedCount,
      status: 'cancelled',
    })
  })

  test('F12 a pending job is cancelled before anything of it is imported', async () => {
    const busy = await uploadJob(server, validRows(MANY, 'busy'), { filename: 'busy.csv' })
    await waitForRows(pool, busy, 10)
    const jobId = await uploadJob(server, validRows(5, 'waits'), { filename: 'waits.csv' })
    const { body } = await control(server, jobId, 'cancel')
    assert.deepEqual([body.status, body.totalRows, body.processedRows], ['cancelled', null, 0])
    await control(server, busy, 'cancel')
    await importFile(server, HEADER, { filename: 'after.csv' })
    assert.equal((await waitForEnd(server, jobId)).status, 'cancelled')
    await assertAgreed(pool, jobId)
  })

  test('F12 a retry goes on from the checkpoint, and every row counts once, also in the ledger', async () => {
    const jobId = await uploadJob(server, validRows(3_000, 'again'), { filename: 'again.csv' })
    await waitForRows(pool, jobId, 100)
    const cancelled = (await control(server, jobId, 'cancel')).body
    const { status, body } = await control(server, jobId, 'retry')
    assert.deepEqual([status, body.completedAt, body.error], [200, null, null])
    assert.ok(['pending', 'processing'].includes(body.status))
    assert.ok(body.processedRows >= cancelled.processedRows)
    const done = await waitForEnd(server, jobId)
    assert.deepEqual([done.status, done.successCount, done.failedCount], ['completed', 3_000, 0])
    assert.equal((await assertAgreed(pool, jobId)).customers, 3_000)
    const records = (await server.call('GET', '/clients/krn:dev/progress?limit=1000')).body
    const counts = records.flatMap(({ filename, counts, isCompleted }: Record<string, unknown>) =>
      String(filename).startsWith('again') ? [[filename, counts, isCompleted]] : [],
    )
    // The closed record stays as it was; the new one has everything, once.
    assert.deepEqual(counts.sort(), [
      ['again (2).csv', { done: 3_000, warn: 0, failed: 0 }, true],
      ['again.csv', { done: cancelled.successCount, warn: 0, failed: 0 }, true],
    ])
  })

  test('F12 a retry of a file that is at fault fails again, with its failures counted anew', async () => {
    const job = await importFile(server, '', { filename: 'empty.csv' })
    await pool.query('UPDATE jobs SET failures = 4, stalled_attempts = 7 WHERE id = $1', [job.id])
    await control(server, job.id, 'retry')
    const again = await waitForEnd(server, job.id)
    assert.deepEqual([again.status, again.error], ['failed', 'The file is empty.'])
    const { rows } = await pool.query('SELECT failures, stalled_attempts FROM jobs WHERE id = $1', [job.id])
    assert.deepEqual(rows[0], { failures: 0, stalled_attempts: 1 })
    await assertAgreed(pool, job.id)
  })

  test('F12 what a state does not allow is refused with 409, and says why', async () => {
    const done = await importFile(server, validRows(1, 'states'), { filename: 'states.csv' })
    const empty = await importFile(server, '', { filename: 'states-empty.csv' })
    const running = await uploadJob(server, validRows(MANY, 'states'), { filename: 'states-long.csv' })
    const cases = [
      [done.id, 'cancel', 'The job is completed; only a pending or processing job can be cancelled.'],
      [done.id, 'retry', 'The job is completed; only a failed or cancelled job can be retried.'],
      [empty.id, 'cancel', 'The job is failed; only a pending or processing job can be cancelled.'],
    ] as const
    for (const [id, action, detail] of cases) {
      const { status, body } = await control(server, id, action)
      assert.deepEqual([status, body.code, body.detail], [409, 'wrong_state', detail])
    }
    assert.equal((await control(server, running, 'retry')).status, 409)
    await control(server, running, 'cancel')
    const twice = await control(server, running, 'cancel')
    assert.deepEqual([twice.status, twice.body.code], [409, 'wrong_state'])
  })

  test('F12 nobody controls the jobs of another client', async () => {
    const token = await server.token('mallory@example.com', 'krn:other')
    const done = await importFile(server, '', { filename: 'mine.csv' })
    for (const action of ['cancel', 'retry'] as const)
      assert.equal((await control(server, done.id, action, token)).status, 404)
    for (const path of ['', '?rows=true']) {
      const { status } = await server.call('DELETE', `/api/jobs/${done.id}${path}`, { token })
      assert.equal(status, 404)
    }
    for (const path of ['balance', 'receipt', 'errors.csv?raw=true'])
      assert.equal((await server.call('GET', `/api/jobs/${done.id}/${path}`, { token })).status, 404)
    assert.equal((await server.call('GET', `/api/jobs/${done.id}`, { token: null })).status, 200)
  })
})
