import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ClientBase } from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { copyLines } from '../platform/postgres/copy.ts'

/** A row on its way into `customers`. */
export interface StagedCustomer {
  id: string
  rowNumber: number
  /** It is to be inserted; one that is not valid is only looked up, to tell all its faults at once. */
  isValid: boolean
  name: string | null
  email: string
  phone: string | null
  company: string | null
}

/** A row whose e-mail the client has already: from row `firstRow` of the same file, or, when null, from elsewhere. */
export interface Conflict {
  rowNumber: number
  firstRow: number | null
}

/** Where the rows come from. */
export interface Origin {
  jobId: string
  clientKrn: string
}

/**
 * Inserts the valid rows whose e-mail is new to the client, inside the caller's transaction, and tells the others.
 * Of two rows with one e-mail the first one counts, in whichever batches they are.
 */
export async function insertCustomers(
  tx: ClientBase,
  origin: Origin,
  rows: readonly StagedCustomer[],
): Promise<Conflict[]> {
  if (rows.length === 0) return []
  await createStage(tx)
  await fillStage(tx, rows)
  const inserted = await insertStaged(tx, origin)
  return inserted === rows.length ? [] : findConflicts(tx, origin)
}

/** COPY does not work on a table with row-level security, and cannot skip conflicts: both end at a temporary table. */
async function createStage(tx: ClientBase): Promise<void> {
  await tx.query(
    `CREATE TEMPORARY TABLE IF NOT EXISTS stage_customers (
       id uuid, row_number bigint, is_valid boolean, name text, email text, phone text, company text
     ) ON COMMIT DELETE ROWS`,
  )
}

async function fillStage(tx: ClientBase, rows: readonly StagedCustomer[]): Promise<void> {
  const columns = rows.map((row) => [
    row.id,
    String(row.rowNumber),
    row.isValid ? 't' : 'f',
    row.name,
    row.email,
    row.phone,
    row.company,
  ])
  const stage = tx.query(copyFrom('COPY pg_temp.stage_customers FROM STDIN'))
  // Not `.pipe()`: a source that fails would leave the connection waiting for ever.
  await pipeline(Readable.from(copyLines(columns)), stage)
}

/**
 * In one order for all, so that two imports of one client wait for each other instead of deadlocking. Without a target,
 * since a row that is there already under its own id is no fault either: the fence finds whoever does it again.
 */
async function insertStaged(tx: ClientBase, { jobId, clientKrn }: Origin): Promise<number> {
  const { rowCount } = await tx.query(
    `INSERT INTO customers (id, job_id, client_krn, row_number, name, email, phone, company)
     SELECT id, $1, $2, row_number, name, email, phone, company
     FROM pg_temp.stage_customers
     WHERE is_valid
     ORDER BY lower(email) COLLATE "C", row_number
     ON CONFLICT DO NOTHING`,
    [jobId, clientKrn],
  )
  return rowCount!
}

/**
 * A statement of its own, so that it sees what others committed while the insert waited for them. A row that is not
 * valid conflicts only with what came before it: whether a later row exists must not depend on how batches are cut.
 */
async function findConflicts(tx: ClientBase, { jobId, clientKrn }: Origin): Promise<Conflict[]> {
  const { rows } = await tx.query(
    `SELECT s.row_number, CASE WHEN c.job_id = $1 THEN c.row_number END AS first_row
     FROM pg_temp.stage_customers s
     CROSS JOIN LATERAL (
       SELECT id, job_id, row_number FROM customers
       WHERE client_krn = $2 AND lower(email) = lower(s.email)
       LIMIT 1) c
     WHERE c.id <> s.id AND (s.is_valid OR c.job_id <> $1 OR c.row_number < s.row_number)`,
    [jobId, clientKrn],
  )
  return rows.map((row) => ({
    rowNumber: row.row_number as number,
    firstRow: row.first_row as number | null,
  }))
}
