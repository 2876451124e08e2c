import type { CheckedRow, Fault, Values } from './dataset.ts'
import { type Binding, unnamed } from './header.ts'

/** Checks one row against its dataset, as far as the row alone can tell; pure. Every reason is found, not the first. */
export function checkRow({ dataset, indexes, names }: Binding, cells: readonly string[]): CheckedRow {
  const values: Values = {}
  const faults: Fault[] = []
  const extra = cells.findLastIndex((cell) => cell.trim() !== '') + 1
  // A comma that was not quoted moves all that follows by one column: better refused than stored in the wrong place.
  if (extra > names.length) {
    faults.push({ field: 'row', reason: `has ${extra} cells, and the header has ${names.length}` })
  }
  dataset.columns.forEach(({ name, isRequired, findFault }, at) => {
    const value = (cells[indexes[at]!] ?? '').trim()
    values[name] = value === '' ? null : value
    const reason =
      value === '' ? (isRequired ? 'is required' : undefined) : (nulFault(value) ?? findFault?.(value))
    if (reason) faults.push({ field: name, reason })
  })
  return { values, faults }
}

/** The original cells of a row by column name, for the one who mends the file. Missing cells are left out. */
export function showRow({ names }: Pick<Binding, 'names'>, cells: readonly string[]): Record<string, string> {
  return Object.fromEntries(cells.map((cell, index) => [names[index] ?? unnamed(index), cell]))
}

/** Text that PostgreSQL cannot store. Half surrogates cannot come out of UTF-8. */
function nulFault(value: string): string | undefined {
  return value.includes('\0') ? 'must not contain a NUL character' : undefined
}
