import type { Column, Dataset } from '../api/types.ts'

/** Values that a column of a type may hold, for the sample file. */
const VALUES: Record<string, readonly [string, string]> = {
  email: ['ada.brandt@example.com', 'bela.novak@example.org'],
  integer: ['42', '7'],
  decimal: ['12.50', '3.25'],
  boolean: ['true', 'false'],
  url: ['https://example.com/a', 'https://example.org/b'],
  date: ['2026-01-31', '2026-02-28'],
  timestamp: ['2026-01-31T09:30:00Z', '2026-02-28T17:45:00Z'],
}
const BY_NAME: Record<string, readonly [string, string]> = {
  name: ['Ada Brandt', 'Bela Novak'],
  email: ['ada.brandt@example.com', 'bela.novak@example.org'],
  phone: ['+1 202 555 0101', ''],
  company: ['Brandt & Daughters, Ltd.', 'Novak Instruments'],
}

function valuesOf({ name, type, values }: Column): readonly [string, string] {
  if (values?.[0] !== undefined) return [values[0], values[1] ?? values[0]]
  return VALUES[type ?? ''] ?? BY_NAME[name] ?? [`${name} 1`, `${name} 2`]
}

const quote = (cell: string): string => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)

/** A small file to begin with. Rules beyond types (patterns, bounds) are not looked at: it shows the form. */
export function sampleCsv({ columns }: Dataset): string {
  const values = columns.map(valuesOf)
  const rows = [
    columns.map(({ name }) => name),
    values.map(([first]) => first),
    values.map(([, second]) => second),
  ]
  return rows.map((cells) => `${cells.map(quote).join(',')}\n`).join('')
}
