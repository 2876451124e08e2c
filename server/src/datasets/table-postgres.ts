import pg, { type ClientBase } from 'pg'
import { digest } from '../platform/digest.ts'
import { PebblesError } from '../platform/errors.ts'
import { invalidRequest } from '../platform/http/validation.ts'
import { sqlState } from '../platform/postgres/database.ts'
import { COLUMN_TYPES } from './column-types.ts'
import { CUSTOMERS } from './customers.ts'
import { type ColumnDeclaration, type Declaration, keyOf } from './declaration.ts'

/** How long a change waits for the batches of running imports. While it waits, theirs wait behind it. */
const LOCK_TIMEOUT_MS = 3_000
/** An index on a table of millions of rows takes its time. */
const BUILD_TIMEOUT_MS = 600_000
const LOCK_NOT_AVAILABLE = '55P03'
const UNIQUE_VIOLATION = '23505'
const PROGRAM_LIMIT_EXCEEDED = '54000'

const quoted = pg.escapeIdentifier

/** The table of a client's dataset. The name says nothing of either, so it is safe whatever they are called. */
export function tableOf(clientKrn: string, name: string): string {
  if (name === CUSTOMERS.name) return CUSTOMERS.table
  return `dataset_${digest('dataset', clientKrn, name).replaceAll('-', '')}`
}

/** From here to the end of the transaction no wait for a lock is long, and building an index may be. */
export async function limitWaits(tx: ClientBase): Promise<void> {
  await tx.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`)
  await tx.query(`SET LOCAL statement_timeout = ${BUILD_TIMEOUT_MS}`)
}

/** True when {@link limitWaits} ended a wait: somebody holds on to what is to be changed. */
export const isLockedOut = (error: unknown): boolean => sqlState(error) === LOCK_NOT_AVAILABLE

/** Makes the table of a dataset. Each of its columns may be null: what is required is a rule, and rules change. */
export async function createTable(
  tx: ClientBase,
  table: string,
  columns: readonly ColumnDeclaration[],
): Promise<void> {
  await tx.query(
    `CREATE TABLE ${quoted(table)} (
       id uuid PRIMARY KEY,
       job_id uuid NOT NULL,
       client_krn text COLLATE "C" NOT NULL,
       row_number bigint NOT NULL,
       ${columns.map((column) => `${columnSql(column)},`).join(' ')}
       created_at timestamptz(3) NOT NULL DEFAULT now()
     )`,
  )
}

/** Adds columns; a table is never rewritten, since they may be null and have no default in it. */
export async function addColumns(
  tx: ClientBase,
  table: string,
  columns: readonly ColumnDeclaration[],
): Promise<void> {
  if (columns.length === 0) return
  const additions = columns.map((column) => `ADD COLUMN ${columnSql(column)}`)
  await tx.query(`ALTER TABLE ${quoted(table)} ${additions.join(', ')}`)
}

const columnSql = ({ name, type }: ColumnDeclaration) => `${quoted(name)} ${COLUMN_TYPES[type].sqlType}`

/**
 * Makes the index of the unique key at `index` of the declaration.
 *
 * @throws PebblesError `invalid_request`, naming the key, when rows that are there break it
 */
export async function addKey(
  tx: ClientBase,
  table: string,
  { columns, uniqueKeys = [] }: Declaration,
  index: number,
): Promise<void> {
  const key = uniqueKeys[index]!
  const caseless = new Set(
    columns.filter(({ type }) => COLUMN_TYPES[type].isCaseless).map(({ name }) => name),
  )
  const parts = key.columns.map((name) => (caseless.has(name) ? `lower(${quoted(name)})` : quoted(name)))
  // Known by its columns, whatever their order.
  const name = `${table}_${digest('key', keyOf(key)).slice(0, 8)}`
  const text = `CREATE UNIQUE INDEX ${quoted(name)} ON ${quoted(table)} (client_krn, ${parts.join(', ')})`
  try {
    await tx.query({ text, query_timeout: BUILD_TIMEOUT_MS } as { text: string })
  } catch (error) {
    const reason = KEY_FAULTS[sqlState(error) ?? '']
    throw reason ? invalidRequest([{ field: `uniqueKeys[${index}]`, message: reason }]) : error
  }
}

const KEY_FAULTS: Record<string, string> = {
  [UNIQUE_VIOLATION]: 'cannot be: rows that are there already have the same values',
  [PROGRAM_LIMIT_EXCEEDED]: 'cannot be: rows that are there already have values too long for a key',
}

/** What a caller is told whose change could not get at the table. */
export const lockedOut = (cause: unknown): PebblesError =>
  new PebblesError('overloaded', 'The dataset is being written to at the moment; nothing was changed.', {
    retryAfterSeconds: 5,
    cause,
  })
