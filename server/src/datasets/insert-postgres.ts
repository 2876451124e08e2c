import { type ClientBase, escapeIdentifier } from 'pg'
import { digest } from '../platform/digest.ts'
import { PebblesError } from '../platform/errors.ts'
import type { CopyLines } from '../platform/postgres/copy.ts'
import { copyIn } from '../platform/postgres/copy-in.ts'
import { sqlState } from '../platform/postgres/database.ts'
import type { Dataset, Fault } from './dataset.ts'

/** A row that is not in the table because of what is there already: one fault for each unique key that is taken. */
export interface Conflict {
  rowNumber: number
  fault: Fault
}

/** Whose rows they are. */
export interface Origin {
  jobId: string
  clientKrn: string
}

export interface Rows {
  /** Rows that are new as far as their file tells: all columns of the table. */
  fresh: CopyLines
  /** The same, for rows one of whose unique keys may have been seen before in the file. */
  suspect: CopyLines
  /** Row number and unique keys of rows that are refused anyway: it is only asked whether they are there already. */
  lookups: CopyLines
}

export interface Inserter {
  /**
   * Waits until no other import writes into the client's dataset, and keeps others out until the transaction ends: of
   * two that hold and want each other's keys one would have to die.
   */
  takeTurn(tx: ClientBase): Promise<unknown>
  /**
   * Inserts those rows whose keys are new to the client, inside the caller's transaction, and tells the others. Of two
   * rows with one key the first one counts, in whichever batches they are.
   */
  insert(tx: ClientBase, rows: Rows): Promise<Conflict[]>
}

const UNIQUE_VIOLATION = '23505'
/** COPY into a table with row-level security. */
const NOT_SUPPORTED = '0A000'

/**
 * How rows get into a dataset's table. There are two ways:
 *
 *   - COPY straight into the table, as fast as PostgreSQL can. It knows no ON CONFLICT, so it is for rows whose keys
 *     were not seen in the file before.
 *   - COPY into a temporary table, then INSERT … ON CONFLICT DO NOTHING: 1.5 times the work (docs/adr/0006).
 *
 * Rows that may be duplicates take the second way. When the first one meets a row that was in the table already, all of
 * the batch goes the second way, and so do those that follow.
 */
export function createInserter(dataset: Dataset, { jobId, clientKrn }: Origin): Inserter {
  const sql = statementsOf(dataset)
  const turn = digest(clientKrn, dataset.table)
  let isFresh = true

  async function insert(tx: ClientBase, { fresh, suspect, lookups }: Rows): Promise<Conflict[]> {
    if (isFresh) {
      await tx.query('SAVEPOINT fresh')
      const conflicts = (await copyFresh(tx, fresh)) && (await insertStaged(tx, [suspect], lookups))
      if (conflicts) return conflicts
      await tx.query('ROLLBACK TO SAVEPOINT fresh')
      isFresh = false
    }
    const conflicts = await insertStaged(tx, [fresh, suspect], lookups)
    if (!conflicts)
      throw new PebblesError('internal', `Rows of job ${jobId} were neither stored nor refused.`)
    return conflicts
  }

  /** Whether all of them are in the table; else the transaction has to go back. */
  async function copyFresh(tx: ClientBase, lines: CopyLines): Promise<boolean> {
    try {
      await copyIn(tx, sql.copyRows, lines)
      return true
    } catch (error) {
      const state = sqlState(error)
      if (state !== UNIQUE_VIOLATION && state !== NOT_SUPPORTED) throw error
      return false
    }
  }

  /**
   * Inserts what is new, and tells the rest; `undefined` when there is more than can be told. That happens where
   * PostgreSQL takes keys for the same that are not the same to JavaScript (`İx` and `ix`): a row that was copied before
   * can then stand in the way of an earlier one.
   */
  async function insertStaged(
    tx: ClientBase,
    staged: CopyLines[],
    lookups: CopyLines,
  ): Promise<Conflict[] | undefined> {
    if ([...staged, lookups].every(({ count }) => count === 0)) return []
    await tx.query(sql.createStage)
    for (const lines of staged) await copyIn(tx, sql.stageRows, lines)
    await copyIn(tx, sql.stageLookups, lookups)
    const { rowCount: inserted } = await tx.query(sql.insertStaged)
    // A statement of its own, which sees what the one before inserted.
    const found = sql.findConflicts ? (await tx.query(sql.findConflicts, [jobId, clientKrn])).rows : []
    const conflicting = new Set(found.filter((row) => !row.is_lookup).map((row) => row.row_number))
    if (inserted! + conflicting.size !== staged.reduce((sum, { count }) => sum + count, 0)) return undefined
    return found.map((row) => ({ rowNumber: row.row_number, fault: faultOf(row.key, row.first_row) }))
  }

  function faultOf(key: number, firstRow: number | null): Fault {
    const { columns, takenReason } = dataset.uniqueKeys[key]!
    return { field: columns.join(' + '), reason: takenReason(firstRow) }
  }

  return {
    takeTurn: (tx) => tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 1))', [turn]),
    insert,
  }
}

