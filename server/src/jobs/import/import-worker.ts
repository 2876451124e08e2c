import type { Pool } from 'pg'
import { createInserter } from '../../datasets/insert-postgres.ts'
import { findDataset } from '../../datasets/store-postgres.ts'
import { PebblesError } from '../../platform/errors.ts'
import { createWarn, type Log } from '../../platform/log.ts'
import type { ObjectStore } from '../../platform/objects/objects.ts'
import { databaseAway, isTransient, sqlState } from '../../platform/postgres/database.ts'
import { backOff } from '../../platform/wait.ts'
import { FileFault } from '../csv/file-fault.ts'
import type { ClaimedJob } from '../job.ts'
import type { JobHandler } from '../queue/queue.ts'
import { isLeaseLost, postponeJob, releaseJob, reloadClaim } from './claim-postgres.ts'
import { type Committed, commitBatch, commitTotal, failJob, failUnreported } from './commit-postgres.ts'
import { keepLease, type Lease } from './lease.ts'
import type { LeaseHints } from './lease-hints.ts'
import type { Readers, ReadRequest } from './reader.ts'

export interface ImportWorkerOptions {
  pool: Pool
  objects: Pick<ObjectStore, 'location'>
  readers: Readers
  batchRows: number
  hints: LeaseHints
  /** Called when a job was taken. */
  onClaimed: (job: ClaimedJob) => void
  /** Called after each commit: the job, and its record in the ledger, have changed. */
  onCommitted: (committed: Committed) => void
  log: Log
}

const UNIQUE_VIOLATION = '23505'
const MAX_BACKOFF_MS = 5_000
/** Attempts in a row, without a batch between them, that may end by a fault of ours. With the pauses: three minutes. */
const MAX_FAILURES = 5
const MAX_PAUSE_MS = 300_000

/**
 * Imports one file after the other: count → batches, read in a thread; each batch is one transaction.
 *
 * How an attempt ends: the file is imported (`completed`); the file itself is at fault (`failed`); another worker has
 * the job (nothing more is done); the process stops (released, claimed by whoever is there); something unforeseen
 * happened (postponed, so that it does not hold up the jobs behind it, and the fifth time in a row `failed`). Trouble
 * with the database or with S3 ends nothing: the attempt goes on from the checkpoint when they are back. Only a full disk
 * does (`failed`), since somebody has to make room.
 */
export function createImportWorker(options: ImportWorkerOptions): JobHandler {
  const { pool, hints, log, onClaimed } = options
  return async (job, stop) => {
    const warn = createWarn(log.child({ jobId: job.id }))
    onClaimed(job)
    using lease = keepLease(pool, job, { stop, hints, log: warn })
    try {
      await importPersistently(options, job, lease)
    } catch (error) {
      if (lease.isLost() || isLeaseLost(error)) {
        log.info({ jobId: job.id, attempt: job.attempt }, 'the job goes on without this attempt')
      } else {
        if (!stop.aborted)
          log.error({ err: error, jobId: job.id, attempt: job.attempt }, 'an import broke off')
        const givenBack = stop.aborted ? releaseJob(pool, job) : setBack(options, job, error)
        await givenBack.catch((err) => warn('a job could not be given back; its lease runs out', err))
      }
    }
  }
}

/** After something unforeseen: the job is tried again later, or has failed when that was often enough. */
async function setBack(
  { pool, onCommitted }: ImportWorkerOptions,
  claimed: ClaimedJob,
  error: unknown,
): Promise<void> {
  const job = await reloadClaim(pool, claimed)
  if (!job) return
  const isFailure = !DATABASE_STATE.test(sqlState(error) ?? '')
  if (isFailure && job.failures + 1 >= MAX_FAILURES) {
    const reason = `The file could not be imported after ${MAX_FAILURES} attempts: internal error.`
    onCommitted(await failJob(pool, job, reason))
  } else {
    const delayMs = Math.min(MAX_PAUSE_MS, 500 * 4 ** Math.min(job.stalledAttempts, 10))
    await postponeJob(pool, claimed, { delayMs, isFailure })
  }
}

/** Short of resources, ended, in trouble with its disk, or in trouble with itself: no fault of a job. */
const DATABASE_STATE = /^(53|57|58|XX)/

