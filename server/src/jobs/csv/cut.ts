/**
 * Cuts a row behind its first `width` cells, without touching a byte. Where cells end is decided as in `cells.ts`; a
 * property test holds the two together.
 *
 * @returns the cells up to there, how many are missing from `width`, and the cells beyond, if there are any
 */
export function cutRow(
  raw: Buffer,
  delimiter: string,
  width: number,
): { row: Buffer; missing: number; beyond: Buffer | undefined } {
  // One letter a byte: delimiters and quotes are single bytes, which are never part of a longer character.
  const text = raw.toString('latin1')
  let cells = 1
  for (
    let end = endOfCell(text, 0, delimiter);
    end < text.length;
    end = endOfCell(text, end + 1, delimiter)
  ) {
    if (cells === width) return { row: raw.subarray(0, end), missing: 0, beyond: raw.subarray(end + 1) }
    cells++
  }
  return { row: raw, missing: Math.max(0, width - cells), beyond: undefined }
}

/** Index of the delimiter that ends the cell at `start`, or of the row's end. */
function endOfCell(text: string, start: number, delimiter: string): number {
  const found = text.indexOf(delimiter, text[start] === '"' ? endOfQuotes(text, start) : start)
  return found === -1 ? text.length : found
}

function endOfQuotes(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at !== -1; at = text.indexOf('"', at + 2)) {
    if (text[at + 1] !== '"') return at + 1
  }
  return text.length
}
