import assert from 'node:assert/strict'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { uploadName } from '../../src/jobs/upload/upload-name.ts'
import { createTestDatabase } from '../helpers/database.ts'
import type { Scope } from '../helpers/scope.ts'
import { validRows } from './helpers.ts'
import { openWorker, readEverything, type WorkerBench } from './worker-helpers.ts'

const open = async (scope: Scope) => openWorker(scope, { url: await createTestDatabase(scope), batchRows: 2 })

/** A folder in place of the file: it can be opened, and every read fails (EISDIR). */
async function breakFile({ dir }: WorkerBench, jobId: string): Promise<void> {
  await rm(join(dir, uploadName(jobId)))
  await mkdir(join(dir, uploadName(jobId)))
}

describe('attempts at a job', { concurrency: 2 }, () => {
  test('F8 a job whose file is gone fails at once, and says so', async (t) => {
    const worker = await open(t)
    const jobId = await worker.newJob(validRows(3))
    await worker.objects.remove(uploadName(jobId))
    await worker.attempt()
    const { status, error, record } = await readEverything(worker.pool, jobId)
    assert.deepEqual([status, error], ['failed', 'The uploaded file is no longer there.'])
    assert.equal(record.isCompleted, true)
  })

  test('F8 a job that fails five times for no reason of its own has failed, and its record is closed', async (t) => {
    const worker = await open(t)
    const jobId = await worker.newJob(validRows(3))
    await breakFile(worker, jobId)
    for (let failures = 1; failures < 5; failures++) {
      await worker.attempt()
      const job = await readEverything(worker.pool, jobId)
      assert.deepEqual([job.status, job.failures], ['processing', failures])
    }
    await worker.attempt()
    const { status, error, record } = await readEverything(worker.pool, jobId)
    assert.deepEqual(
      [status, error],
      ['failed', 'The file could not be imported after 5 attempts: internal error.'],
    )
    assert.equal(record.isCompleted, true)
  })

  test('F8 four failures, and then one batch: it starts from none again', async (t) => {
    const worker = await open(t)
    const jobId = await worker.newJob(validRows(3))
    await worker.pool.query('UPDATE jobs SET failures = 4')
    await worker.attempt()
    const { status, failures } = await readEverything(worker.pool, jobId)
    assert.deepEqual([status, failures], ['completed', 0])
  })

  test('F8 servers that stop or are killed never make a healthy job fail', async (t) => {
    const worker = await open(t)
    const jobId = await worker.newJob(validRows(3))
    for (let stop = 0; stop < 8; stop++) await worker.handle(await worker.claim(), AbortSignal.abort())
    const given = await readEverything(worker.pool, jobId)
    assert.deepEqual([given.status, given.stalled, given.failures], ['processing', 0, 0])
    // Killed: claimed, and never heard of again.
    for (let kill = 0; kill < 8; kill++) await worker.claim()
    const killed = await readEverything(worker.pool, jobId)
    assert.deepEqual([killed.status, killed.stalled, killed.failures], ['processing', 8, 0])
    await worker.attempt()
    assert.equal((await readEverything(worker.pool, jobId)).success, 3)
  })

  /** The rows are there, but what they are written to is not: SQLSTATE of class XX, as a broken page gives. */
  test('F8 trouble of the database is no failure of the job', async (t) => {
    const worker = await open(t)
    const jobId = await worker.newJob(validRows(3))
    await worker.pool.query(`
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'invalid page' USING ERRCODE = 'XX001'; END $$;
      CREATE TRIGGER refuse BEFORE INSERT ON customers EXECUTE FUNCTION refuse()`)
    for (let attempt = 0; attempt < 6; attempt++) await worker.attempt()
    const { status, failures } = await readEverything(worker.pool, jobId)
    assert.deepEqual([status, failures], ['processing', 0])
    await worker.pool.query('DROP TRIGGER refuse ON customers')
    await worker.attempt()
    assert.equal((await readEverything(worker.pool, jobId)).status, 'completed')
  })

  /**
   * The trap: a job that kills its process is the oldest one each time its lease has run out, so the next process
   * takes it first, dies, and nothing behind it is ever imported.
   */
  test('F8 a job that kills its process again and again does not stand in the way of the others', async (t) => {
    const worker = await open(t)
    const killer = await worker.newJob(validRows(3, 'killer'))
    const next = await worker.newJob(validRows(3, 'next'))
    const last = await worker.newJob(validRows(3, 'last'))
    const claimed: string[] = []
    for (let kill = 0; kill < 3; kill++) claimed.push((await worker.claim()).id)
    assert.deepEqual(claimed, [killer, killer, killer], 'one or two that died may have been anything')
    for (const expected of [next, last]) {
      await worker.attempt()
      assert.equal((await readEverything(worker.pool, expected)).status, 'completed')
    }
    assert.equal((await worker.claim()).id, killer, 'with nothing else to do it gets another chance')
    const newest = await worker.newJob(validRows(3, 'newest'))
    assert.equal((await worker.claim()).id, newest)
  })
})
