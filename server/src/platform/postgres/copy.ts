const CHUNK_LENGTH = 64 * 1024
const SPECIAL = /[\\\t\n\r]/g
const ESCAPED: Record<string, string> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }

/** Rows in the text format of COPY, in chunks of about 64 KiB. Values must not hold NUL characters. */
export function* copyLines(rows: readonly (readonly (string | null)[])[]): Generator<string> {
  let chunk = ''
  for (const row of rows) {
    chunk += `${row.map(copyCell).join('\t')}\n`
    if (chunk.length >= CHUNK_LENGTH) {
      yield chunk
      chunk = ''
    }
  }
  if (chunk) yield chunk
}

function copyCell(value: string | null): string {
  return value === null ? '\\N' : value.replace(SPECIAL, (character) => ESCAPED[character]!)
}
