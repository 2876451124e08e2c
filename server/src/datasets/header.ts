import type { Dataset } from './dataset.ts'

/** Which cell of a row is which column. */
export interface Binding {
  dataset: Dataset
  /** Index of the cell of each column of the dataset; -1 for an optional column that the file does not have. */
  indexes: number[]
  /** Names by which the cells of a row are shown: the header's own, and `column 5` where it has none. */
  names: string[]
}

export type HeaderFault =
  | { code: 'no_header'; message: string }
  | { code: 'missing_columns'; message: string }
  | { code: 'duplicate_header'; message: string }

/**
 * Finds the columns of a dataset in a header: without regard to case and surrounding space, in any order, among any
 * others. Where a header has several names of one column, its own comes first, then the aliases in their order.
 */
export function bindHeader(dataset: Dataset, header: readonly string[]): Binding | HeaderFault {
  const names = headerNames(header)
  const keys = names.map(columnKey)
  const indexes = dataset.columns.map(({ name, aliases }) => {
    const known = [name, ...aliases].find((key) => keys.includes(key))
    return known === undefined ? -1 : keys.indexOf(known)
  })
  if (indexes.every((index) => index === -1)) {
    const wanted = dataset.columns.map(({ name }) => name).join(', ')
    return {
      code: 'no_header',
      message: `The first row is not a header: it has none of the columns ${wanted}.`,
    }
  }
  const seen = new Set<string>()
  const duplicate = names.find((_name, index) => seen.has(keys[index]!) || !seen.add(keys[index]!))
  if (duplicate !== undefined) {
    return { code: 'duplicate_header', message: `The header has the column ${shorten(duplicate)} twice.` }
  }
  const missing = dataset.columns.filter(
    (column, at) => column.isRequired && column.fallback === null && indexes[at] === -1,
  )
  if (missing.length > 0) {
    const list = missing.map(({ name }) => name).join(', ')
    const message =
      missing.length === 1 ? `The column ${list} is missing.` : `The columns ${list} are missing.`
    return { code: 'missing_columns', message }
  }
  return { dataset, indexes, names }
}

/** Names by which the cells below a header are shown. */
export const headerNames = (header: readonly string[]): string[] =>
  header.map((cell, index) => cell.trim() || unnamed(index))

export const columnKey = (name: string): string => name.trim().toLowerCase()

/** Cells beyond the header, or below a blank one, by their place: `column 5`. */
export const unnamed = (index: number): string => `column ${index + 1}`

const shorten = (name: string) => JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name)
