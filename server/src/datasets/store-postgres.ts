import type { ClientBase, Pool } from 'pg'
import { invalidRequest } from '../platform/http/validation.ts'
import { databaseAway, inTransaction, isTransient, orAway } from '../platform/postgres/database.ts'
import { planChange, withKeysOf } from './change.ts'
import { compileDataset } from './compile.ts'
import { CUSTOMERS, CUSTOMERS_DECLARATION } from './customers.ts'
import type { Dataset } from './dataset.ts'
import { type ColumnTypeName, type Declaration, MAX_DATASETS } from './declaration.ts'
import {
  addColumns,
  addKey,
  createTable,
  isLockedOut,
  limitWaits,
  lockedOut,
  tableOf,
} from './table-postgres.ts'

/** A version of a dataset, as it was declared. */
export interface StoredDataset {
  declaration: Declaration
  /** 0 for what is built in. */
  version: number
  /** Null for what is built in. */
  createdAt: Date | null
}

/** What an import works with: `compileDataset(declaration, table)` makes the same dataset in another thread. */
export interface FoundDataset extends StoredDataset {
  dataset: Dataset
  table: string
}

const BUILT_IN: FoundDataset = {
  declaration: CUSTOMERS_DECLARATION,
  version: 0,
  createdAt: null,
  dataset: CUSTOMERS,
  table: CUSTOMERS.table,
}

/**
 * A client's dataset, ready to check rows: {@link findDeclaration}, compiled.
 *
 * @throws PebblesError `unavailable` when the database cannot be reached
 */
export async function findDataset(
  pool: Pool,
  clientKrn: string,
  name: string,
  version?: number,
): Promise<FoundDataset | undefined> {
  if (name === BUILT_IN.declaration.name) return BUILT_IN
  const found = await findDeclaration(pool, clientKrn, name, version)
  if (!found) return undefined
  const table = tableOf(clientKrn, name)
  return { ...found, table, dataset: compileDataset(found.declaration, table) }
}

/**
 * What a client declared: the version that a job names, or the newest one. Its unique keys are those that the table has
 * now, whatever the version.
 *
 * @throws PebblesError `unavailable` when the database cannot be reached
 */
export async function findDeclaration(
  pool: Pool,
  clientKrn: string,
  name: string,
  version?: number,
): Promise<StoredDataset | undefined> {
  if (name === BUILT_IN.declaration.name) return BUILT_IN
  const { rows } = await orAway(
    pool.query({
      name: 'find-dataset',
      text: `SELECT n.declaration AS newest, d.declaration, d.version, d.created_at
             FROM (SELECT version, declaration FROM datasets
                   WHERE client_krn = $1 AND name = $2 ORDER BY version DESC LIMIT 1) n
             JOIN datasets d ON d.client_krn = $1 AND d.name = $2 AND d.version = coalesce($3, n.version)`,
      values: [clientKrn, name, version ?? null],
    }),
  )
  const row = rows[0]
  if (!row) return undefined
  return { ...toStored(row), declaration: withKeysOf(row.declaration, row.newest) }
}

/** The newest version of each dataset of a client: what is built in first, then by name. */
export async function listDatasets(pool: Pool, clientKrn: string): Promise<StoredDataset[]> {
  const { rows } = await orAway(
    pool.query({
      name: 'list-datasets',
      text: `SELECT DISTINCT ON (name) declaration, version, created_at FROM datasets
             WHERE client_krn = $1 ORDER BY name, version DESC`,
      values: [clientKrn],
    }),
  )
  return [BUILT_IN, ...rows.map(toStored)]
}

/**
 * Creates a dataset, or its next version; the same declaration again changes nothing. Table and version are there
 * together or not at all. Changes of one client wait for each other.
 *
 * @param declaration one in which nothing was found wrong by itself
 * @throws PebblesError `invalid_request` when the table cannot become what is declared; `overloaded` when imports do
 *   not let it; `unavailable`. Sending the same again is always safe.
 */
