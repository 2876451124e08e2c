import type { Checkpoint, Dialect } from '../job.ts'
import { MAX_ROW_BYTES } from './file-fault.ts'

/**
 * Cuts a file into rows. What is cut are *byte strings*: one character for each byte (latin1), so that positions in
 * the text are positions in the file, and searching is what V8 does fastest.
 *
 * Rows end with CRLF, LF or CR outside quotes; quotes open at the beginning of a cell only (see `cells.ts`). Counting
 * and importing cut with the same code, so that they cannot disagree.
 */
export interface RowCutter {
  /** Takes the next bytes of the file, and tells each row that they complete. */
  feed(bytes: string): void
  /** Tells the last row, when it has no line end. */
  end(): void
}

export interface RowSink {
  /**
   * @param row        without its line end; of one beyond {@link MAX_ROW_BYTES} only so much of its beginning
   * @param rowNumber  as a person sees it in a spreadsheet: blank rows have a number, too, and are not told
   * @param endOffset  offset behind the row and its line end, where the next one begins
   * @param byteLength bytes of the row
   */
  onRow(row: string, rowNumber: number, endOffset: number, byteLength: number): void
  /** A quote in this row is not closed where the file ends. The row is told all the same. */
  onUnclosedQuote?(rowNumber: number): void
}

const TAB = 0x09
const LF = 0x0a
const CR = 0x0d
const SPACE = 0x20
/** No quote has a higher code. */
const HIGHEST_QUOTE = 0x27

/** Where in a row the slow walk is. `QUOTE_SEEN`: behind a quote inside quotes, which closes them unless one follows. */
const CELL_START = 0
const PLAIN = 1
const QUOTED = 2
const QUOTE_SEEN = 3

/** @param from  where reading begins, which is the beginning of a row, and the number of the row before */
export function createRowCutter(
  { delimiter, quote }: Pick<Dialect, 'delimiter' | 'quote'>,
  from: Checkpoint,
  sink: RowSink,
): RowCutter {
  const DELIMITER = delimiter.charCodeAt(0)
  const QUOTE = quote.charCodeAt(0)
  let offset = from.byteOffset
  let rowNumber = from.rowNumber
  /** Bytes from `offset` on that are not cut yet. */
  let rest = ''
  /** How far the slow walk has come in `rest`, and in which state. */
  let walked = 0
  let state = CELL_START
  /** Of a row that is too long, what was kept of it, and the bytes that were let go. */
  let kept: string | undefined
  let dropped = 0

  function feed(bytes: string): void {
    const text = rest === '' ? bytes : rest + bytes
    const position = cut(text, false)
    rest = position === 0 ? text : text.slice(position)
    walked -= position
    if (rest.length > MAX_ROW_BYTES) letGo()
  }

  function end(): void {
    const position = cut(rest, true)
    const last = rest.slice(position)
    if (state === QUOTED) sink.onUnclosedQuote?.(rowNumber + 1)
    if (last !== '' || kept !== undefined) tell(last, last.length)
    rest = ''
  }

  /** Bytes of a row that nobody will want: memory must not grow with it. Its end is looked for all the same. */
  function letGo(): void {
    // Walked to the end by now: a row without its end in sight is always walked.
    kept ??= rest.slice(0, MAX_ROW_BYTES)
    // A CR may be half of a line end.
    const keep = rest.charCodeAt(rest.length - 1) === CR ? 1 : 0
    dropped += rest.length - keep
    rest = rest.slice(rest.length - keep)
    walked = 0
  }

  /** Tells the rows that end in `text`; returns where the first one begins that does not. */
  function cut(text: string, isEnd: boolean): number {
    const findEnd = createEndFinder(text, delimiter, quote)
    let start = 0
    for (;;) {
      const isFresh = walked <= start && state === CELL_START
      const rowEnd = isFresh ? findEnd(start) : walk(text, start)
      if (rowEnd === -1) {
        // Remembered, so that a long row is not looked through from its beginning with every chunk.
        walk(text, start)
        return start
      }
      let next = rowEnd + 1
      if (text.charCodeAt(rowEnd) === CR) {
        if (next === text.length && !isEnd) {
          walk(text, start)
          return start
        }
        if (text.charCodeAt(next) === LF) next++
      }
      tell(text.slice(start, rowEnd), next - start)
      start = next
      walked = start
      state = CELL_START
    }
  }

  /** Byte by byte from where the last walk stopped; -1 when the row does not end in `text`. */
  function walk(text: string, start: number): number {
    let i = Math.max(start, walked)
    for (; i < text.length; i++) {
      const byte = text.charCodeAt(i)
      // What nearly all bytes are: letters and digits in the middle of a cell.
      if (byte > HIGHEST_QUOTE && byte !== DELIMITER && (state === PLAIN || state === QUOTED)) continue
      if (state === QUOTED) {
        if (byte === QUOTE) state = QUOTE_SEEN
      } else if (byte === DELIMITER) state = CELL_START
      else if (byte === LF || byte === CR) break
      else if (byte === QUOTE && state !== PLAIN) state = QUOTED
      else state = PLAIN
    }
    walked = i
    return i === text.length ? -1 : i
  }

  /** @param bytes  of what is left of the row, its line end included */
  function tell(row: string, bytes: number): void {
    rowNumber++
    const byteLength = dropped + row.length
    offset += dropped + bytes
    const text = kept ?? (byteLength > MAX_ROW_BYTES ? row.slice(0, MAX_ROW_BYTES) : row)
    kept = undefined
    dropped = 0
    // What was let go of a row may have been no space.
    if (byteLength > MAX_ROW_BYTES || !isBlank(text)) sink.onRow(text, rowNumber, offset, byteLength)
  }

  return {
    feed,
    end,
  }
}

/**
 * Finds where a row ends that begins at `start`; -1 when it does not. The same as walking byte by byte, from one sign
 * that matters to the next: it is asked for one row after the other, and remembers the signs behind them.
 */
function createEndFinder(text: string, delimiter: string, quote: string): (start: number) => number {
  let nextLf = text.indexOf('\n')
  let nextCr = text.indexOf('\r')
  let nextQuote = text.indexOf(quote)
  const after = (sign: string, known: number, from: number) =>
    known === -1 || known >= from ? known : text.indexOf(sign, from)

  return (start) => {
    for (let from = start; ; ) {
      nextLf = after('\n', nextLf, from)
      nextCr = after('\r', nextCr, from)
      nextQuote = after(quote, nextQuote, from)
      const end = nextCr !== -1 && (nextLf === -1 || nextCr < nextLf) ? nextCr : nextLf
      if (nextQuote === -1 || (end !== -1 && end < nextQuote)) return end
      const isOpening = nextQuote === start || text[nextQuote - 1] === delimiter
      from = nextQuote + 1
      if (!isOpening) continue
      // To the quote that closes it: the first one behind which there is no other.
      for (;;) {
        const closing = text.indexOf(quote, from)
        if (closing === -1) return -1
        from = closing + 1
        if (text[from] !== quote) break
        from++
      }
    }
  }
}

/** Nothing but spaces and tabs. */
function isBlank(row: string): boolean {
  for (let i = 0; i < row.length; i++) {
    const byte = row.charCodeAt(i)
    if (byte !== SPACE && byte !== TAB) return false
  }
  return true
}
