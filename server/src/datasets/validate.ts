import type { CheckedRow, Column, Fault } from './dataset.ts'
import { type Binding, unnamed } from './header.ts'

/** Checks one row against its dataset, as far as the row alone can tell; pure. Every reason is found, not the first. */
export function checkRow({ dataset, indexes, names }: Binding, cells: readonly string[]): CheckedRow {
  const { columns } = dataset
  const values: (string | null)[] = []
  const faults: Fault[] = []
  if (cells.length > names.length) {
    const used = cells.findLastIndex((cell) => cell.trim() !== '') + 1
    // A comma that was not quoted moves all that follows by one column: better refused than stored in the wrong place.
    if (used > names.length)
      faults.push({ field: 'row', reason: `has ${cellCount(used)}, and the header has ${names.length}` })
  }
  let isCut = false
  for (let at = 0; at < columns.length; at++) {
    const column = columns[at]!
    const index = indexes[at]!
    // Not `cells[-1]`, which is looked up by name and not by place.
    const value = index < 0 ? '' : (cells[index] ?? '').trim()
    const reason = value === '' ? blankFault(column) : (nulFault(value) ?? column.findFault?.(value))
    if (reason) {
      if (indexes[at]! >= cells.length) isCut = true
      faults.push({ field: column.name, reason })
      values.push(null)
    } else {
      values.push(value === '' ? column.fallback : (column.normalize?.(value) ?? value))
    }
  }
  // Cells that are missing at the end are blank ones, as some programs leave them out; unless one was needed.
  if (isCut)
    faults.unshift({
      field: 'row',
      reason: `has ${cellCount(cells.length)}, and the header has ${names.length}`,
    })
  return { values, faults }
}

const cellCount = (count: number) => (count === 1 ? '1 cell' : `${count} cells`)

const blankFault = ({ isRequired, fallback, requiredReason }: Column) =>
  isRequired && fallback === null ? requiredReason : undefined

/** The original cells of a row by column name, for the one who mends the file. Missing cells are left out. */
export function showRow(names: readonly string[], cells: readonly string[]): Record<string, string> {
  return Object.fromEntries(cells.map((cell, index) => [names[index] ?? unnamed(index), cell]))
}

/** Text that PostgreSQL cannot store. Half surrogates cannot come out of UTF-8. */
function nulFault(value: string): string | undefined {
  return value.includes('\0') ? 'must not contain a NUL character' : undefined
}
