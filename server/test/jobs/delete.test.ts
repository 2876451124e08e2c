import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import type pg from 'pg'
import { createJobLiveHub } from '../../src/jobs/live/live.ts'
import type { EventStream } from '../../src/platform/http/sse.ts'
import { suiteScope } from '../helpers/scope.ts'
import { startServer, type TestServer } from '../helpers/server.ts'
import { control, remove, shareStorage, waitForRows } from './control-helpers.ts'
import { HEADER, importFile, objectsDir, uploadJob, validRows, waitForEnd } from './helpers.ts'

describe('deleting a job', () => {
  const scope = suiteScope()
  let server: TestServer
  let pool: pg.Pool
  let dataDir: string
  before(async () => {
    const { env, pool: opened } = await shareStorage(scope)
    pool = opened
    dataDir = env.PEBBLES_DATA
    server = await startServer(scope, env)
  })

  async function leftOf(jobId: string) {
    const { rows } = await pool.query(
      `SELECT (SELECT count(*) FROM jobs WHERE id = $1)::int AS jobs,
              (SELECT count(*) FROM job_rejects WHERE job_id = $1)::int AS rejects,
              (SELECT count(*) FROM job_receipts WHERE job_id = $1)::int AS receipts,
              (SELECT count(*) FROM customers WHERE job_id = $1)::int AS customers`,
      [jobId],
    )
    const files = await readdir(join(await objectsDir(pool, dataDir), 'uploads'))
    return { ...rows[0], files: files.filter((name) => name === jobId).length }
  }

  const mixed = (prefix: string) => `${validRows(30, prefix)},bad,,C\n,bad,,C\n`

  test('F12 job, refused rows, receipt and file go; imported rows and the audit stay', async () => {
    const job = await importFile(server, mixed('plain'), { filename: 'plain.csv' })
    await server.call('GET', `/api/jobs/${job.id}/receipt`, { token: null })
    assert.deepEqual(await leftOf(job.id), { jobs: 1, rejects: 2, receipts: 1, customers: 30, files: 1 })
    assert.equal((await remove(server, job.id)).status, 204)
    assert.deepEqual(await leftOf(job.id), { jobs: 0, rejects: 0, receipts: 0, customers: 30, files: 0 })
    for (const path of ['', '/stream', '/errors.csv', '/receipt', '/balance'])
      assert.equal((await server.call('GET', `/api/jobs/${job.id}${path}`, { token: null })).status, 404)
    const record = (await server.call('GET', '/clients/krn:dev/progress?filename=plain.csv')).body
    assert.deepEqual(record.counts, { done: 30, warn: 0, failed: 2 })
    assert.equal((await remove(server, job.id)).status, 404)
  })

  test('F12 with rows=true the rows that it imported go, and no others', async () => {
    const other = await importFile(server, validRows(30, 'other'), { filename: 'other.csv' })
    const job = await importFile(server, mixed('rows'), { filename: 'rows.csv' })
    assert.equal((await remove(server, job.id, '?rows=true')).status, 204)
    assert.deepEqual(await leftOf(job.id), { jobs: 0, rejects: 0, receipts: 0, customers: 0, files: 0 })
    assert.equal((await leftOf(other.id)).customers, 30)
    // What is gone can come again.
    assert.equal((await importFile(server, mixed('rows'), { filename: 'rows.csv' })).successCount, 30)
    assert.equal((await remove(server, job.id, '?rows=yes')).status, 400)
  })

  test('F12 a job that has not ended is not deleted', async () => {
    const jobId = await uploadJob(server, validRows(20_000, 'running'), { filename: 'running.csv' })
    await waitForRows(pool, jobId, 10)
    const { status, body } = await remove(server, jobId)
    assert.deepEqual([status, body.code], [409, 'wrong_state'])
    assert.match(body.detail, /cancel it first/)
    await control(server, jobId, 'cancel')
    assert.equal((await remove(server, jobId, '?rows=true')).status, 204)
    assert.equal((await leftOf(jobId)).customers, 0)
  })

  /** The process died after the first chunks: what is left is a job that is marked, and nothing else may happen to it. */
  test('F12 a deletion that was interrupted is finished by asking again, and nothing else happens meanwhile', async () => {
    const job = await importFile(server, '', { filename: 'half.csv' })
    await pool.query('UPDATE jobs SET deleting_at = now() WHERE id = $1', [job.id])
    const retried = await control(server, job.id, 'retry')
    assert.deepEqual([retried.status, retried.body.detail], [409, 'The job is being deleted.'])
    assert.equal((await remove(server, job.id)).status, 204)
    assert.deepEqual(await leftOf(job.id), { jobs: 0, rejects: 0, receipts: 0, customers: 0, files: 0 })
  })

  test('F12 deleted and retried at the same instant, one of the two happens, whole', async () => {
    for (let round = 0; round < 20; round++) {
      const job = await importFile(server, HEADER.replace('name', 'nobody'), { filename: `race${round}.csv` })
      assert.equal(job.status, 'failed')
      const [retried, removed] = await Promise.all([
        control(server, job.id, 'retry'),
        remove(server, job.id, '?rows=true'),
      ])
      if (removed.status === 204) {
        assert.ok([404, 409, 200].includes(retried.status))
        assert.deepEqual(await leftOf(job.id), { jobs: 0, rejects: 0, receipts: 0, customers: 0, files: 0 })
      } else {
        assert.deepEqual([retried.status, removed.status], [200, 409])
        assert.equal((await waitForEnd(server, job.id)).status, 'failed')
      }
    }
  })

  test('F12 two deletions at once end both, with nothing left', async () => {
    const job = await importFile(server, mixed('twice'), { filename: 'twice.csv' })
    const twice = [1, 2].map(() => remove(server, job.id, '?rows=true'))
    const answers = await Promise.all(twice)
    assert.ok(answers.every(({ status }) => status === 204 || status === 404))
    assert.ok(answers.some(({ status }) => status === 204))
    assert.deepEqual(await leftOf(job.id), { jobs: 0, rejects: 0, receipts: 0, customers: 0, files: 0 })
  })

  test('F12 a live view of a job that is deleted does not stay open', async () => {
    // Straight at the hub: over HTTP the stream of an ended job has closed before it can be deleted.
    const jobId = await uploadJob(server, validRows(20_000, 'view'), { filename: 'view.csv' })
    const job = { id: jobId, sequence: 1, status: 'processing' } as never
    const hub = createJobLiveHub({ fetchJobs: async () => [], toMessage: () => ({}), log: () => {} })
    const { promise: closed, resolve } = Promise.withResolvers<void>()
    const stream = {
      open() {},
      send() {},
      isReady: true,
      onDrain() {},
      onClose() {},
      close: resolve,
    } satisfies EventStream
    await hub.watch(jobId, stream, async () => job)
    hub.changed([jobId])
    await closed
    await hub[Symbol.asyncDispose]()
    await control(server, jobId, 'cancel')
  })
})
