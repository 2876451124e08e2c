import { isUtf8 } from 'node:buffer'
import { notUtf8 } from './file-fault.ts'

const LF = 0x0a

/**
 * Checks a stream of bytes, chunk by chunk, for being UTF-8. A character that is cut by the end of a chunk is judged
 * with the next one.
 *
 * @param linesBefore  lines before the first chunk
 * @returns `check` and `end`, which throw FileFault `not_utf8`, naming the line as a text editor counts it
 */
export function createUtf8Check(linesBefore: number) {
  let cut: Buffer = Buffer.alloc(0)
  let lines = linesBefore

  function check(chunk: Buffer): void {
    const bytes = cut.length > 0 ? Buffer.concat([cut, chunk]) : chunk
    const end = completeLength(bytes)
    const whole = bytes.subarray(0, end)
    if (!isUtf8(whole)) throw notUtf8(lines + firstBadLine(whole))
    lines += countLines(whole)
    cut = Buffer.from(bytes.subarray(end))
  }

  function end(): void {
    if (cut.length > 0) throw notUtf8(lines + 1)
  }

  return { check, end }
}

/** Bytes up to a character that is begun and not ended at the end of the chunk. */
export function completeLength(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!
    if ((byte & 0xc0) === 0x80) continue
    const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
    return needed > back ? bytes.length - back : bytes.length
  }
  return bytes.length
}

/** A line feed is never part of a longer character, so lines can be judged one by one. */
function firstBadLine(bytes: Buffer): number {
  let line = 1
  for (let start = 0; start < bytes.length; line++) {
    const found = bytes.indexOf(LF, start)
    const end = found === -1 ? bytes.length : found + 1
    if (!isUtf8(bytes.subarray(start, end))) break
    start = end
  }
  return line
}

export function countLines(bytes: Buffer): number {
  let lines = 0
  for (let at = bytes.indexOf(LF); at !== -1; at = bytes.indexOf(LF, at + 1)) lines++
  return lines
}
