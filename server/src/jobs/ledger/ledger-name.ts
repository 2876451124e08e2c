import { MAX_FILENAME_BYTES } from '../upload/filename.ts'

/**
 * The name under which the `number`-th upload of a filename appears in the ledger, where a client has one record per
 * name and completed ones are closed: `customers.csv`, `customers (2).csv`, `customers (3).csv` …
 *
 * A name that would become too long loses the end of its stem.
 */
export function ledgerNameOf(filename: string, number: number): string {
  if (number === 1) return filename
  const dot = filename.lastIndexOf('.')
  const cut = dot > 0 ? dot : filename.length
  const ending = ` (${number})${filename.slice(cut)}`
  const room = MAX_FILENAME_BYTES - Buffer.byteLength(ending)
  // An "extension" as long as the name itself is none.
  if (room < 1) return ledgerNameOf(truncate(filename.replaceAll('.', '_'), MAX_FILENAME_BYTES), number)
  return truncate(filename.slice(0, cut), room) + ending
}

/** The longest beginning of a text that fits into so many bytes of UTF-8, without half a character at its end. */
function truncate(text: string, maxBytes: number): string {
  if (Buffer.byteLength(text) <= maxBytes) return text
  let bytes = 0
  let end = 0
  for (const character of text) {
    bytes += Buffer.byteLength(character)
    if (bytes > maxBytes) break
    end += character.length
  }
  return text.slice(0, end)
}
