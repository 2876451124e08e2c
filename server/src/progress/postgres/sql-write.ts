import type { ClientBase } from 'pg'
import {
  booleanArray,
  jsonArray,
  numberArray,
  plainArray,
  textArray,
} from '../../platform/postgres/arrays.ts'
import type { AppliedUpdate, BatchResult, RecordChange, RefusedInBatch } from '../batch.ts'
import type { IdKind, Issue } from '../record.ts'
import { ID_TABLES } from './ids-postgres.ts'
import { nameOf, type Run, runsOf } from './runs-postgres.ts'

/**
 * Writes a batch: records, issues, audit events, ids and refusals, in one statement.
 *
 * One instead of six because each costs a message each way and the start of an executor, more than its rows do in a
 * small batch. What has no rows is left out of it, for the same reason; each form of it is prepared once.
 * A record or an id that somebody else created meanwhile raises 23505 and undoes the transaction.
 *
 * New records are the main query, which PostgreSQL runs first: whoever creates the same files waits there, in the order
 * of ids, and not crosswise in the tables below (seen as deadlocks when records came last).
 */
const WRITE_BATCH = `
WITH applied AS (
  SELECT *
  FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::boolean[], $7::bigint[],
              $8::bigint[], $9::bigint[], $10::text[], $11::text[], $12::json[], $13::boolean[], $14::text[],
              $15::text[], $16::text[])
       AS a (id, done, warn, failed, total, is_completed, errors_total, warnings_total, sequence, channel, update_id,
             earlier, moves, client_krn, filename, email)
), audited AS (
  INSERT INTO events (record_id, done, warn, failed, total, is_completed, errors_total, warnings_total, sequence,
                      channel, update_id, earlier)
  SELECT id, done, warn, failed, total, is_completed, errors_total, warnings_total, sequence, channel, update_id, earlier
  FROM applied
), moved AS (
  UPDATE records r
  SET done = a.done, warn = a.warn, failed = a.failed, total = a.total, is_completed = a.is_completed,
      errors_total = a.errors_total, warnings_total = a.warnings_total, sequence = a.sequence,
      updated_at = greatest(r.updated_at, now()::timestamptz(3)),
      listed_at = date_trunc('second', greatest(r.updated_at, now()::timestamptz(3)))
  FROM applied a
  WHERE a.moves AND r.id = a.id
)`

const CREATE_RECORDS = `
INSERT INTO records (id, client_krn, filename, email, done, warn, failed, total, is_completed, errors_total,
                     warnings_total, sequence, created_at, updated_at, listed_at)
SELECT id, client_krn, filename, email, done, warn, failed, total, is_completed, errors_total, warnings_total, sequence,
       now(), now(), date_trunc('second', now()::timestamptz(3))
FROM applied
WHERE client_krn IS NOT NULL
ORDER BY id`

/** A part of the statement that is there only when it has rows. */
interface Part {
  name: string
  insert: string
  /** What is selected from the rows. */
  select: string
  types: string[]
  columns(result: BatchResult): string[] | undefined
}

const idPart = (kind: IdKind): Part => {
  const { table, column, current } = ID_TABLES[kind]
  return {
    name: `${kind}_ids`,
    insert: `${table} (${column}, id, fingerprint, result, record_id, sequence)`,
    select: `${current}, *`,
    types: ['uuid', 'uuid', 'text', 'uuid', 'bigint'],
    columns: ({ decided }) => idColumns(decided, kind),
  }
}

const PARTS: Part[] = [
  {
    name: 'issued',
    insert: 'issues (record_id, kind, ordinal, line, message)',
    select: '*',
    types: ['uuid', 'smallint', 'bigint', 'bigint', 'text'],
    columns: ({ applied }) => issueColumns(applied),
  },
  idPart('request'),
  idPart('message'),
  {
    name: 'refused',
    insert: 'refusals (record_id, channel, update_id, email, result, done, warn, failed)',
    select: '*',
    types: ['uuid', 'text', 'text', 'text', 'text', 'bigint', 'bigint', 'bigint'],
    columns: ({ refused }) => refusalColumns(refused),
  },
]

export async function writeBatch(tx: ClientBase, result: BatchResult): Promise<void> {
  const values = runColumns(result)
  let name = 'write-batch'
  let text = WRITE_BATCH
  for (const part of PARTS) {
    const columns = part.columns(result)
    if (!columns) continue
    const rows = part.types.map((type, index) => `$${values.length + index + 1}::${type}[]`)
    name += ` ${part.name}`
    text += `, ${part.name} AS (INSERT INTO ${part.insert} SELECT ${part.select} FROM unnest(${rows.join()}))`
    values.push(...columns)
  }
  await tx.query({ name, text: text + CREATE_RECORDS, values })
}

