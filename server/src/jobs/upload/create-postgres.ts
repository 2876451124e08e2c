import type { ClientBase, Pool } from 'pg'
import { PebblesError } from '../../platform/errors.ts'
import { databaseAway, inTransaction, isTransient, sqlState } from '../../platform/postgres/database.ts'
import { backOff } from '../../platform/wait.ts'
import { recordIdOf } from '../../progress/record.ts'
import { findFreeLedgerName, type LedgerName } from '../ledger/ledger-name-postgres.ts'
import { reportToLedger } from '../ledger/ledger-report.ts'
import type { JobQueue } from '../queue/queue.ts'
import { requireParent } from '../report/parent-postgres.ts'

/** A file that was taken in, before it is a job. */
export interface NewJob {
  id: string
  clientKrn: string
  email: string
  filename: string
  dataset: string
  /** Version of its declaration that the file is checked against; 0, the default, for what is built in. */
  datasetVersion?: number
  /** The job that it corrects, as the uploader named it. */
  parent?: string | undefined
  objectName: string
  sizeBytes: number
  sha256: string
  /** Digests of the caller's key, and of what was sent with it. */
  idempotency?: { id: string; fingerprint: string } | undefined
}

export interface Creation {
  jobId: string
  /** Its record in the ledger. */
  recordId: string
  /** The key was used before for the same file, and this is the job of then. */
  isReplay: boolean
}

const RETRY_FOR_MS = 5_000
const UNIQUE_VIOLATION = '23505'

/**
 * Makes the job, its queue entry and its record in the ledger in one transaction.
 *
 * @throws PebblesError `idempotency_mismatch` or `unavailable`. After an error for which {@link isJobInDoubt} is true
 *   the job may be there; after any other one, and when another job is the answer, it is not and never will be.
 */
export async function createJob(
  pool: Pool,
  queue: Pick<JobQueue, 'enqueue'>,
  job: NewJob,
): Promise<Creation> {
  const deadline = Date.now() + RETRY_FOR_MS
  let isCommitSent = false
  for (let attempt = 1; ; attempt++) {
    try {
      return await inTransaction(pool, async (tx) => {
        const creation = await create(tx, queue, job)
        isCommitSent = true
        return creation
      })
    } catch (error) {
      // Somebody else has the key for good, so whatever became of an earlier try, it did not make the job.
      if (isMismatch(error)) throw error
      // A unique violation: somebody took the key or the name this instant, and is seen at the next look.
      const isPassing = sqlState(error) === UNIQUE_VIOLATION || isTransient(error)
      if (!isPassing || Date.now() > deadline) {
        if (isCommitSent) throw inDoubt(error)
        throw isPassing ? databaseAway(error) : error
      }
      await backOff(attempt, { stepMs: 10, maxMs: 500 })
    }
  }
}

const IN_DOUBT =
  'The database went away while the job was made. With an Idempotency-Key the file can be sent again safely.'

const inDoubt = (cause: unknown) => new PebblesError('unavailable', IN_DOUBT, { retryAfterSeconds: 2, cause })

/** A COMMIT was sent and nobody knows what became of it: it may even take effect later. */
export const isJobInDoubt = (error: unknown): boolean =>
  error instanceof PebblesError && error.message === IN_DOUBT

const isMismatch = (error: unknown) => error instanceof PebblesError && error.code === 'idempotency_mismatch'

async function create(tx: ClientBase, queue: Pick<JobQueue, 'enqueue'>, job: NewJob): Promise<Creation> {
  const earlier = await findEarlier(tx, job)
  if (earlier) return earlier
  const { parent } = job
  const parentId =
    parent === undefined ? null : await requireParent(tx, { ...job, parent }, { isLocked: true })
  const name = await findFreeLedgerName(tx, job)
  await insertJob(tx, job, parentId, name)
  const reporter = { ...job, ledgerFilename: name.filename, successCount: 0, failedCount: 0 }
  const report = { done: 0, failed: 0, total: null, isLast: false, errors: [] }
  const recordId = await reportToLedger(tx, reporter, report)
  await queue.enqueue(tx, job.id)
  return { jobId: job.id, recordId, isReplay: false }
}

/** The job that was made with the same key; or this very one, when the answer to its COMMIT got lost. */
async function findEarlier(tx: ClientBase, { id, idempotency }: NewJob): Promise<Creation | undefined> {
  const { rows } = await tx.query(
    `SELECT id, client_krn, ledger_filename, idempotency_fingerprint FROM jobs WHERE id = $1 OR idempotency_id = $2`,
    [id, idempotency?.id ?? null],
  )
  const found = rows[0]
  if (!found) return undefined
  if (found.idempotency_fingerprint !== (idempotency?.fingerprint ?? null)) {
    throw new PebblesError(
      'idempotency_mismatch',
      'This Idempotency-Key was sent before with another file, filename or dataset.',
    )
  }
  const recordId = recordIdOf(found.client_krn, found.ledger_filename)
  return { jobId: found.id, recordId, isReplay: found.id !== id }
}

async function insertJob(
  tx: ClientBase,
  job: NewJob,
  parentId: string | null,
  name: LedgerName,
): Promise<void> {
  await tx.query({
    name: 'insert-job',
    text: `INSERT INTO jobs (id, client_krn, email, filename, ledger_filename, ledger_number, dataset, parent_id,
                             object_name, size_bytes, sha256, status, idempotency_id, idempotency_fingerprint,
                             dataset_version)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'pending', $12, $13, $14)`,
    values: [
      job.id,
      job.clientKrn,
      job.email,
      job.filename,
      name.filename,
      name.number,
      job.dataset,
      parentId,
      job.objectName,
      job.sizeBytes,
      job.sha256,
      job.idempotency?.id ?? null,
      job.idempotency?.fingerprint ?? null,
      job.datasetVersion ?? 0,
    ],
  })
}
