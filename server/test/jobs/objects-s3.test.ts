import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { ListMultipartUploadsCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { createTestDir, spawnWorker, startServer } from '../helpers/server.ts'
import { s3Missing, sharedS3, startS3 } from '../helpers/services.ts'
import { until } from '../helpers/until.ts'
import { holdAddress } from './control-helpers.ts'
import { HEADER, importFile, upload, uploadJob, validRows, waitForEnd } from './helpers.ts'

const ROWS = 1_000

/** Every tenth row has no name; each is long, so that the file is several answers of S3. */
const content = (prefix: string) =>
  HEADER +
  Array.from(
    { length: ROWS },
    (_, n) => `${n % 10 ? 'Ann' : ''},${prefix}${n}@example.com,,${'c'.repeat(1_500)}\n`,
  ).join('')

/** One S3, one database, and a process that answers HTTP; nobody imports yet. */
async function start(scope: Scope, s3: Record<string, string>) {
  const env = { ...s3, S3_PREFIX: `imports/${randomUUID()}` }
  Object.assign(process.env, s3)
  const DATABASE_URL = await createTestDatabase(scope)
  const pool = openTestPool(scope, DATABASE_URL)
  const api = await startServer(scope, { ...env, DATABASE_URL, PEBBLES_ROLES: 'api' })
  /** A process that shares nothing with the other but database and bucket. */
  const spawn = async () => {
    const PEBBLES_DATA = await createTestDir(scope)
    return spawnWorker(scope, { ...env, DATABASE_URL, PEBBLES_DATA, IMPORT_BATCH_ROWS: '10' })
  }
  const processedRows = async () =>
    (await pool.query('SELECT coalesce(sum(processed_rows), 0)::int AS n FROM jobs')).rows[0].n as number
  const client = new S3Client({ endpoint: s3.S3_ENDPOINT!, region: s3.AWS_REGION!, forcePathStyle: true })
  atEnd(scope, () => client.destroy())
  const below = { Bucket: s3.S3_BUCKET, Prefix: `${env.S3_PREFIX}/` }
  const left = async () => [
    ...((await client.send(new ListObjectsV2Command(below))).Contents ?? []),
    ...((await client.send(new ListMultipartUploadsCommand(below))).Uploads ?? []),
  ]
  return { api, pool, spawn, processedRows, left }
}

describe('imports whose files are in S3', { concurrency: 2, skip: s3Missing() }, () => {
  test('N2 processes share no folder; a worker dies with kill -9, another goes on, and every row counts once', async (t) => {
    const { api, pool, spawn, processedRows, left } = await start(t, sharedS3())
    const jobId = await uploadJob(api, content('kill'))
    assert.ok(!(await readdir(api.dataDir)).includes('objects'))
    const letGo = await holdAddress(pool, 'kill101@example.com')
    const first = await spawn()
    await until('100 rows are imported', async () => (await processedRows()) >= 100)
    await first.kill()
    await letGo()
    assert.equal(await processedRows(), 100)
    await spawn()
    const job = await waitForEnd(api, jobId)
    assert.deepEqual(
      [job.status, job.processedRows, job.successCount, job.failedCount],
      ['completed', ROWS, ROWS * 0.9, ROWS * 0.1],
    )
    const { rows } = await pool.query(
      `SELECT (SELECT count(*) FROM customers)::int AS customers, (SELECT count(*) FROM job_rejects)::int AS rejects,
              (SELECT attempt FROM jobs) AS attempt`,
    )
    assert.deepEqual(rows[0], { customers: ROWS * 0.9, rejects: ROWS * 0.1, attempt: 2 })
    const report = await api.call('GET', `/api/jobs/${jobId}/errors.csv`)
    assert.equal(report.body.trim().split('\n').length, 1 + ROWS * 0.1)
    assert.equal((await left()).length, 1)
    assert.equal((await api.call('DELETE', `/api/jobs/${jobId}`)).status, 204)
    assert.deepEqual(await left(), [])
  })

  test('N2 while S3 is away uploads are answered 503, an import waits, and both go on when it is back', async (t) => {
    const s3 = await startS3(t)
    const { api, pool, spawn, left } = await start(t, s3.env)
    const jobId = await uploadJob(api, content('one'))
    assert.equal((await api.call('POST', `/api/jobs/${jobId}/cancel`)).status, 200)
    await spawn()
    assert.equal((await importFile(api, validRows(20))).successCount, 20)
    await s3.kill()
    assert.equal((await api.call('POST', `/api/jobs/${jobId}/retry`)).status, 200)
    const look = () => api.call('GET', `/api/jobs/${jobId}`)
    await until('it is taken up', async () => (await look()).body.status === 'processing')
    const refused = await upload(api, content('three'))
    assert.deepEqual([refused.status, refused.body.code], [503, 'unavailable'])
    assert.ok(refused.headers.get('retry-after'))
    assert.equal((await api.call('GET', '/api/jobs')).body.length, 2)
    await s3.restart()
    const job = await waitForEnd(api, jobId)
    assert.deepEqual([job.status, job.successCount], ['completed', ROWS * 0.9])
    const { rows } = await pool.query('SELECT sum(failures)::int AS failures, count(*)::int AS n FROM jobs')
    assert.deepEqual(rows[0], { failures: 0, n: 2 })
    assert.equal((await left()).length, 2)
  })

  test('F1 an S3 that cannot be used ends the start, and is named', async (t) => {
    Object.assign(process.env, sharedS3())
    await assert.rejects(startServer(t, { ...sharedS3(), S3_BUCKET: 'elsewhere' }), {
      code: 'unavailable',
      message: /the bucket elsewhere at http:/,
    })
  })
})
