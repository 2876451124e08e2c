import type { ClientBase } from 'pg'
import { plainArray } from '../platform/postgres/arrays.ts'
import type { AppliedUpdate, Decided } from './batch.ts'
import { KEPT_DAYS } from './ids-postgres.ts'
import type { RecordState, Update } from './record.ts'
import type { Outcome } from './store.ts'

/** Tells one transaction from all others, also across a crash after which PostgreSQL gives its number again. */
export interface TransactionMark {
  xid: string
  startedAt: string
}

/** Was the transaction that wrote these events committed? It must have ended: ask only while holding its locks. */
export async function findCommitted(
  tx: ClientBase,
  mark: TransactionMark,
  applied: readonly AppliedUpdate[],
): Promise<boolean> {
  const state = applied[0]?.state
  if (!state) return false
  const { rowCount } = await tx.query({
    name: 'find-committed',
    text: `SELECT FROM events
           WHERE record_id = $1 AND sequence = $2 AND xid = $3::xid8 AND at = $4::timestamptz::timestamptz(3)`,
    values: [state.id, state.sequence, mark.xid, mark.startedAt],
  })
  return rowCount === 1
}

/** Locks the records of these updates, in the order of their ids, and returns their states by id. */
export async function lockRecords(
  tx: ClientBase,
  updates: readonly Pick<Update, 'recordId'>[],
): Promise<Map<string, RecordState>> {
  const { rows } = await tx.query({
    name: 'lock-records',
    rowMode: 'array',
    text: `SELECT id, email, done, warn, failed, total, is_completed, errors_total, warnings_total, sequence
           FROM records WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE`,
    values: [plainArray([...new Set(updates.map((update) => update.recordId))])],
  })
  return new Map(
    rows.map(([id, email, done, warn, failed, total, isCompleted, errorsTotal, warningsTotal, sequence]) => {
      const counts = { done, warn, failed }
      return [id, { id, email, counts, total, isCompleted, errorsTotal, warningsTotal, sequence }]
    }),
  )
}

/**
 * The ids among these that were decided before, with the outcome that was given then, and the mark of the transaction.
 * A statement of its own after the locks: only its snapshot is sure to see what the holders before us committed.
 */
export async function lookUpIds(
  tx: ClientBase,
  updates: readonly Update[],
): Promise<{ mark: TransactionMark; earlier: Map<string, Decided> }> {
  const { rows } = await tx.query({
    name: 'look-up-ids',
    text: `SELECT pg_current_xact_id()::text AS xid, now()::text AS "startedAt", (
             SELECT json_agg(row_to_json(found)) FROM (
               SELECT DISTINCT ON (i.id) i.id, i.fingerprint, i.result, i.record_id, e.sequence, e.done, e.warn, e.failed, e.total,
                      e.is_completed, e.errors_total, e.warnings_total
               FROM applied_ids i
               LEFT JOIN events e ON e.record_id = i.record_id AND e.sequence = i.sequence
               WHERE i.id = ANY ($1::uuid[]) AND i.day > (now() AT TIME ZONE 'UTC')::date - $2::int
               ORDER BY i.id, i.day
             ) found
           ) AS decided`,
    values: [plainArray(updates.flatMap((update) => update.id?.id ?? [])), KEPT_DAYS],
  })
  const { xid, startedAt, decided } = rows[0]
  const earlier = new Map<string, Decided>()
  for (const row of decided ?? [])
    earlier.set(row.id, { fingerprint: row.fingerprint, outcome: storedOutcome(row) })
  return { mark: { xid, startedAt }, earlier }
}

// biome-ignore lint/suspicious/noExplicitAny: a row comes untyped from the driver; this is where it gets its type.
function storedOutcome(row: any): Outcome {
  if (row.record_id === null) return { result: row.result, isReplay: false }
  return {
    result: row.result,
    recordId: row.record_id,
    isReplay: false,
    totals: {
      counts: { done: row.done, warn: row.warn, failed: row.failed },
      total: row.total,
      isCompleted: row.is_completed,
      errorsTotal: row.errors_total,
      warningsTotal: row.warnings_total,
      sequence: row.sequence,
    },
  }
}
