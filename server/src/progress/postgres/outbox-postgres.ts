import type { ClientBase, Pool } from 'pg'
import { PebblesError } from '../../platform/errors.ts'

/** Notes, in the transaction that moved it, that a record is to be copied to where the records are. */
export async function noteInOutbox(tx: ClientBase, recordId: string): Promise<void> {
  await tx.query({
    name: 'note-in-outbox',
    text: `INSERT INTO ledger_outbox (record_id, noted)
           SELECT r.id, r.sequence FROM records r, installation i WHERE r.id = $1 AND i.records_in_mongo
           ON CONFLICT (record_id) DO UPDATE SET noted = excluded.noted`,
    values: [recordId],
  })
}

/**
 * Settles where the records of this database are: once in MongoDB, always there, since what a process without
 * MONGO_URI wrote would be missing.
 *
 * @throws PebblesError `misconfigured` when they are in MongoDB and this process knows of none
 */
export async function settleWhereRecordsAre(pool: Pool, isInMongo: boolean): Promise<void> {
  if (isInMongo) {
    await pool.query('UPDATE installation SET records_in_mongo = true WHERE NOT records_in_mongo')
    return
  }
  const { rows } = await pool.query('SELECT FROM installation WHERE records_in_mongo')
  if (rows.length === 0) return
  const message = 'is needed: this database belongs to an installation whose records are in MongoDB'
  throw new PebblesError('misconfigured', `MONGO_URI: ${message}`, {
    faults: [{ field: 'MONGO_URI', message }],
  })
}
