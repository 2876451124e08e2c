import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import type { ClientBase } from 'pg'
import { cancelJob, retryJob } from '../../src/jobs/control/control-postgres.ts'
import { reportToLedger } from '../../src/jobs/ledger/ledger-report.ts'
import { inTransaction } from '../../src/platform/postgres/database.ts'
import { createTestDatabase } from '../helpers/database.ts'
import { suiteScope } from '../helpers/scope.ts'
import { spawnServer, startServer, type TestServer } from '../helpers/server.ts'
import {
  assertAgreed,
  balance,
  control,
  holdAddress,
  remove,
  shareStorage,
  waitForRows,
} from './control-helpers.ts'
import { HEADER, importFile, uploadJob, validRows, waitForEnd } from './helpers.ts'
import { openWorker, readEverything } from './worker-helpers.ts'

async function assertNoDeadlock(pool: pg.Pool): Promise<void> {
  await pool.query('SELECT pg_stat_force_next_flush()')
  const { rows } = await pool.query(
    'SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()',
  )
  assert.equal(rows[0].deadlocks, 0, 'PostgreSQL had to break a deadlock')
}

async function isWaiting(tx: ClientBase): Promise<boolean> {
  const { rows } =
    await tx.query(`SELECT count(*)::int AS n FROM pg_locks l JOIN pg_stat_activity a USING (pid)
     WHERE NOT granted AND a.datname = current_database()`)
  return rows[0].n > 0
}

const balanceOf = async (server: TestServer, ids: string[]) => {
  for (const id of ids) {
    const books = await balance(server, id)
    assert.deepEqual([books.balanced, books.differences], [true, []], id)
  }
}

