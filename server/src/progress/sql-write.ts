import type { ClientBase } from 'pg'
import { booleanArray, numberArray, plainArray, textArray } from '../platform/postgres/arrays.ts'
import type { AppliedUpdate, BatchResult, RecordChange } from './batch.ts'
import type { RecordState } from './record.ts'

/**
 * Writes a batch: records, issues, audit events and ids, in one statement.
 *
 * One instead of five because each costs a message each way and the start of an executor, more than its rows do in a
 * small batch. A record or an id that somebody else created meanwhile raises 23505 and undoes the transaction.
 *
 * New records are the main query, which PostgreSQL runs first: whoever creates the same files waits there, in the order
 * of ids, and not crosswise in the tables below (seen as deadlocks when records came last).
 */
const WRITE_BATCH = `
WITH applied AS (
  SELECT *
  FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::boolean[], $7::bigint[],
              $8::bigint[], $9::bigint[], $10::text[], $11::text[])
       AS a (id, done, warn, failed, total, is_completed, errors_total, warnings_total, sequence, channel, update_id)
), audited AS (
  INSERT INTO events (record_id, done, warn, failed, total, is_completed, errors_total, warnings_total, sequence,
                      channel, update_id)
  SELECT * FROM applied
), moved AS (
  UPDATE records r
  SET done = a.done, warn = a.warn, failed = a.failed, total = a.total, is_completed = a.is_completed,
      errors_total = a.errors_total, warnings_total = a.warnings_total, sequence = a.sequence,
      updated_at = greatest(r.updated_at, now()::timestamptz(3)),
      listed_at = date_trunc('second', greatest(r.updated_at, now()::timestamptz(3)))
  FROM (SELECT DISTINCT ON (id) * FROM applied ORDER BY id, sequence DESC) a
  WHERE r.id = a.id
), issued AS (
  INSERT INTO issues (record_id, kind, ordinal, line, message)
  SELECT * FROM unnest($24::uuid[], $25::smallint[], $26::bigint[], $27::bigint[], $28::text[])
), decided AS (
  INSERT INTO applied_ids (day, id, fingerprint, result, record_id, sequence)
  SELECT (now() AT TIME ZONE 'UTC')::date, *
  FROM unnest($29::uuid[], $30::uuid[], $31::text[], $32::uuid[], $33::bigint[])
)
INSERT INTO records (id, client_krn, filename, email, done, warn, failed, total, is_completed, errors_total,
                     warnings_total, sequence, created_at, updated_at, listed_at)
SELECT *, now(), now(), date_trunc('second', now()::timestamptz(3))
FROM unnest($12::uuid[], $13::text[], $14::text[], $15::text[], $16::bigint[], $17::bigint[], $18::bigint[],
            $19::bigint[], $20::boolean[], $21::bigint[], $22::bigint[], $23::bigint[]) AS u (id)
ORDER BY u.id`

export async function writeBatch(tx: ClientBase, { applied, changes, decided }: BatchResult): Promise<void> {
  const values = [
    ...eventColumns(applied),
    ...createdColumns([...changes].filter((change) => change.isNew)),
    ...issueColumns(applied),
    ...idColumns(decided),
  ]
  await tx.query({ name: 'write-batch', text: WRITE_BATCH, values })
}

function createdColumns(changes: RecordChange[]): string[] {
  return [
    plainArray(changes.map(({ state }) => state.id)),
    textArray(changes.map(({ clientKrn }) => clientKrn)),
    textArray(changes.map(({ filename }) => filename)),
    textArray(changes.map(({ state }) => state.email)),
    ...totalsColumns(changes),
  ]
}

function totalsColumns(rows: { state: RecordState }[]): string[] {
  const states = rows.map(({ state }) => state)
  return [
    numberArray(states.map(({ counts }) => counts.done)),
    numberArray(states.map(({ counts }) => counts.warn)),
    numberArray(states.map(({ counts }) => counts.failed)),
    numberArray(states.map(({ total }) => total)),
    booleanArray(states.map(({ isCompleted }) => isCompleted)),
    numberArray(states.map(({ errorsTotal }) => errorsTotal)),
    numberArray(states.map(({ warningsTotal }) => warningsTotal)),
    numberArray(states.map(({ sequence }) => sequence)),
  ]
}

/** An update's issues take the ordinals that end at the totals it left behind. */
function issueColumns(applied: AppliedUpdate[]): string[] {
  const rows = applied.flatMap(({ update, state }) =>
    (
      [
        [0, update.errors, state.errorsTotal],
        [1, update.warnings, state.warningsTotal],
      ] as const
    ).flatMap(([kind, issues, total]) =>
      issues.map((issue, index) => ({
        ...issue,
        id: state.id,
        kind,
        ordinal: total - issues.length + index + 1,
      })),
    ),
  )
  return [
    plainArray(rows.map(({ id }) => id)),
    numberArray(rows.map(({ kind }) => kind)),
    numberArray(rows.map(({ ordinal }) => ordinal)),
    numberArray(rows.map(({ line }) => line)),
    textArray(rows.map(({ message }) => message)),
  ]
}

function eventColumns(applied: AppliedUpdate[]): string[] {
  return [
    plainArray(applied.map(({ state }) => state.id)),
    ...totalsColumns(applied),
    plainArray(applied.map(({ update }) => update.channel)),
    textArray(applied.map(({ update }) => update.id?.key ?? null)),
  ]
}

function idColumns(decided: BatchResult['decided']): string[] {
  const rows = [...decided].sort(([a], [b]) => (a < b ? -1 : 1))
  const applied = rows.map(([, { outcome }]) => ('totals' in outcome ? outcome : null))
  return [
    plainArray(rows.map(([id]) => id)),
    plainArray(rows.map(([, { fingerprint }]) => fingerprint)),
    plainArray(rows.map(([, { outcome }]) => outcome.result)),
    plainArray(applied.map((outcome) => outcome?.recordId ?? null)),
    numberArray(applied.map((outcome) => outcome?.totals.sequence ?? null)),
  ]
}
