import type { ClientBase } from 'pg'
import { correctRecord, type Update } from '../record.ts'
import { noteInOutbox } from './outbox-postgres.ts'
import { lockRecords } from './sql-read.ts'
import { writeBatch } from './sql-write.ts'

/** A record whose failed rows came back corrected. */
export interface Correction {
  recordId: string
  clientKrn: string
  filename: string
  /** How many move from failed to done. */
  rows: number
}

/**
 * Moves rows of a record from failed to done, inside a transaction of the caller's. The record may be completed, and
 * stays so: it is closed to whoever reports, not to the truth about its rows. The move is an audit event of its own
 * channel, and moves the record's sequence, so that live views are told.
 *
 * @returns false when there is no such record, or nothing in it has failed
 */
export async function correctWithin(tx: ClientBase, correction: Correction): Promise<boolean> {
  const { recordId, clientKrn, filename, rows } = correction
  const before = (await lockRecords(tx, [{ recordId }])).get(recordId)
  const state = before && correctRecord(before, rows)
  if (!state) return false
  const update: Update = {
    recordId,
    clientKrn,
    filename,
    email: state.email,
    channel: 'correction',
    counts: { done: rows, warn: 0, failed: -rows },
    isLast: state.isCompleted,
    errors: [],
    warnings: [],
  }
  const changes = new Map([[recordId, { isNew: false, state }]])
  const applied = [{ update, state }]
  await writeBatch(tx, { outcomes: [], applied, changes, decided: new Map(), refused: [] })
  await noteInOutbox(tx, recordId)
  return true
}