/**
 * A row for each run. Those that leave a new record behind come first, with the columns that only a new record needs:
 * where these end, `unnest` goes on with NULL.
 */
function runColumns({ applied, changes }: BatchResult): string[] {
  /** Of a run that leaves its record behind as it is at the end. */
  const changeOf = ({ state }: AppliedUpdate): RecordChange | undefined => {
    const change = changes.get(state.id)
    return change?.state === state ? change : undefined
  }
  const created: Run[] = []
  const others: Run[] = []
  for (const run of runsOf(applied)) (changeOf(run.newest)?.isNew ? created : others).push(run)
  const runs = [...created, ...others]
  const states = runs.map(({ newest }) => newest.state)
  const updates = runs.map(({ newest }) => newest.update)
  const creators = created.map(({ newest }) => newest.update)
  return [
    plainArray(states.map(({ id }) => id)),
    numberArray(states.map(({ counts }) => counts.done)),
    numberArray(states.map(({ counts }) => counts.warn)),
    numberArray(states.map(({ counts }) => counts.failed)),
    numberArray(states.map(({ total }) => total)),
    booleanArray(states.map(({ isCompleted }) => isCompleted)),
    numberArray(states.map(({ errorsTotal }) => errorsTotal)),
    numberArray(states.map(({ warningsTotal }) => warningsTotal)),
    numberArray(states.map(({ sequence }) => sequence)),
    plainArray(updates.map(({ channel }) => channel)),
    textArray(updates.map(nameOf)),
    jsonArray(runs.map(({ earlier }) => earlier)),
    booleanArray(runs.map(({ newest }) => changeOf(newest)?.isNew === false)),
    textArray(creators.map(({ clientKrn }) => clientKrn)),
    textArray(creators.map(({ filename }) => filename)),
    textArray(creators.map(({ email }) => email)),
  ]
}

/** An update's issues take the ordinals that end at the totals it left behind. */
function issueColumns(applied: AppliedUpdate[]): string[] | undefined {
  const rows: (Issue & { id: string; kind: number; ordinal: number })[] = []
  const add = (id: string, kind: number, issues: Issue[], total: number) => {
    let ordinal = total - issues.length
    for (const { line, message } of issues) rows.push({ id, kind, ordinal: ++ordinal, line, message })
  }
  for (const { update, state } of applied) {
    add(state.id, 0, update.errors, state.errorsTotal)
    add(state.id, 1, update.warnings, state.warningsTotal)
  }
  if (rows.length === 0) return undefined
  return [
    plainArray(rows.map(({ id }) => id)),
    numberArray(rows.map(({ kind }) => kind)),
    numberArray(rows.map(({ ordinal }) => ordinal)),
    numberArray(rows.map(({ line }) => line)),
    textArray(rows.map(({ message }) => message)),
  ]
}

function idColumns(decided: BatchResult['decided'], kind: IdKind): string[] | undefined {
  const rows = [...decided].filter(([, { update }]) => update.id?.kind === kind)
  if (rows.length === 0) return undefined
  rows.sort(([a], [b]) => (a < b ? -1 : 1))
  const applied = rows.map(([, { outcome }]) => ('totals' in outcome ? outcome : null))
  return [
    plainArray(rows.map(([id]) => id)),
    plainArray(rows.map(([, { fingerprint }]) => fingerprint)),
    plainArray(rows.map(([, { outcome }]) => outcome.result)),
    plainArray(applied.map((outcome) => outcome?.recordId ?? null)),
    numberArray(applied.map((outcome) => outcome?.totals.sequence ?? null)),
  ]
}

function refusalColumns(refused: RefusedInBatch[]): string[] | undefined {
  if (refused.length === 0) return undefined
  const updates = refused.map(({ update }) => update)
  return [
    plainArray(updates.map(({ recordId }) => recordId)),
    plainArray(updates.map(({ channel }) => channel)),
    textArray(updates.map(nameOf)),
    textArray(updates.map(({ email }) => email)),
    plainArray(refused.map(({ result }) => result)),
    numberArray(updates.map(({ counts }) => counts.done)),
    numberArray(updates.map(({ counts }) => counts.warn)),
    numberArray(updates.map(({ counts }) => counts.failed)),
  ]
}
