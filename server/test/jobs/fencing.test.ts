import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { before, describe, test } from 'node:test'
import { CUSTOMERS } from '../../src/datasets/customers.ts'
import { type Binding, bindHeader } from '../../src/datasets/header.ts'
import { createInserter } from '../../src/datasets/insert-postgres.ts'
import {
  claimJob,
  isLeaseLost,
  postponeJob,
  releaseJob,
  reloadClaim,
  renewLease,
} from '../../src/jobs/import/claim-postgres.ts'
import { commitBatch, commitTotal, failJob } from '../../src/jobs/import/commit-postgres.ts'
import { createPreparer } from '../../src/jobs/import/prepare.ts'
import type { PreparedBatch } from '../../src/jobs/import/prepared-batch.ts'
import type { ClaimedJob } from '../../src/jobs/job.ts'
import { createJob } from '../../src/jobs/upload/create-postgres.ts'
import { type Database, openDatabase } from '../../src/platform/postgres/database.ts'
import { createTestDatabase } from '../helpers/database.ts'
import { atEnd, suiteScope } from '../helpers/scope.ts'
import { claimNextJob } from './claim-next.ts'

const binding = bindHeader(CUSTOMERS, ['name', 'email', 'phone', 'company']) as Binding
const dialect = {
  encoding: 'utf-8',
  delimiter: ',',
  quote: '"',
  header: ['name', 'email', 'phone', 'company'],
} as const
const queue = { enqueue: async () => {} }