/** Goes on from the checkpoint as often as the database, or the place of the files, was away. */
async function importPersistently(
  options: ImportWorkerOptions,
  claimed: ClaimedJob,
  lease: Lease,
): Promise<void> {
  let job: ClaimedJob | undefined = claimed
  for (let failures = 0; ; ) {
    try {
      if (failures > 0) job = await fromDatabase(reloadClaim(options.pool, claimed))
      // Lost to another worker, or ended by a COMMIT of ours whose answer did not arrive.
      if (!job) return
      return await importOrFail(options, job, lease.signal)
    } catch (error) {
      if (lease.signal.aborted || !isAway(error)) throw error
      failures++
      options.log.warn(
        { err: error, jobId: claimed.id },
        'the database, or the place of the files, is in trouble; the import goes on later',
      )
      if (
        isDiskFull(error) &&
        failures % TRIES_WITHOUT_ROOM === 0 &&
        (await failForWantOfRoom(options, claimed))
      )
        return
      await backOff(failures, { stepMs: 100, maxMs: MAX_BACKOFF_MS, signal: lease.signal })
    }
  }
}

/** Not by itself will there be room: somebody has to know. Whether that could be told, for which there must be room, too. */
async function failForWantOfRoom(
  { pool, onCommitted, log }: ImportWorkerOptions,
  claimed: ClaimedJob,
): Promise<boolean> {
  try {
    const job = await reloadClaim(pool, claimed)
    if (job) onCommitted(await failUnreported(pool, job, NO_ROOM))
    return true
  } catch (err) {
    log.warn({ err, jobId: claimed.id }, 'there is not even room to tell that there is none')
    return false
  }
}

const NO_ROOM =
  'The disk of the database is full. What is imported stays; retry the job when there is room again, and it goes on.'
const TRIES_WITHOUT_ROOM = 5
const DISK_FULL = '53100'

const isDiskFull = (error: unknown) => error instanceof Error && sqlState(error.cause) === DISK_FULL

/** Tells trouble of the database from that of files: both come as plain errors, and only the first passes by itself. */
async function fromDatabase<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw isPassing(error) ? databaseAway(error) : error
  }
}

/** A unique violation is a record or an id that somebody made at the same instant; the next try sees it. */
const isPassing = (error: unknown) => isTransient(error) || sqlState(error) === UNIQUE_VIOLATION

const isAway = (error: unknown) => error instanceof PebblesError && error.code === 'unavailable'

async function importOrFail(
  options: ImportWorkerOptions,
  job: ClaimedJob,
  signal: AbortSignal,
): Promise<void> {
  let newest = job
  const committed = (change: Committed) => {
    newest = change.job
    options.onCommitted(change)
  }
  try {
    await importFile(options, job, signal, committed)
  } catch (error) {
    if (!(error instanceof FileFault)) throw error
    committed(await fromDatabase(failJob(options.pool, newest, error.message)))
  }
}

async function importFile(
  { pool, objects, readers, batchRows }: ImportWorkerOptions,
  claimed: ClaimedJob,
  signal: AbortSignal,
  committed: (change: Committed) => void,
): Promise<void> {
  let job = claimed
  const { id, clientKrn, parentId, objectName, checkpoint, dialect, totalRows } = claimed
  const found = await fromDatabase(findDataset(pool, clientKrn, claimed.dataset, claimed.datasetVersion))
  if (!found) throw new PebblesError('internal', `The dataset of job ${id} is not there.`)
  const { dataset, declaration, table } = found
  const inserter = createInserter(dataset, { jobId: id, clientKrn })
  const request: ReadRequest = {
    location: objects.location,
    objectName,
    job: { id, clientKrn },
    dataset: { declaration, table },
    isReport: parentId !== null,
    encoding: dialect?.encoding,
    isCounted: totalRows !== null && dialect !== null,
    checkpoint,
    maxRows: batchRows,
  }
  for await (const read of readers.read(request, signal)) {
    const change = await fromDatabase(
      read.kind === 'counted'
        ? commitTotal(pool, job, read.total, read.dialect)
        : commitBatch(pool, job, read.batch, inserter),
    )
    job = change.job
    committed(change)
    signal.throwIfAborted()
  }
}