export async function putDataset(
  pool: Pool,
  { clientKrn, email }: { clientKrn: string; email: string },
  declaration: Declaration,
): Promise<StoredDataset> {
  try {
    return await inTransaction(pool, async (tx) => {
      await limitWaits(tx)
      await tx.query(`SELECT pg_advisory_xact_lock(hashtext('pebbles.datasets'), hashtext($1))`, [clientKrn])
      const current = await findNewest(tx, clientKrn, declaration)
      if (current?.isSame) return current
      if (current) await extend(tx, clientKrn, current.declaration, declaration)
      else await create(tx, clientKrn, declaration)
      return insertVersion(tx, { clientKrn, email }, declaration, (current?.version ?? 0) + 1)
    })
  } catch (error) {
    if (isLockedOut(error)) throw lockedOut(error)
    throw isTransient(error) ? databaseAway(error) : error
  }
}

async function findNewest(tx: ClientBase, clientKrn: string, declaration: Declaration) {
  const { rows } = await tx.query(
    // As values of jsonb: neither the order of fields nor the way a number is written makes a difference.
    `SELECT declaration, version, created_at, declaration::jsonb = $3::jsonb AS is_same FROM datasets
     WHERE client_krn = $1 AND name = $2 ORDER BY version DESC LIMIT 1`,
    [clientKrn, declaration.name, JSON.stringify(declaration)],
  )
  return rows.map((row) => ({ ...toStored(row), isSame: row.is_same as boolean }))[0]
}

async function create(tx: ClientBase, clientKrn: string, declaration: Declaration): Promise<void> {
  const { rows } = await tx.query('SELECT count(DISTINCT name) FROM datasets WHERE client_krn = $1', [
    clientKrn,
  ])
  if (Number(rows[0].count) >= MAX_DATASETS) {
    const message = `is one too many: a client can have ${MAX_DATASETS} datasets`
    throw invalidRequest([{ field: 'name', message }])
  }
  const table = tableOf(clientKrn, declaration.name)
  await createTable(tx, table, declaration.columns)
  for (const index of declaration.uniqueKeys?.keys() ?? []) await addKey(tx, table, declaration, index)
}

async function extend(
  tx: ClientBase,
  clientKrn: string,
  current: Declaration,
  next: Declaration,
): Promise<void> {
  const change = planChange(await typesEver(tx, clientKrn, next.name), current, next)
  if ('faults' in change) throw invalidRequest(change.faults)
  const table = tableOf(clientKrn, next.name)
  await addColumns(tx, table, change.columns)
  for (const index of change.keys) await addKey(tx, table, next, index)
}

/** All columns that any version had: a table keeps those that are left out. */
async function typesEver(
  tx: ClientBase,
  clientKrn: string,
  name: string,
): Promise<Map<string, ColumnTypeName>> {
  const { rows } = await tx.query(
    `SELECT DISTINCT c->>'name' AS name, c->>'type' AS type
     FROM datasets, json_array_elements(declaration->'columns') c
     WHERE client_krn = $1 AND datasets.name = $2`,
    [clientKrn, name],
  )
  return new Map(rows.map((row) => [row.name, row.type]))
}

async function insertVersion(
  tx: ClientBase,
  { clientKrn, email }: { clientKrn: string; email: string },
  declaration: Declaration,
  version: number,
): Promise<StoredDataset> {
  const { rows } = await tx.query(
    `INSERT INTO datasets (client_krn, name, version, declaration, email) VALUES ($1, $2, $3, $4, $5)
     RETURNING declaration, version, created_at`,
    [clientKrn, declaration.name, version, JSON.stringify(declaration), email],
  )
  return toStored(rows[0])
}

// biome-ignore lint/suspicious/noExplicitAny: rows come untyped from the driver; this is where they get their type.
const toStored = (row: any): StoredDataset => ({
  declaration: row.declaration,
  version: row.version,
  createdAt: row.created_at,
})
