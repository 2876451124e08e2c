import type { ClientBase } from 'pg'
import { plainArray } from '../../platform/postgres/arrays.ts'
import { recordIdOf } from '../../progress/record.ts'
import { ledgerNameOf } from './ledger-name.ts'

/** A job's name in the ledger, and which upload of its filename it is. */
export interface LedgerName {
  filename: string
  number: number
}

/** Names looked up at once. More than one is taken only where outside workers use such names themselves. */
const CANDIDATES = 20

/**
 * The next name that no record of the client has. Uploads of one filename are let through one by one until their
 * transaction ends; an outside worker that takes the name meanwhile shows as a unique violation.
 */
export async function findFreeLedgerName(
  tx: ClientBase,
  { clientKrn, filename }: { clientKrn: string; filename: string },
): Promise<LedgerName> {
  await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`${clientKrn}/${filename}`])
  const { rows } = await tx.query<{ newest: number | null }>(
    'SELECT max(ledger_number) AS newest FROM jobs WHERE client_krn = $1 AND filename = $2',
    [clientKrn, filename],
  )
  for (let first = (rows[0]!.newest ?? 0) + 1; ; first += CANDIDATES) {
    const names = Array.from({ length: CANDIDATES }, (_, index) => ledgerNameOf(filename, first + index))
    const ids = names.map((name) => recordIdOf(clientKrn, name))
    const taken = await existingRecords(tx, ids)
    const free = ids.findIndex((id) => !taken.has(id))
    if (free !== -1) return { filename: names[free]!, number: first + free }
  }
}

async function existingRecords(tx: ClientBase, ids: string[]): Promise<Set<string>> {
  const { rows } = await tx.query<{ id: string }>('SELECT id FROM records WHERE id = ANY ($1::uuid[])', [
    plainArray(ids),
  ])
  return new Set(rows.map(({ id }) => id))
}

export async function renameInLedger(tx: ClientBase, jobId: string, name: LedgerName): Promise<void> {
  await tx.query('UPDATE jobs SET ledger_filename = $2, ledger_number = $3 WHERE id = $1', [
    jobId,
    name.filename,
    name.number,
  ])
}
