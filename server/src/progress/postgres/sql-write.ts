import type { ClientBase } from 'pg'
import {
  booleanArray,
  jsonArray,
  numberArray,
  plainArray,
  textArray,
} from '../../platform/postgres/arrays.ts'
import { copyText, NULL } from '../../platform/postgres/copy.ts'
import { copyInPipeline } from '../../platform/postgres/copy-in.ts'
import { settle } from '../../platform/postgres/database.ts'
import type { AppliedUpdate, BatchResult, RecordChange, RefusedInBatch } from '../batch.ts'
import type { IdKind, Issue } from '../record.ts'
import { ID_TABLES } from './ids-postgres.ts'
import { nameOf, type Run, runsOf } from './runs-postgres.ts'
import type { TransactionMark } from './sql-read.ts'

/**
 * Writes a batch: records, issues, audit events, ids and refusals, in one statement.
 *
 * One instead of six because each costs a message each way and the start of an executor, more than its rows do in a
 * small batch. What has no rows is left out of it, for the same reason; each form of it is prepared once.
 * A record or an id that somebody else created meanwhile raises 23505 and undoes the transaction.
 *
 * New records are the main query, which PostgreSQL runs first: whoever creates the same files waits there, in the order
 * of ids, and not crosswise in the tables below (seen as deadlocks when records came last). Many of them are copied in a
 * statement before it.
 *
 * @param mark  of the transaction, where there may be many new records
 */
export async function writeBatch(tx: ClientBase, result: BatchResult, mark?: TransactionMark): Promise<void> {
  const runs = sortRuns(result)
  if (mark && runs.created.length >= MANY) {
    const { created } = runs
    await settle([copyCreated(tx, created, mark), writeRows(tx, { ...result, ...runs, created: [] })])
  } else await writeRows(tx, { ...result, ...runs })
}

async function writeRows(tx: ClientBase, batch: BatchResult & Runs): Promise<void> {
  let name = 'write-batch'
  const values: string[] = []
  const compose = ({ name: what, types, sql, columns }: Part): string | undefined => {
    const written = columns(batch)
    if (!written) return undefined
    const rows = types.map((type, index) => `$${values.length + index + 1}::${type}[]`)
    name += ` ${what}`
    values.push(...written)
    return sql(`unnest(${rows.join()})`)
  }
  const aside = PARTS.map(compose).filter((text) => text !== undefined)
  const main = compose(CREATED)
  if (aside.length === 0 && main === undefined) return
  await tx.query({
    name,
    text: aside.length > 0 ? `WITH ${aside.join()} ${main ?? 'SELECT'}` : main!,
    values,
  })
}

interface Runs {
  /** Those that leave a new record behind. */
  created: Run[]
  /** Those that get a row of the audit: a new record is its first event by itself. */
  audited: Run[]
  /** Does a run leave a record that was there before as it is at the end? */
  moves(run: Run): boolean
}

function sortRuns({ applied, changes }: BatchResult): Runs {
  const changeOf = ({ newest: { state } }: Run): RecordChange | undefined => {
    const change = changes.get(state.id)
    return change?.state === state ? change : undefined
  }
  const created: Run[] = []
  const audited: Run[] = []
  for (const run of runsOf(applied)) {
    const isCreated = changeOf(run)?.isNew === true
    if (isCreated) created.push(run)
    if (!isCreated || !isFirstEvent(run)) audited.push(run)
  }
  return { created, audited, moves: (run) => changeOf(run)?.isNew === false }
}

const isFirstEvent = ({ newest }: Run): boolean => newest.state.sequence === 1

/** A part of the statement, which is there only when it has rows. */
interface Part {
  name: string
  types: string[]
  sql(rows: string): string
  /** A value for each of the types; undefined without rows. */
  columns(batch: BatchResult & Runs): string[] | undefined
}

const TOTALS = 'id, done, warn, failed, total, is_completed, errors_total, warnings_total, sequence'
const TOTALS_TYPES = 'uuid bigint bigint bigint bigint boolean bigint bigint bigint'.split(' ')

function totalsColumns(runs: Run[]): string[] {
  const states = runs.map(({ newest }) => newest.state)
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
  ]
}

const CREATED: Part = {
  name: 'created',
  types: [...TOTALS_TYPES, 'text', 'text', 'text', 'text', 'text'],
  sql: (rows) => `
    INSERT INTO records (${TOTALS}, client_krn, filename, email, first_channel, first_update_id, first_xid,
                         created_at, updated_at, listed_at)
    SELECT *, CASE sequence WHEN 1 THEN pg_current_xact_id() END, now(), now(), date_trunc('second', now()::timestamptz(3))
    FROM ${rows} AS a (${TOTALS}, client_krn, filename, email, channel, update_id)
    ORDER BY id`,
  columns({ created }) {
    if (created.length === 0) return undefined
    const updates = created.map(({ newest }) => newest.update)
    const firsts = created.map((run) => (isFirstEvent(run) ? run.newest.update : undefined))
    return [
      ...totalsColumns(created),
      textArray(updates.map(({ clientKrn }) => clientKrn)),
      textArray(updates.map(({ filename }) => filename)),
      textArray(updates.map(({ email }) => email)),
      plainArray(firsts.map((first) => first?.channel ?? null)),
      textArray(firsts.map((first) => (first ? nameOf(first) : null))),
    ]
  },
}