/** Row number and job of the row that has a key already, for each staged row that is not that row itself. */
function statementsOf({ table, columns, uniqueKeys }: Dataset) {
  const target = escapeIdentifier(table)
  const names = ['id', 'job_id', 'client_krn', 'row_number', ...columns.map(({ name }) => name)].map(
    escapeIdentifier,
  )
  const types = ['uuid', 'uuid', 'text', 'bigint', ...columns.map(({ sqlType }) => sqlType)]
  const definition = names.map((name, at) => `${name} ${types[at]}`).join(', ')
  // Named by what it is: a connection may still have the one of an earlier declaration.
  const stage = `pg_temp.${escapeIdentifier(`stage_${digest(definition)}`)}`
  const keyColumns = columns.filter(({ name }) => uniqueKeys.some((key) => key.columns.includes(name)))
  const expression = (of: string, name: string) => {
    const column = `${of}.${escapeIdentifier(name)}`
    return columns.find((each) => each.name === name)!.isCaseless ? `lower(${column})` : column
  }
  const all = names.join(', ')
  return {
    copyRows: `COPY ${target} (${all}) FROM STDIN`,
    createStage: `CREATE TEMPORARY TABLE IF NOT EXISTS ${stage.slice('pg_temp.'.length)} (${definition}) ON COMMIT DELETE ROWS`,
    stageRows: `COPY ${stage} (${all}) FROM STDIN`,
    stageLookups: `COPY ${stage} (${['row_number', ...keyColumns.map(({ name }) => name)].map(escapeIdentifier).join(', ')}) FROM STDIN`,
    // Lookups have no id. In the order of the file, of which the first row counts.
    insertStaged: `INSERT INTO ${target} (${all}) SELECT ${all} FROM ${stage} WHERE id IS NOT NULL
                   ORDER BY row_number ON CONFLICT DO NOTHING`,
    // A row of the same file only where it comes before: else it would depend on how batches are cut.
    findConflicts: uniqueKeys
      .map(
        (key, index) => `
          SELECT s.row_number, CASE WHEN c.job_id = $1 THEN c.row_number END AS first_row, ${index} AS key,
                 s.id IS NULL AS is_lookup
          FROM ${stage} s
          CROSS JOIN LATERAL (
            SELECT id, job_id, row_number FROM ${target} t
            WHERE client_krn = $2 AND ${key.columns.map((name) => `${expression('t', name)} = ${expression('s', name)}`).join(' AND ')}
            LIMIT 1) c
          WHERE c.id IS DISTINCT FROM s.id AND (c.job_id <> $1 OR c.row_number < s.row_number)`,
      )
      .join(' UNION ALL '),
  }
}
