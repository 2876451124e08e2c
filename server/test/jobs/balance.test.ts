import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { before, describe, test } from 'node:test'
import fc from 'fast-check'
import type pg from 'pg'
import { balanceOf } from '../../src/jobs/proof/balance.ts'
import { suiteScope } from '../helpers/scope.ts'
import { startServer, type TestServer } from '../helpers/server.ts'
import { balance, control, shareStorage } from './control-helpers.ts'
import { HEADER, importFile, uploadJob, validRows, waitForEnd } from './helpers.ts'

describe('the books of a job', () => {
  const scope = suiteScope()
  let server: TestServer
  let pool: pg.Pool
  before(async () => {
    const shared = await shareStorage(scope)
    pool = shared.pool
    server = await startServer(scope, shared.env)
  })

  test('N5 received = stored + rejected + duplicate + late + inFlight', async () => {
    const content = `${validRows(20, 'books')}A,bad,,C\nB,books0@example.com,,C\n,books0@example.com,,C\n\n`
    const job = await importFile(server, content, { filename: 'books.csv' })
    assert.deepEqual(await balance(server, job.id), {
      jobId: job.id,
      received: 23,
      stored: 20,
      corrected: 0,
      // The last one is there already, too, but would not have been stored anyway.
      rejected: 2,
      duplicate: 1,
      late: 0,
      inFlight: 0,
      balanced: true,
      differences: [],
    })
  })

  test('N5 they balance at every instant of an import', async () => {
    const lines = Array.from({ length: 1_500 }, (_, n) =>
      n % 5 === 4 ? `,moving${n}@example.com,,C\n` : `N,moving${n % 7 === 6 ? 0 : n}@example.com,,C\n`,
    )
    const jobId = await uploadJob(server, HEADER + lines.join(''), { filename: 'moving.csv' })
    const seen = new Set<number>()
    for (;;) {
      const books = await balance(server, jobId)
      const { received, stored, rejected, duplicate, late, inFlight } = books
      assert.deepEqual([books.balanced, books.differences], [true, []])
      assert.equal(received, stored + rejected + duplicate + late + inFlight)
      seen.add(inFlight)
      if (received === lines.length && inFlight === 0) break
    }
    assert.ok(seen.size > 3, 'it was never looked at in the middle')
    const job = await waitForEnd(server, jobId)
    assert.ok(job.duplicateCount > 0 && job.failedCount > job.duplicateCount)
  })

  test('N5 a cancelled job has the rest in flight', async () => {
    const jobId = await uploadJob(server, validRows(20_000, 'rest'), { filename: 'rest.csv' })
    const { body } = await control(server, jobId, 'cancel')
    const books = await balance(server, jobId)
    assert.deepEqual([books.balanced, books.stored], [true, body.successCount])
    assert.equal(books.inFlight, books.received - body.processedRows)
  })

  test('N5 whatever is changed behind the back of the job is found, and told', async () => {
    const content = `${validRows(5, 'back')}A,bad,,C\n`
    const faults = [
      [
        'DELETE FROM customers WHERE job_id = $1 AND row_number = 3',
        'rows stored: 4 in the tables, 5 by the job',
      ],
      ['DELETE FROM job_rejects WHERE job_id = $1', 'rows refused: 0 in the tables, 1 by the job'],
      ['UPDATE jobs SET duplicate_count = 1 WHERE id = $1', 'duplicates: 0 in the tables, 1 by the job'],
      ['UPDATE jobs SET corrected_count = 1 WHERE id = $1', 'rows corrected: 0 in the tables, 1 by the job'],
      [
        'UPDATE records SET done = 9 WHERE filename = (SELECT ledger_filename FROM jobs WHERE id = $1)',
        'rows stored: 5 in the tables, 9 by the ledger',
      ],
      [
        'DELETE FROM records WHERE filename = (SELECT ledger_filename FROM jobs WHERE id = $1)',
        'there is no record in the ledger',
      ],
    ] as const
    for (const [n, [sql, expected]] of faults.entries()) {
      const job = await importFile(server, content.replaceAll('back', `back${n}-`), {
        filename: `back${n}.csv`,
      })
      assert.equal((await balance(server, job.id)).balanced, true)
      await pool.query(sql, [job.id])
      const books = await balance(server, job.id)
      assert.equal(books.balanced, false, sql)
      assert.ok(books.differences.includes(expected), books.differences.join('; '))
    }
  })

  test('N5 rows that older releases stored are found, too', async () => {
    const job = await importFile(server, validRows(4, 'older'), { filename: 'older.csv' })
    await pool.query('UPDATE customers SET id = gen_random_uuid() WHERE job_id = $1', [job.id])
    assert.equal((await balance(server, job.id)).balanced, false)
    // The statement of the migration that brought the books.
    const sql = await readFile(new URL('../../migrations/0005_control.sql', import.meta.url), 'utf8')
    await pool.query(/^update customers[^;]*;/m.exec(sql)![0])
    assert.equal((await balance(server, job.id)).balanced, true)
  })

  test('N5 the rule: balanced exactly when all numbers agree', () => {
    const count = fc.integer({ min: 0, max: 3 })
    fc.assert(
      fc.property(fc.tuple(count, count, count, count), count, count, (parts, left, off) => {
        const [imported, corrected, rejected, duplicate] = parts
        const stored = imported + corrected
        const failed = rejected + duplicate
        const books = balanceOf({
          totalRows: stored + failed + left,
          counters: {
            processedRows: stored + failed,
            successCount: stored,
            failedCount: failed + off,
            duplicateCount: duplicate,
            correctedCount: corrected,
          },
          tables: { imported, corrected, rejected, duplicate },
          ledger: { done: stored, failed },
        })
        assert.equal(books.balanced, off === 0)
        assert.equal(books.inFlight, left)
        assert.equal(books.received, books.stored + rejected + duplicate + books.late + left)
      }),
    )
  })
})
