import type { ClientBase } from 'pg'
import { plainArray } from '../../platform/postgres/arrays.ts'
import type { AppliedUpdate, Decided } from '../batch.ts'
import type { IdKind, RecordState, Update } from '../record.ts'
import type { Outcome } from '../store.ts'
import { ID_TABLES } from './ids-postgres.ts'
import { totalsOf } from './runs-postgres.ts'

/** Tells one transaction from all others, also across a crash after which PostgreSQL gives its number again. */
export interface TransactionMark {
  xid: string
  startedAt: string
  /** Its time as lists have it: `listed_at` of what it writes. */
  listedAt: string
}

/** Was the transaction that wrote these events committed? It must have ended: ask only while holding its locks. */
export async function findCommitted(
  tx: ClientBase,
  mark: TransactionMark,
  applied: readonly AppliedUpdate[],
): Promise<boolean> {
  // The newest update of all is the newest one of its run, and so has its own columns.
  const state = applied.at(-1)?.state
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
  const recordIds = new Set<string>()
  for (const { recordId } of updates) recordIds.add(recordId)
  const { rows } = await tx.query({
    name: 'lock-records',
    rowMode: 'array',
    text: `SELECT id, email, done, warn, failed, total, is_completed, errors_total, warnings_total, sequence
           FROM records WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE`,
    values: [plainArray([...recordIds])],
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
  const ids: Record<IdKind, string[]> = { request: [], message: [] }
  for (const { id } of updates) if (id) ids[id.kind].push(id.id)
  const kinds = ID_KINDS.filter((kind) => ids[kind].length > 0)
  const { rows } = await tx.query({
    // Only tables that have something to tell are asked: a look costs a probe of each of their partitions.
    name: `look-up-ids ${kinds.join()}`,
    text: lookUpStatement(kinds),
    values: kinds.map((kind) => plainArray(ids[kind])),
  })
  const { xid, startedAt, listedAt, ...decided } = rows[0]
  const earlier = new Map<string, Decided>()
  for (const kind of kinds) {
    for (const row of decided[kind] ?? [])
      earlier.set(row.id, { fingerprint: row.fingerprint, outcome: storedOutcome(row) })
  }
  return { mark: { xid, startedAt, listedAt }, earlier }
}

const ID_KINDS = Object.keys(ID_TABLES) as IdKind[]

function lookUpStatement(kinds: IdKind[]): string {
  const found = kinds.map((kind, index) => {
    const { table, column, current, keptDays } = ID_TABLES[kind]
    return `, (
      SELECT json_agg(row_to_json(found)) FROM (
        SELECT DISTINCT ON (i.id) i.id, i.fingerprint, i.result, i.record_id, i.sequence, e.done, e.warn, e.failed, e.total,
               e.is_completed, e.errors_total, e.warnings_total, e.earlier -> nullif(i.sequence - e.sequence, 0)::int AS earlier
        FROM ${table} i
        LEFT JOIN LATERAL (
          SELECT * FROM events
          WHERE record_id = i.record_id AND sequence >= i.sequence
          ORDER BY sequence LIMIT 1
        ) e ON true
        WHERE i.id = ANY ($${index + 1}::uuid[]) AND i.${column} > ${current} - ${keptDays}
        ORDER BY i.id, i.${column}
      ) found
    ) AS "${kind}"`
  })
  return `SELECT pg_current_xact_id()::text AS xid, now()::text AS "startedAt",
                 date_trunc('second', now()::timestamptz(3))::text AS "listedAt"${found.join('')}`
}

// biome-ignore lint/suspicious/noExplicitAny: a row comes untyped from the driver; this is where it gets its type.
function storedOutcome(row: any): Outcome {
  if (row.record_id === null) return { result: row.result, isReplay: false }
  const totals = totalsOf(row.sequence, row, row.earlier)
  return { result: row.result, recordId: row.record_id, totals, isReplay: false }
}
