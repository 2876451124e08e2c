import type { Dialect } from '../job.ts'

/**
 * The cells of one row, which `rows.ts` has cut out of its file.
 *
 * RFC 4180, with the leniency that files of real people need: a quote inside an unquoted cell is a letter (`5" pipe`),
 * and text after a closing quote makes the whole cell plain text, its quotes included. Nothing fails: what a row looks
 * like is for the dataset to judge.
 */
export function splitCells(
  row: string,
  { delimiter, quote }: Pick<Dialect, 'delimiter' | 'quote'>,
): string[] {
  if (!row.includes(quote)) return row.split(delimiter)
  const cells: string[] = []
  for (let start = 0; ; ) {
    const closing = row.startsWith(quote, start) ? closingQuote(row, start, quote) : -1
    const isQuoted = closing !== -1 && (closing + 1 === row.length || row.startsWith(delimiter, closing + 1))
    // Plain text that began in quotes ends behind them: the delimiters inside do not count.
    const found = row.indexOf(delimiter, closing === -1 ? start : closing + 1)
    const end = found === -1 ? row.length : found
    cells.push(isQuoted ? unquote(row.slice(start + 1, closing), quote) : row.slice(start, end))
    if (found === -1) return cells
    start = end + 1
  }
}

/** Index of the quote that closes the one at `start`; the row's end when none does. */
export function closingQuote(row: string, start: number, quote: string): number {
  for (let at = row.indexOf(quote, start + 1); at !== -1; at = row.indexOf(quote, at + 2)) {
    if (row[at + 1] !== quote) return at
  }
  return row.length
}

function unquote(text: string, quote: string): string {
  return text.includes(quote) ? text.replaceAll(quote + quote, quote) : text
}
