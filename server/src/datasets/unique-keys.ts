import type { Dataset } from './dataset.ts'

export interface KeyReader {
  /** For each unique key the value of a row, as one text; null where the row has none. */
  (values: readonly (string | null)[]): (string | null)[]
  /** Places of all columns that are part of a key. */
  readonly columns: readonly number[]
}

/** Reads the unique keys of rows, told apart as the indexes of the table do. */
export function createKeyReader({ columns, uniqueKeys }: Dataset): KeyReader {
  const placeOf = (name: string) => columns.findIndex((column) => column.name === name)
  const keys = uniqueKeys.map((key) => key.columns.map(placeOf))
  const read = (values: readonly (string | null)[]) =>
    keys.map((places, index) => {
      let text: string | null = keys.length > 1 ? `${index}` : ''
      for (const place of places) {
        const value = values[place]
        if (value == null) return null
        text += places.length > 1 ? `\0${fold(place, value)}` : fold(place, value)
      }
      return text
    })
  const fold = (place: number, value: string) => (columns[place]!.isCaseless ? value.toLowerCase() : value)
  return Object.assign(read, { columns: [...new Set(keys.flat())] })
}
