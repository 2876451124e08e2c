/** Text that makes a spreadsheet run the cell as a formula (OWASP: CSV injection). */
const FORMULA = /^[=+@\t\r\n]|^-(?!\s*$)/
const NEEDS_QUOTES = /[",\r\n]/

/**
 * One cell of a CSV that is made for people: quoted as RFC 4180 § 2 says, and with an apostrophe in front when a
 * spreadsheet would take it for a formula. A plain negative number and a lone `-` stay as they are.
 */
export function csvCell(value: string | number | null): string {
  if (value === null) return ''
  if (typeof value === 'number') return String(value)
  const safe = FORMULA.test(value) && !/^-\d+(\.\d+)?$/.test(value) ? `'${value}` : value
  return NEEDS_QUOTES.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

/** One line of CSV, ended by CRLF. */
export function csvLine(cells: readonly (string | number | null)[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`
}