/** So many new records are worth a COPY: a fifth less of PostgreSQL's time for each of them. */
export const MANY = 200

const COPY_CREATED = `COPY records (id, client_krn, filename, email, done, warn, failed, total, is_completed, errors_total,
  warnings_total, sequence, first_update_id, first_channel, first_xid, created_at, updated_at, listed_at) FROM STDIN`

function copyCreated(tx: ClientBase, created: Run[], mark: TransactionMark): Promise<void> {
  const times = `${mark.startedAt}\t${mark.startedAt}\t${mark.listedAt}`
  const rows = created.map((run) => {
    const { update, state } = run.newest
    const { counts, total } = state
    const isFirst = isFirstEvent(run)
    return [
      state.id,
      copyText(update.clientKrn),
      copyText(update.filename),
      copyText(state.email),
      counts.done,
      counts.warn,
      counts.failed,
      total ?? NULL,
      state.isCompleted,
      state.errorsTotal,
      state.warningsTotal,
      state.sequence,
      isFirst ? copyText(nameOf(update)) : NULL,
      isFirst ? update.channel : NULL,
      isFirst ? mark.xid : NULL,
      times,
    ].join('\t')
  })
  // In the order of their ids, which they begin with.
  rows.sort()
  return copyInPipeline(tx, COPY_CREATED, Buffer.from(`${rows.join('\n')}\n`))
}

const RUNS: Part = {
  name: 'runs',
  types: [...TOTALS_TYPES, 'text', 'text', 'json', 'boolean'],
  sql: (rows) => `
    applied AS (
      SELECT * FROM ${rows} AS a (${TOTALS}, channel, update_id, earlier, moves)
    ), audited AS (
      INSERT INTO event_rows (record_id, done, warn, failed, total, is_completed, errors_total, warnings_total,
                              sequence, channel, update_id, earlier)
      SELECT ${TOTALS}, channel, update_id, earlier FROM applied
    ), moved AS (
      UPDATE records r
      SET done = a.done, warn = a.warn, failed = a.failed, total = a.total, is_completed = a.is_completed,
          errors_total = a.errors_total, warnings_total = a.warnings_total, sequence = a.sequence,
          updated_at = greatest(r.updated_at, now()::timestamptz(3)),
          listed_at = date_trunc('second', greatest(r.updated_at, now()::timestamptz(3)))
      FROM applied a
      WHERE a.moves AND r.id = a.id
    )`,
  columns({ audited, moves }) {
    if (audited.length === 0) return undefined
    return [
      ...totalsColumns(audited),
      plainArray(audited.map(({ newest }) => newest.update.channel)),
      textArray(audited.map(({ newest }) => nameOf(newest.update))),
      jsonArray(audited.map(({ earlier }) => earlier)),
      booleanArray(audited.map(moves)),
    ]
  },
}

/** Rows that go into a table as they are. */
const inserted = ({
  insert,
  select = '*',
  ...part
}: Omit<Part, 'sql'> & { insert: string; select?: string }): Part => ({
  ...part,
  sql: (rows) => `${part.name} AS (INSERT INTO ${insert} SELECT ${select} FROM ${rows})`,
})

const idPart = (kind: IdKind): Part => {
  const { table, column, current } = ID_TABLES[kind]
  return inserted({
    name: `${kind}_ids`,
    insert: `${table} (${column}, id, fingerprint, result, record_id, sequence)`,
    select: `${current}, *`,
    types: ['uuid', 'uuid', 'text', 'uuid', 'bigint'],
    columns: ({ decided }) => idColumns(decided, kind),
  })
}

const PARTS: Part[] = [
  RUNS,
  inserted({
    name: 'issued',
    insert: 'issues (record_id, kind, ordinal, line, message)',
    types: ['uuid', 'smallint', 'bigint', 'bigint', 'text'],
    columns: ({ applied }) => issueColumns(applied),
  }),
  idPart('request'),
  idPart('message'),
  inserted({
    name: 'refused',
    insert: 'refusals (record_id, channel, update_id, email, result, done, warn, failed)',
    types: ['uuid', 'text', 'text', 'text', 'text', 'bigint', 'bigint', 'bigint'],
    columns: ({ refused }) => refusalColumns(refused),
  }),
]

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
