import { createHash } from 'node:crypto'
import type { Pool } from 'pg'
import { PebblesError } from '../../platform/errors.ts'
import { orAway } from '../../platform/postgres/database.ts'
import type { SigningKeys } from '../../platform/postgres/signing-keys.ts'
import { noSuchJob } from '../control/control-postgres.ts'
import { isEnded, type Job } from '../job.ts'
import { findJob } from '../read-postgres.ts'
import { errorsCsv } from '../report/errors-csv.ts'
import { receiptClaims, signReceipt } from './receipt.ts'

/** Tries until the job holds still for as long as its report is hashed. */
const MAX_TRIES = 5

export interface Receipts {
  /**
   * The receipt of an ended job as it is now: the stored one when there is one for this state, else a new one.
   *
   * @throws PebblesError `not_found`, `wrong_state` or `unavailable`
   */
  receiptOf(clientKrn: string, id: string): Promise<string>
}

/** Makes receipts, one after the other: each reads all refused rows of its job, which may be many. */
export function createReceipts(pool: Pool, keys: SigningKeys): Receipts {
  let line: Promise<unknown> = Promise.resolve()

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = line.then(work)
    line = result.catch(() => {})
    return result
  }

  async function receiptOf(clientKrn: string, id: string): Promise<string> {
    const job = await requireEnded(pool, clientKrn, id)
    return (await findStored(pool, job)) ?? (await inTurn(() => make(clientKrn, id)))
  }

  /**
   * The report is hashed page by page, without a snapshot that would be held open for it. Everything that changes a
   * refused row moves the job's sequence in the same transaction, so a sequence that is the same before and after says
   * that all pages, and the counts, were those of one state. The receipt is stored only then.
   */
  async function make(clientKrn: string, id: string): Promise<string> {
    const key = await keys.current()
    for (let attempt = 1; attempt <= MAX_TRIES; attempt++) {
      const job = await requireEnded(pool, clientKrn, id)
      const stored = await findStored(pool, job)
      if (stored !== undefined) return stored
      const reportSha256 = await hashReport(pool, job)
      const installation = await installationId(pool)
      const claims = receiptClaims(job, { installation, reportSha256, issuedAt: new Date() })
      await store(pool, job, await signReceipt(claims, key))
    }
    throw new PebblesError('unavailable', 'The job is being corrected at the moment.', {
      retryAfterSeconds: 2,
    })
  }

  return { receiptOf: (clientKrn, id) => orAway(receiptOf(clientKrn, id)) }
}

async function requireEnded(pool: Pool, clientKrn: string, id: string): Promise<Job> {
  const job = await findJob(pool, clientKrn, id)
  if (!job) throw noSuchJob()
  if (isEnded(job.status)) return job
  throw new PebblesError('wrong_state', `The job is ${job.status}; it has a receipt when it has ended.`)
}

async function findStored(pool: Pool, { id, sequence }: Job): Promise<string | undefined> {
  const { rows } = await pool.query<{ jws: string }>(
    'SELECT jws FROM job_receipts WHERE job_id = $1 AND sequence = $2',
    [id, sequence],
  )
  return rows[0]?.jws
}

/** Kept only while the job is still what was signed; of two that were made at once the first one stays. */
async function store(pool: Pool, { id, sequence }: Job, jws: string): Promise<void> {
  await pool.query(
    `INSERT INTO job_receipts (job_id, sequence, jws)
     SELECT id, sequence, $3 FROM jobs WHERE id = $1 AND sequence = $2 AND deleting_at IS NULL FOR KEY SHARE
     ON CONFLICT DO NOTHING`,
    [id, sequence, jws],
  )
}

async function hashReport(pool: Pool, job: Job): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of errorsCsv(pool, job)) hash.update(chunk)
  return hash.digest('hex')
}

async function installationId(pool: Pool): Promise<string> {
  const { rows } = await pool.query<{ id: string }>('SELECT id FROM installation')
  return rows[0]!.id
}
