const QUOTE = 0x22

/**
 * The cells of one row, which `rows.ts` has cut out of its file.
 *
 * RFC 4180, with the leniency that files of real people need: a quote inside an unquoted cell is a letter (`5" pipe`),
 * and text after a closing quote makes the whole cell plain text, its quotes included. Nothing fails: what a row looks
 * like is for the dataset to judge.
 */
export function splitCells(row: string, delimiter: string): string[] {
  if (!row.includes('"')) return row.split(delimiter)
  const cells: string[] = []
  for (let start = 0; ; ) {
    const quoted = row.charCodeAt(start) === QUOTE ? closingQuote(row, start) : -1
    const isQuoted = quoted !== -1 && (quoted + 1 === row.length || row.startsWith(delimiter, quoted + 1))
    // The search for the end of plain text that began in quotes goes on behind those quotes.
    const from = isQuoted || quoted !== -1 ? quoted + 1 : start
    const found = row.indexOf(delimiter, from)
    const end = found === -1 ? row.length : found
    cells.push(isQuoted ? unquote(row, start + 1, quoted) : row.slice(start, end))
    if (found === -1) return cells
    start = end + 1
  }
}

/** Index of the quote that closes the one at `start`; of the row's end when none does. */
function closingQuote(row: string, start: number): number {
  for (let at = row.indexOf('"', start + 1); at !== -1; at = row.indexOf('"', at + 2)) {
    if (row.charCodeAt(at + 1) !== QUOTE) return at
  }
  return row.length
}

function unquote(row: string, start: number, end: number): string {
  const text = row.slice(start, end)
  return text.includes('"') ? text.replaceAll('""', '"') : text
}
