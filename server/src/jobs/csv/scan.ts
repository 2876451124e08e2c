import { MAX_ROW_BYTES, rowTooLong, unclosedQuote } from './file-fault.ts'
import { createUtf8Check } from './utf8.ts'

const QUOTE = 0x22
const CR = 0x0d
const LF = 0x0a
const SPACE = 0x20
const TAB = 0x09

/** Where in a row the scan is. `quoteSeen`: a quote inside quotes, which closes them unless another one follows. */
const CELL_START = 0
const PLAIN = 1
const QUOTED = 2
const QUOTE_SEEN = 3

/**
 * Counts the data rows of a file and finds what is wrong with it as a whole, before any row is imported: a file that
 * fails leaves nothing behind, and a file that is imported has a total from the start.
 *
 * It cuts rows as the parser in `records.ts` does (RFC 4180; a quote inside an unquoted cell is a letter; rows end
 * with CRLF, LF or CR); a property test holds the two together. Blank rows are no data.
 *
 * @param source     from the end of the header on
 * @param rowNumber  number of the header's row, from which rows are counted on in messages
 * @param line       lines before `source`
 * @throws FileFault `not_utf8`, `unclosed_quote` or `row_too_long`
 */
export async function countRows(
  source: AsyncIterable<Buffer>,
  { delimiter, rowNumber, line }: { delimiter: string; rowNumber: number; line: number },
): Promise<number> {
  const utf8 = createUtf8Check(line)
  const scan = createRowScan(delimiter.charCodeAt(0), rowNumber)
  for await (const chunk of source) {
    utf8.check(chunk)
    scan.feed(chunk)
  }
  utf8.end()
  return scan.end()
}

/** The scan itself, fed chunk by chunk. `end` returns the number of data rows. */
export function createRowScan(delimiter: number, rowsBefore: number) {
  let state = CELL_START
  let rows = 0
  let rowNumber = rowsBefore + 1
  let bytesBefore = 0
  let isBlank = true
  let isAfterCr = false

  function endRow(): void {
    if (!isBlank) rows++
    rowNumber++
    isBlank = true
    state = CELL_START
  }

  function feed(chunk: Buffer): void {
    // Bytes of the row, without counting them one by one: from its start, which may lie before this chunk.
    let rowStart = -bytesBefore
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i]!
      // What nearly all bytes of a file are: letters and digits in the middle of a cell.
      if (byte > QUOTE && byte !== delimiter && (state === PLAIN || state === QUOTED)) {
        isBlank = false
        continue
      }
      if (isAfterCr) {
        isAfterCr = false
        if (byte === LF) {
          rowStart = i + 1
          continue
        }
      }
      if (i - rowStart >= MAX_ROW_BYTES) throw rowTooLong(rowNumber, state === QUOTED)
      if (state === QUOTED) {
        if (byte === QUOTE) state = QUOTE_SEEN
        else if (byte !== SPACE && byte !== TAB) isBlank = false
      } else if (byte === delimiter) {
        isBlank = false
        state = CELL_START
      } else if (byte === LF || byte === CR) {
        isAfterCr = byte === CR
        rowStart = i + 1
        endRow()
      } else if (byte === QUOTE && state === CELL_START) {
        state = QUOTED
      } else if (byte === QUOTE && state === QUOTE_SEEN) {
        isBlank = false
        state = QUOTED
      } else {
        // Text after a closing quote makes the whole cell plain text, its quotes included.
        if (state === QUOTE_SEEN || (byte !== SPACE && byte !== TAB)) isBlank = false
        state = PLAIN
      }
    }
    bytesBefore = chunk.length - rowStart
    if (bytesBefore > MAX_ROW_BYTES) throw rowTooLong(rowNumber, state === QUOTED)
  }

  function end(): number {
    if (state === QUOTED) throw unclosedQuote(rowNumber)
    endRow()
    return rows
  }

  return { feed, end }
}
