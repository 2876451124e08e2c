import type { ClientBase, Pool } from 'pg'
import { type ErrorCode, PebblesError } from '../../platform/errors.ts'
import { isEnded, type JobStatus } from '../job.ts'
import { isJobId } from '../job-id.ts'

/**
 * The job that a corrected report corrects, by the id that the uploader gave. A correction has the row numbers of the
 * file that it corrects in its own report, so correcting it once more corrects that same file: there is one level.
 *
 * Inside a transaction the parent is locked against going on until that has ended.
 *
 * @throws PebblesError `not_found`, `wrong_state` or `invalid_request`, naming `parent`
 */
export async function requireParent(
  db: Pool | ClientBase,
  { clientKrn, parent, dataset }: { clientKrn: string; parent: string; dataset: string },
  { isLocked = false } = {},
): Promise<string> {
  const named = isJobId(parent) ? await findJob(db, clientKrn, parent, isLocked) : undefined
  if (!named) throw parentFault('not_found', 'is no job of this client')
  const root = named.parent_id === null ? named : await findJob(db, clientKrn, named.parent_id, isLocked)
  if (!root) throw parentFault('not_found', 'corrects a job that has been deleted; upload the file by itself')
  if (root.dataset !== dataset) throw parentFault('invalid_request', `is of the dataset ${root.dataset}`)
  if (root.is_deleting) throw parentFault('wrong_state', 'is being deleted')
  if (!isEnded(root.status)) {
    throw parentFault('wrong_state', `is ${root.status}; its refused rows can be corrected when it has ended`)
  }
  return root.id
}

interface Parent {
  id: string
  parent_id: string | null
  dataset: string
  status: JobStatus
  is_deleting: boolean
}

async function findJob(
  db: Pool | ClientBase,
  clientKrn: string,
  id: string,
  isLocked: boolean,
): Promise<Parent | undefined> {
  const { rows } = await db.query<Parent>(
    `SELECT id, parent_id, dataset, status, deleting_at IS NOT NULL AS is_deleting
     FROM jobs WHERE id = $1 AND client_krn = $2 ${isLocked ? 'FOR SHARE' : ''}`,
    [id, clientKrn],
  )
  return rows[0]
}

const parentFault = (code: ErrorCode, message: string) =>
  new PebblesError(code, `The job named as parent ${message}.`, { faults: [{ field: 'parent', message }] })
