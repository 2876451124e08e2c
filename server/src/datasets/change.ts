import type { FieldFault } from '../platform/errors.ts'
import type { ColumnDeclaration, ColumnTypeName, Declaration } from './declaration.ts'
import { keyOf } from './declaration.ts'

/** Columns of all versions together: a table keeps each, and PostgreSQL has room for 1,600. */
const MAX_COLUMNS_EVER = 500

/** What a new version adds to its table. */
export interface TableChange {
  columns: ColumnDeclaration[]
  /** Places of the new unique keys in the declaration. */
  keys: number[]
}

/**
 * What has to be done to a dataset's table for its next version, or why that cannot be. Jobs of earlier versions may be
 * running, and rows of theirs are there: a column keeps its type for ever, and a unique key is never taken away.
 *
 * @param earlier types of all the columns that any version had
 */
export function planChange(
  earlier: ReadonlyMap<string, ColumnTypeName>,
  current: Declaration,
  next: Declaration,
): TableChange | { faults: FieldFault[] } {
  const faults: FieldFault[] = []
  for (const [index, { name, type }] of next.columns.entries()) {
    const before = earlier.get(name) ?? type
    if (before !== type) {
      const message = `must stay ${before}: rows of that type are stored; use another name`
      faults.push({ field: `columns[${index}].type`, message })
    }
  }
  const columns = next.columns.filter(({ name }) => !earlier.has(name))
  if (earlier.size + columns.length > MAX_COLUMNS_EVER) {
    const message = `has too many new names: all versions together can have ${MAX_COLUMNS_EVER}`
    faults.push({ field: 'columns', message })
  }
  const kept = new Set(next.uniqueKeys?.map(keyOf))
  for (const key of current.uniqueKeys ?? []) {
    if (!kept.has(keyOf(key))) {
      const message = `must still have ${key.columns.join(' + ')}: a unique key cannot be taken away`
      faults.push({ field: 'uniqueKeys', message })
    }
  }
  if (faults.length > 0) return { faults }
  const existing = new Set(current.uniqueKeys?.map(keyOf))
  const keys = (next.uniqueKeys ?? []).flatMap((key, index) => (existing.has(keyOf(key)) ? [] : [index]))
  return { columns, keys }
}

/**
 * A declaration with the unique keys that its table has by now. Keys are only ever added; one with a column that this
 * version does not know finds no value in its rows, so the others are all that they can break.
 */
export function withKeysOf(declaration: Declaration, newest: Declaration): Declaration {
  const known = new Set(declaration.columns.map(({ name }) => name))
  const uniqueKeys = (newest.uniqueKeys ?? []).filter(({ columns }) =>
    columns.every((name) => known.has(name)),
  )
  return { ...declaration, uniqueKeys }
}
