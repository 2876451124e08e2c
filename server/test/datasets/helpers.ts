import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { v7 as uuidv7 } from 'uuid'
import { compileColumn } from '../../src/datasets/compile.ts'
import type { Column } from '../../src/datasets/dataset.ts'
import type { ColumnDeclaration, Declaration } from '../../src/datasets/declaration.ts'
import { checkDeclaration } from '../../src/datasets/declaration-faults.ts'
import type { FoundDataset } from '../../src/datasets/store-postgres.ts'
import { createCopyWriter } from '../../src/platform/postgres/copy.ts'

const EXAMPLES = new URL('../../../examples/', import.meta.url)

export const readExample = (name: string) => readFile(new URL(name, EXAMPLES), 'utf8')

/** A declaration of one column or several, with names of their own where none is given. */
export function declare(
  columns: readonly Partial<ColumnDeclaration>[],
  more: Partial<Declaration> = {},
): Declaration {
  const named = columns.map(
    (column, index) => ({ name: `c${index}`, type: 'text', ...column }) as ColumnDeclaration,
  )
  const declaration = { name: 'things', columns: named, uniqueKeys: [], ...more }
  assert.deepEqual(checkDeclaration(declaration), [])
  return declaration
}

/** A column as imports use it. */
export function column(declaration: Partial<ColumnDeclaration>): Column {
  return compileColumn(declare([declaration]).columns[0]!)
}

/** What a valid value is stored as; fails for one that is not valid. */
export function stored({ findFault, normalize }: Column, value: string): string {
  assert.equal(findFault?.(value), undefined, value)
  return normalize?.(value) ?? value
}

/** Copies checked rows straight into the table of a dataset. */
export async function copyRows(
  pool: pg.Pool,
  clientKrn: string,
  { dataset, table }: FoundDataset,
  rows: readonly (readonly (string | null)[])[],
): Promise<void> {
  const names = [
    'id',
    'job_id',
    'client_krn',
    'row_number',
    ...dataset.columns.map(({ name }) => `"${name}"`),
  ]
  const job = uuidv7()
  const writer = createCopyWriter()
  for (const [index, values] of rows.entries()) {
    writer.text(uuidv7())
    for (const value of [job, clientKrn, String(index + 2), ...values]) writer.cell(value)
    writer.endRow()
  }
  const client = await pool.connect()
  try {
    const stream = client.query(copyFrom(`COPY "${table}" (${names.join(', ')}) FROM STDIN`))
    await pipeline(Readable.from([writer.lines().bytes]), stream)
  } finally {
    client.release()
  }
}