describe('control while everything moves', { concurrency: 2 }, () => {
  const scope = suiteScope()

  test('F12 cancels, each sent twice, and retries in the middle of many imports deadlock nothing and lose no count', async () => {
    const { env, pool } = await shareStorage(scope, { IMPORT_CONCURRENCY: '3' })
    const [one, two] = await Promise.all([startServer(scope, env), startServer(scope, env)])
    // The same addresses in every file, each in an order of its own, so that their batches wait for each other.
    const lines = validRows(360, 'storm').split('\n').slice(1, -1)
    const ids = await Promise.all(
      Array.from({ length: 12 }, (_, n) => {
        const rotated = [...lines.slice(n * 30), ...lines.slice(0, n * 30)]
        // Few names, so that they also meet at the names of the ledger.
        return uploadJob(one, `${HEADER}${(n % 2 ? rotated.reverse() : rotated).join('\n')}\n,bad,,\n`, {
          filename: `storm${n % 2}.csv`,
        })
      }),
    )
    const outcomes = await Promise.all(
      ids.map(async (id, n) => {
        let cancelled = 0
        for (let round = 0; round < 4; round++) {
          await delay(20 + ((n * 37 + round * 91) % 200))
          const answers = await Promise.all([control(one, id, 'cancel'), control(two, id, 'cancel')])
          const statuses = answers.map(({ status }) => status).sort()
          // One of the two cancels, or neither.
          assert.ok(['200,409', '409,409'].includes(statuses.join()), statuses.join())
          if (statuses[0] !== 200) continue
          cancelled++
          await assertAgreed(pool, id)
          assert.equal((await control(two, id, 'retry')).status, 200)
        }
        return cancelled
      }),
    )
    assert.ok(outcomes.reduce((a, b) => a + b) > 10, `only ${outcomes} were cancelled`)
    for (const id of ids) {
      const job = await waitForEnd(one, id)
      assert.deepEqual([job.status, job.processedRows, job.totalRows], ['completed', 361, 361])
      await assertAgreed(pool, id)
    }
    const { rows } = await pool.query('SELECT count(*)::int AS n FROM customers')
    assert.equal(rows[0].n, 360)
    await balanceOf(one, ids)
    await assertNoDeadlock(pool)
  })

  test('N6 F12 six corrections of one job at once, cancelled and retried in the middle, correct each row once and deadlock nothing', async () => {
    const { env, pool } = await shareStorage(scope, { IMPORT_CONCURRENCY: '3' })
    const [one, two] = await Promise.all([startServer(scope, env), startServer(scope, env)])
    const bad = Array.from({ length: 200 }, (_, n) => `Row ${n},six-bad${n},,C\n`).join('')
    const parent = await importFile(one, HEADER + bad, { filename: 'six.csv' })
    const report: string = (await one.call('GET', `/api/jobs/${parent.id}/errors.csv`, { token: null })).body
    // Three bring the same addresses, so that of one row only one is imported; three bring addresses of their own.
    const ids = await Promise.all(
      Array.from({ length: 6 }, (_, n) => {
        const [head, ...rows] = report.trimEnd().split('\r\n')
        const rotated = [...rows.slice(n * 33), ...rows.slice(0, n * 33)]
        const content = [head, ...(n % 2 ? rotated.reverse() : rotated)].join('\n')
        const prefix = n < 3 ? 'same' : `own${n}-`
        return uploadJob(one, content.replaceAll(/six-bad(\d+)/g, `${prefix}$1@example.com`), {
          parent: parent.id,
          filename: `six-${n}.csv`,
        })
      }),
    )
    // Somebody who is refused, but whose batches lock all these records, in the order of their ids.
    let isOver = false
    const names = ['six.csv', ...ids.map((_, n) => `six-${n}.csv`)]
    const meddling = (async () => {
      const body = names.map((filename) => ({ filename, counts: { done: 1, warn: 0, failed: 0 } }))
      for (; !isOver; await delay(5)) await one.call('POST', '/clients/krn:dev/progress/batch', { body })
    })()
    let cancelled = 0
    await Promise.all(
      ids.map(async (id, n) => {
        for (let round = 0; round < 3; round++) {
          await delay(20 + ((n * 53 + round * 71) % 150))
          if ((await control(two, id, 'cancel')).status !== 200) continue
          cancelled++
          await balanceOf(one, [parent.id, id])
          assert.equal((await control(one, id, 'retry')).status, 200)
        }
      }),
    )
    assert.ok(cancelled > 3, `only ${cancelled} were cancelled`)
    for (const id of ids) {
      assert.equal((await waitForEnd(one, id)).processedRows, 200)
      await assertAgreed(pool, id)
    }
    isOver = true
    await meddling
    const after = (await one.call('GET', `/api/jobs/${parent.id}`, { token: null })).body
    assert.deepEqual([after.successCount, after.failedCount, after.correctedCount], [200, 0, 200])
    await balanceOf(one, [parent.id, ...ids])
    await assertNoDeadlock(pool)
  })

  test('F12 cancelled at its last batch, a job is completed or cancelled, and never something between', async () => {
    const { env, pool } = await shareStorage(scope)
    const server = await startServer(scope, env)
    const ends = new Set<string>()
    for (let round = 0; round < 40; round++) {
      const id = await uploadJob(server, validRows(30, `last${round}-`), { filename: `last${round}.csv` })
      await waitForRows(pool, id, 10 + (round % 3) * 10)
      const { status, body } = await control(server, id, 'cancel')
      const job = await waitForEnd(server, id)
      ends.add(job.status)
      if (status === 200) assert.deepEqual(job, body)
      else assert.deepEqual([status, job.status, job.successCount], [409, 'completed', 30])
      assert.equal((await assertAgreed(pool, id)).customers, job.successCount)
    }
    assert.ok(ends.has('completed'), [...ends].join())
  })

  test('F12 kill -9 in the middle, cancelled and retried before anybody noticed, goes on from the checkpoint', async () => {
    const { env, pool } = await shareStorage(scope)
    const [first, second] = await Promise.all([
      spawnServer(scope, env),
      startServer(scope, { ...env, PEBBLES_ROLES: 'api' }),
    ])
    const letGo = await holdAddress(pool, 'killed200@example.com')
    const id = await uploadJob(first, validRows(3_000, 'killed'), { filename: 'killed.csv' })
    await waitForRows(pool, id, 200)
    await first.kill()
    await letGo()
    const cancelled = (await control(second, id, 'cancel')).body
    assert.equal(cancelled.status, 'cancelled')
    await assertAgreed(pool, id)
    assert.equal((await control(second, id, 'retry')).status, 200)
    const third = await startServer(scope, env)
    const job = await waitForEnd(third, id)
    assert.deepEqual([job.status, job.successCount], ['completed', 3_000])
    assert.equal((await assertAgreed(pool, id)).customers, 3_000)
    await balanceOf(third, [id])
  })

  test('F12 N6 kill -9 in the middle of a correction: every row is corrected once', async () => {
    const { env, pool } = await shareStorage(scope)
    const first = await spawnServer(scope, env)
    const bad = Array.from({ length: 1_500 }, (_, n) => `Row ${n},crash-bad${n},,C\n`).join('')
    const parent = await importFile(first, HEADER + bad, { filename: 'crash.csv' })
    const report = (await first.call('GET', `/api/jobs/${parent.id}/errors.csv`, { token: null })).body
    const letGo = await holdAddress(pool, 'crash300@example.com')
    const child = await uploadJob(first, report.replaceAll(/crash-bad(\d+)/g, 'crash$1@example.com'), {
      parent: parent.id,
      filename: 'crash-2.csv',
    })
    await waitForRows(pool, child, 300)
    await first.kill()
    await letGo()
    assert.equal((await readEverything(pool, parent.id)).rejects, 1_200)
    await assertAgreed(pool, parent.id)
    const second = await startServer(scope, env)
    await balanceOf(second, [parent.id, child])
    assert.equal((await waitForEnd(second, child)).successCount, 1_500)
    const after = (await second.call('GET', `/api/jobs/${parent.id}`, { token: null })).body
    assert.deepEqual([after.successCount, after.failedCount, after.correctedCount], [1_500, 0, 1_500])
    await assertAgreed(pool, parent.id)
    await balanceOf(second, [parent.id, child])
  })

  test('F12 kill -9 in the middle of a deletion: asked again, nothing is left of the job', async () => {
    const { env, pool } = await shareStorage(scope, { IMPORT_BATCH_ROWS: '5000' })
    const first = await spawnServer(scope, env)
    const rows = 60_000
    const job = await importFile(first, validRows(rows, 'deleted'), { filename: 'deleted.csv' })
    const left = async () => {
      const { rows } = await pool.query(
        `SELECT (SELECT count(*) FROM customers)::int AS customers, (SELECT count(*) FROM jobs)::int AS jobs`,
      )
      return rows[0]
    }
    // Somebody else has the last row, so the deletion cannot come to its end.
    const holder = await pool.connect()
    await holder.query('BEGIN')
    await holder.query('SELECT FROM customers ORDER BY row_number DESC LIMIT 1 FOR UPDATE')
    const removing = remove(first, job.id, '?rows=true').catch(() => undefined)
    while ((await left()).customers === rows) await delay(5)
    await first.kill()
    await removing
    const half = await left()
    await holder.query('ROLLBACK')
    holder.release()
    assert.ok(half.customers > 0 && half.customers < rows && half.jobs === 1, JSON.stringify(half))
    const second = await startServer(scope, env)
    assert.equal((await control(second, job.id, 'retry')).status, 409)
    assert.equal((await remove(second, job.id, '?rows=true')).status, 204)
    assert.deepEqual(await left(), { customers: 0, jobs: 0 })
  })

  /**
   * The race: cancelled, retried and moved to a new record while a worker was in the middle of a batch. That worker
   * reports to the first record, which is closed, and looks for a new name; whoever cancels for the second time has the
   * job's row by then, and looks for a new name, too.
   */
  test('F12 a worker with the name of an earlier record waits for the job before it takes a name from the others', async () => {
    const url = await createTestDatabase(scope)
    const { pool, newJob, claim } = await openWorker(scope, { url, batchRows: 10 })
    await newJob(HEADER)
    const zombie = await claim()
    await cancelJob(pool, zombie)
    const report = { done: 1, failed: 0, total: null, isLast: false, errors: [] }
    let reporting: Promise<unknown> = Promise.resolve()
    await inTransaction(pool, async (tx) => {
      await tx.query('SELECT FROM jobs WHERE id = $1 FOR NO KEY UPDATE', [zombie.id])
      let isOver = false
      reporting = inTransaction(pool, (other) => reportToLedger(other, zombie, report)).finally(() => {
        isOver = true
      })
      while (!isOver && !(await isWaiting(tx))) await delay(10)
      assert.equal(isOver, false, 'it did not wait')
      const { rows } = await tx.query('SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)) AS free', [
        `${zombie.clientKrn}/${zombie.filename}`,
      ])
      assert.equal(rows[0].free, true)
    })
    await reporting
  })

  test('F12 a worker that still believes in its lease does nothing more to a job that was cancelled and retried', async () => {
    const url = await createTestDatabase(scope)
    const { pool, newJob, claim, handle, attempt } = await openWorker(scope, { url, batchRows: 10 })
    const id = await newJob(validRows(50, 'zombie'))
    const zombie = await claim()
    await cancelJob(pool, zombie)
    await retryJob(pool, { enqueue: async () => {} }, zombie)
    await handle(zombie, new AbortController().signal)
    const before = await readEverything(pool, id)
    assert.deepEqual(
      [before.status, Number(before.processed), before.customers, before.failures],
      ['pending', 0, 0, 0],
    )
    await attempt()
    const after = await assertAgreed(pool, id)
    assert.deepEqual([after.status, after.customers], ['completed', 50])
    await handle(zombie, new AbortController().signal)
    assert.deepEqual(await readEverything(pool, id), after)
  })
})
