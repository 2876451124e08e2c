import assert from 'node:assert/strict'
import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { cancelJob } from '../../src/jobs/control/control-postgres.ts'
import { keepLease } from '../../src/jobs/import/lease.ts'
import { createLeaseHints } from '../../src/jobs/import/lease-hints.ts'
import { uploadName } from '../../src/jobs/upload/upload-name.ts'
import { createTestDatabase } from '../helpers/database.ts'
import { until } from '../helpers/until.ts'
import { HEADER } from './helpers.ts'
import { openWorker } from './worker-helpers.ts'

/** With its timer stopped, a lease learns of nothing by itself. */
describe('a worker whose job is cancelled', () => {
  test('F12 stops at the hint, in the middle of reading, without waiting for its next renewal', async (t) => {
    const hints = createLeaseHints()
    const url = await createTestDatabase(t)
    const { pool, dir, newJob, claim, handle } = await openWorker(t, { url, batchRows: 10, hints })
    const id = await newJob(HEADER)
    // Large enough to be counted for a while; until it is, there is no commit that could find out.
    await appendFile(join(dir, uploadName(id)), Buffer.alloc(400 * 1024 * 1024, 'A,a@example.com,,C\n'))
    const job = await claim()
    t.mock.timers.enable({ apis: ['setInterval'] })
    const working = handle(job, new AbortController().signal)
    await delay(50)
    await cancelJob(pool, job)
    let hasStopped = false
    void working.then(() => {
      hasStopped = true
    })
    await delay(50)
    assert.equal(hasStopped, false)
    hints.tell([job.id])
    await working
    const { rows } = await pool.query(
      'SELECT status, failures, attempt, total_rows FROM jobs WHERE id = $1',
      [job.id],
    )
    assert.deepEqual(rows[0], { status: 'cancelled', failures: 0, attempt: 1, total_rows: null })
  })

  /** The race: the renewal under way has read the job before it was cancelled, and the hint arrives before it answers. */
  test('F12 looks once more when the hint comes during a renewal', async (t) => {
    const hints = createLeaseHints()
    const url = await createTestDatabase(t)
    const { pool, newJob, claim } = await openWorker(t, { url, batchRows: 10 })
    await newJob(HEADER)
    const job = await claim()
    t.mock.timers.enable({ apis: ['setInterval'] })
    const asked = Promise.withResolvers<void>()
    const answer = Promise.withResolvers<void>()
    const slow = {
      async query(query: pg.QueryConfig) {
        const result = await pool.query(query)
        asked.resolve()
        await answer.promise
        return result
      },
    } as pg.Pool
    using lease = keepLease(slow, job, { stop: new AbortController().signal, hints, log: () => {} })
    hints.tell([job.id])
    await asked.promise
    await cancelJob(pool, job)
    hints.tell([job.id])
    answer.resolve()
    await until('the lease is lost', () => lease.isLost())
  })
})
