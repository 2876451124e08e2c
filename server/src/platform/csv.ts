/** Text that makes a spreadsheet run the cell as a formula (OWASP: CSV injection). */
const FORMULA = /^[=+@\t\r\n]|^-(?!\s*$)/
const NEGATIVE = /^-\d+(\.\d+)?$/
const NEEDS_QUOTES = /[",\r\n]/

/**
 * One cell of a CSV that is made for people: quoted as RFC 4180 § 2 says, and with an apostrophe in front when a
 * spreadsheet would take it for a formula. A plain negative number and a lone `-` stay as they are.
 */
export function csvCell(value: string | number | null): string {
  if (value === null) return ''
  if (typeof value === 'number') return String(value)
  const safe = isFormula(value) ? `'${value}` : value
  return NEEDS_QUOTES.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

const isFormula = (value: string) => FORMULA.test(value) && !NEGATIVE.test(value)
const isGuarded = (value: string) => isFormula(value.replace(/^'+/, ''))

/**
 * An apostrophe in front of what a spreadsheet would take for a formula, so that it can be taken away again exactly:
 * a formula with apostrophes of its own gets one more. Everything else, `'tis` included, stays as it is.
 */
export function guardFormula(value: string): string {
  return isGuarded(value) ? `'${value}` : value
}

/** What was given to {@link guardFormula}. A formula that has no apostrophe (any more) is taken as it stands. */
export function unguardFormula(value: string): string {
  return value.startsWith("'") && isGuarded(value) ? value.slice(1) : value
}

/** One line of CSV, ended by CRLF. */
export function csvLine(cells: readonly (string | number | null)[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`
}
