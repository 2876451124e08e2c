import { type ByteWriter, createByteWriter } from '../byte-writer.ts'

const BACKSLASH = 0x5c
const TAB = 0x09
const LF = 0x0a
/** Behind a backslash: the letter for each character that has to be escaped. */
const ESCAPES: Record<number, number> = { [BACKSLASH]: BACKSLASH, [TAB]: 0x74, [LF]: 0x6e, 13: 0x72 }

/** As COPY's text format has what is not there. */
export const NULL = '\\N'

/** A text as COPY's text format has it; for a few thousand rows that are joined, and sorted, as strings. */
export const copyText = (value: string | null): string => (value === null ? NULL : escapeText(value))

const escapeText = (value: string): string =>
  value.replace(SPECIAL, (sign) => `\\${String.fromCharCode(ESCAPES[sign.charCodeAt(0)]!)}`)

const SPECIAL = /[\\\t\n\r]/g

/** Rows in the text format of COPY, and how many. */
export interface CopyLines {
  count: number
  bytes: Uint8Array
}

/** Writes rows in the text format of COPY. */
export interface CopyWriter {
  /** What {@link encodeCells} made: what many rows share need not be written anew for each. */
  raw(bytes: Uint8Array): void
  /** Text that goes on where the last one ended; it must not hold NUL characters. */
  text(value: string): void
  /** A value behind a tab. */
  cell(value: string | null): void
  endRow(): void
  /** Bytes so far, which after a row is where it ends. */
  readonly length: number
  lines(): CopyLines
  /** Begins anew, in the same buffer. */
  clear(): void
}

/**
 * Byte by byte into one buffer: for a million rows a fourth of the time that joining strings and encoding them takes,
 * and next to no garbage.
 *
 * @param used  see {@link createByteWriter}
 */
export function createCopyWriter(used?: ArrayBuffer): CopyWriter {
  const bytes: ByteWriter = createByteWriter(used)
  let count = 0

  function text(value: string): void {
    // Two bytes for a character that is escaped, three for one beyond ASCII.
    const buffer = bytes.reserve(3 * value.length)
    let end = bytes.end
    for (let at = 0; at < value.length; at++) {
      const code = value.charCodeAt(at)
      if (code > 0x7f) {
        bytes.end = end
        writeAnyText(value.slice(at))
        return
      }
      if (code === BACKSLASH || (code < 0x0e && ESCAPES[code] !== undefined)) {
        buffer[end++] = BACKSLASH
        buffer[end++] = ESCAPES[code]!
      } else buffer[end++] = code
    }
    bytes.end = end
  }

  function writeAnyText(value: string): void {
    const escaped = escapeText(value)
    bytes.end += bytes.reserve(3 * escaped.length).write(escaped, bytes.end)
  }

  return {
    raw(part) {
      bytes.reserve(part.length).set(part, bytes.end)
      bytes.end += part.length
    },
    text,
    cell(value) {
      const buffer = bytes.reserve(3)
      buffer[bytes.end++] = TAB
      if (value !== null) text(value)
      else {
        buffer[bytes.end++] = BACKSLASH
        buffer[bytes.end++] = 0x4e
      }
    },
    endRow() {
      bytes.reserve(1)[bytes.end++] = LF
      count++
    },
    get length() {
      return bytes.end
    },
    lines: () => ({ count, bytes: bytes.bytes() }),
    clear() {
      bytes.end = 0
      count = 0
    },
  }
}

/** Cells as they stand in a row behind others, for {@link CopyWriter.raw}. */
export function encodeCells(cells: readonly string[]): Uint8Array {
  const writer = createCopyWriter()
  for (const cell of cells) writer.cell(cell)
  return writer.lines().bytes
}
