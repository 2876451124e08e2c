import type { Dialect } from '../job.ts'
import { closingQuote } from './cells.ts'

/**
 * Cuts a row behind its first `width` cells, without touching a byte. Where cells end is decided as in `cells.ts`; a
 * property test holds the two together.
 *
 * @returns the cells up to there, how many are missing from `width`, and the cells beyond, if there are any
 */
export function cutRow(
  raw: Buffer,
  dialect: Pick<Dialect, 'delimiter' | 'quote'>,
  width: number,
): { row: Buffer; missing: number; beyond: Buffer | undefined } {
  // One letter a byte: delimiters and quotes are single bytes, which are never part of a longer character.
  const text = raw.toString('latin1')
  let cells = 1
  for (let end = endOfCell(text, 0, dialect); end < text.length; end = endOfCell(text, end + 1, dialect)) {
    if (cells === width) return { row: raw.subarray(0, end), missing: 0, beyond: raw.subarray(end + 1) }
    cells++
  }
  return { row: raw, missing: Math.max(0, width - cells), beyond: undefined }
}

/** Index of the delimiter that ends the cell at `start`, or of the row's end. */
function endOfCell(
  text: string,
  start: number,
  { delimiter, quote }: Pick<Dialect, 'delimiter' | 'quote'>,
): number {
  const found = text.indexOf(delimiter, text[start] === quote ? closingQuote(text, start, quote) + 1 : start)
  return found === -1 ? text.length : found
}