describe('the hold on a job', () => {
  const scope = suiteScope()
  let database: Database
  before(async () => {
    const url = await createTestDatabase(scope)
    database = openDatabase({ url, maxConnections: 4, maxLanes: 1, maxJobConnections: 2, log: () => {} })
    atEnd(scope, () => database[Symbol.asyncDispose]())
  })

  async function newJob(filename = `${randomUUID()}.csv`): Promise<string> {
    const id = randomUUID()
    const sender = { clientKrn: 'krn:fence', email: 'alice@example.com', filename, dataset: 'customers' }
    const { jobId } = await createJob(database.pool, queue, {
      id,
      ...sender,
      objectName: id,
      sizeBytes: 1,
      sha256: '',
    })
    return jobId
  }

  /** Made as the reading thread makes them, for the job that takes them. */
  async function batchOf(job: ClaimedJob, addresses: string[], isLast = false): Promise<PreparedBatch> {
    const batches: PreparedBatch[] = []
    const from = job.checkpoint
    const onBatch = (batch: PreparedBatch) => batches.push(batch)
    const preparer = createPreparer({ job, dialect, binding, maxRows: 1_000, from, onBatch })
    for (const [index, address] of addresses.entries()) {
      const row = `N,${address},,C`
      preparer.onRow(row, from.rowNumber + index + 1, from.byteOffset + (index + 1) * 10, row.length)
    }
    preparer.end()
    return { ...batches[0]!, isLast }
  }

  async function commit(job: ClaimedJob, addresses: string[], isLast = false) {
    const inserter = createInserter(CUSTOMERS, { jobId: job.id, clientKrn: job.clientKrn })
    return commitBatch(database.pool, job, await batchOf(job, addresses, isLast), inserter)
  }

  const expireLease = (id: string) =>
    database.pool.query(`UPDATE jobs SET lease_until = now() - interval '1 s' WHERE id = $1`, [id])

  async function countOf(table: string, jobId: string): Promise<number> {
    const { rows } = await database.pool.query(`SELECT count(*)::int AS n FROM ${table} WHERE job_id = $1`, [
      jobId,
    ])
    return rows[0].n
  }

  async function claim(): Promise<ClaimedJob> {
    const job = await claimNextJob(database.pool)
    assert.ok(job)
    return job
  }

  test('F8 jobs are claimed in the order of their creation, each by one worker', async () => {
    const ids = [await newJob(), await newJob(), await newJob()]
    const claimed = [await claim(), ...(await Promise.all([claim(), claim()]))]
    assert.equal(claimed[0]!.id, ids[0])
    assert.deepEqual(claimed.map(({ id }) => id).sort(), [...ids].sort())
    assert.equal(await claimNextJob(database.pool), undefined)
    for (const job of claimed) await failJob(database.pool, job, 'done with it')
  })

  test('a worker that lost its lease cannot commit anything any more', async () => {
    const id = await newJob()
    const zombie = await claim()
    await commit(zombie, ['z1@example.com'])
    await expireLease(id)
    const heir = await claim()
    assert.deepEqual([heir.id, heir.attempt, heir.processedRows], [id, 2, 1])
    assert.deepEqual(heir.checkpoint, { byteOffset: 10, rowNumber: 1 })

    const works = [
      async () => commit(zombie, ['z2@example.com', 'bad']),
      async () => commit(zombie, ['z2@example.com'], true),
      async () => commitTotal(database.pool, zombie, 5, dialect),
      async () => failJob(database.pool, zombie, 'no'),
    ]
    for (const work of works) await assert.rejects(work(), isLeaseLost)
    assert.equal(await renewLease(database.pool, zombie), false)
    assert.equal(await reloadClaim(database.pool, zombie), undefined)
    await releaseJob(database.pool, zombie)
    await postponeJob(database.pool, zombie, { delayMs: 0, isFailure: true })
    assert.equal(await claimNextJob(database.pool), undefined, 'the zombie gave the job of another away')
    assert.deepEqual([await countOf('customers', id), await countOf('job_rejects', id)], [1, 0])
    const { rows } = await database.pool.query(
      'SELECT done, failed, is_completed FROM records WHERE filename = $1',
      [heir.ledgerFilename],
    )
    assert.deepEqual(rows, [{ done: 1, failed: 0, is_completed: false }])

    const { job } = await commit(heir, ['z2@example.com'], true)
    assert.deepEqual([job.status, job.successCount, job.totalRows], ['completed', 2, 2])
  })

  test('whoever commits first wins, also when both are in the middle of it', async () => {
    const id = await newJob()
    const zombie = await claim()
    await expireLease(id)
    const heir = await claim()
    const results = await Promise.allSettled([
      commit(zombie, ['race@example.com']),
      commit(heir, ['race@example.com']),
    ])
    assert.deepEqual(
      results.map(({ status }) => status),
      ['rejected', 'fulfilled'],
    )
    const { job } = (results[1] as PromiseFulfilledResult<Awaited<ReturnType<typeof commitBatch>>>).value
    // The heir may have waited for the zombie's row, which then was rolled back: it is the heir's, and no duplicate.
    assert.deepEqual([job.successCount, job.failedCount], [1, 0])
    await failJob(database.pool, job, 'done with it')
  })

  /**
   * The race: this worker's own COMMIT took effect although its answer was lost, and the worker, which looked too early,
   * does the same rows again. The attempt is still the newest; only the position tells that they are done.
   */
  test('what was committed from a position is not committed from it again', async () => {
    const id = await newJob()
    const before = await claim()
    await commitTotal(database.pool, before, 2, dialect)
    await commit(before, ['p1@example.com'])
    const works = [
      async () => commit(before, ['p2@example.com']),
      async () => commit(before, ['p2@example.com'], true),
      async () => commitTotal(database.pool, before, 2, dialect),
      async () => failJob(database.pool, before, 'no'),
    ]
    for (const work of works) await assert.rejects(work(), isLeaseLost)
    const now = await reloadClaim(database.pool, before)
    assert.deepEqual([now?.attempt, now?.processedRows, await countOf('customers', id)], [1, 1, 1])
    await assert.rejects(commitTotal(database.pool, now!, 2, dialect), isLeaseLost)
    await failJob(database.pool, now!, 'done with it')
  })

  test('a job that has ended is never claimed or changed again', async () => {
    await newJob()
    const job = await claim()
    await failJob(database.pool, job, 'broken')
    await assert.rejects(failJob(database.pool, job, 'again'), isLeaseLost)
    await assert.rejects(commit(job, ['late@example.com']), isLeaseLost)
    await expireLease(job.id)
    assert.equal(await claimNextJob(database.pool), undefined)
  })

  /** Else a job that was begun in vain too often would come back by the entries of its dead workers, before all others. */
  test('F7 an entry of an earlier attempt claims nothing, also when nobody holds the job', async () => {
    const jobId = await newJob()
    await claim()
    await expireLease(jobId)
    assert.equal(await claimJob(database.pool, { jobId, attempt: 0 }), undefined)
    const job = await claimJob(database.pool, { jobId, attempt: 1 })
    assert.equal(job?.attempt, 2)
    await failJob(database.pool, job, 'done with it')
  })

  test('a job that is given back for a while is not claimed before', async () => {
    await newJob()
    const job = await claim()
    await postponeJob(database.pool, job, { delayMs: 60_000, isFailure: false })
    assert.equal(await claimNextJob(database.pool), undefined)
    await expireLease(job.id)
    assert.equal((await claim()).attempt, 2)
  })
})
