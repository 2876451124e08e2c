import assert from 'node:assert/strict'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type pg from 'pg'
import { v7 as uuidv7 } from 'uuid'
import { createImportWorker } from '../../src/jobs/import/import-worker.ts'
import { createLeaseHints, type LeaseHints } from '../../src/jobs/import/lease-hints.ts'
import { createReaders } from '../../src/jobs/import/reader.ts'
import type { ClaimedJob } from '../../src/jobs/job.ts'
import type { JobHandler } from '../../src/jobs/queue/queue.ts'
import { createJob } from '../../src/jobs/upload/create-postgres.ts'
import { uploadName } from '../../src/jobs/upload/upload-name.ts'
import { createLog } from '../../src/platform/log.ts'
import { openObjectFolder } from '../../src/platform/objects/folder.ts'
import type { ObjectStore } from '../../src/platform/objects/objects.ts'
import { openDatabase } from '../../src/platform/postgres/database.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { createTestDir } from '../helpers/server.ts'
import { claimNextJob } from './claim-next.ts'

export interface WorkerBench {
  pool: pg.Pool
  objects: ObjectStore
  /** Folder of the objects. */
  dir: string
  handle: JobHandler
  /** A job with its file. */
  newJob(content: string): Promise<string>
  /** Claims the next job, however short ago it was let go. */
  claim(): Promise<ClaimedJob>
  /** Claims the next job and works on it until the worker lets go of it. */
  attempt(): Promise<void>
}

/** An import worker without a server around it, whose jobs are claimed one at a time, when a test says so. */
export async function openWorker(
  scope: Scope,
  options: {
    url: string
    batchRows: number
    onCommitted?: () => void
    hints?: LeaseHints
  },
): Promise<WorkerBench> {
  const { url, batchRows, onCommitted, hints = createLeaseHints() } = options
  const database = openDatabase({
    url,
    maxConnections: 4,
    maxLanes: 1,
    maxJobConnections: 3,
    log: () => {},
  })
  atEnd(scope, () => database[Symbol.asyncDispose]())
  const dir = join(await createTestDir(scope), 'objects')
  const objects = await openObjectFolder(dir)
  const pool = database.jobs
  const readers = createReaders()
  atEnd(scope, () => readers[Symbol.asyncDispose]())
  const handle = createImportWorker({
    pool,
    objects,
    readers,
    batchRows,
    hints,
    onClaimed: () => {},
    onCommitted: onCommitted ?? (() => {}),
    log: createLog('silent'),
  })

  async function newJob(content: string): Promise<string> {
    const id = uuidv7()
    const objectName = uploadName(id)
    const staged = await objects.stage(objectName, Readable.from([Buffer.from(content)]), { maxBytes: 1e6 })
    await staged.keep()
    const { sizeBytes, sha256 } = staged
    const file = { filename: `${id}.csv`, dataset: 'customers', objectName, sizeBytes, sha256 }
    const job = { id, clientKrn: 'krn:worker', email: 'alice@example.com', ...file }
    await createJob(pool, { enqueue: async () => {} }, job)
    return id
  }

  async function claim(): Promise<ClaimedJob> {
    await pool.query(`UPDATE jobs SET lease_until = now() - interval '1 s' WHERE lease_until IS NOT NULL`)
    const job = await claimNextJob(pool)
    assert.ok(job, 'no job can be claimed')
    return job
  }

  const attempt = async () => handle(await claim(), new AbortController().signal)
  return { pool, objects, dir, handle, newJob, claim, attempt }
}

/** What job, table, rejects and ledger say of a job. */
export async function readEverything(pool: pg.Pool, jobId: string) {
  const { rows } = await pool.query(
    `SELECT status, error, total_rows AS total, processed_rows AS processed, success_count AS success,
            failed_count AS failed, stalled_attempts AS stalled, failures,
            (SELECT count(*) FROM customers WHERE job_id = jobs.id)::int AS customers,
            (SELECT count(*) FROM job_rejects WHERE job_id = jobs.id)::int AS rejects,
            (SELECT json_build_object('done', done, 'failed', r.failed, 'total', total, 'isCompleted', is_completed)
             FROM records r WHERE r.client_krn = jobs.client_krn AND r.filename = ledger_filename) AS record
     FROM jobs WHERE id = $1`,
    [jobId],
  )
  return rows[0]
}
