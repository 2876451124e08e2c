import { Buffer, isAscii, isUtf8 } from 'node:buffer'
import type { Encoding } from '../job.ts'

/**
 * Files are read as UTF-8; one in another encoding is made UTF-8 on the way in. Offsets, and with them checkpoints, are
 * those of the bytes in UTF-8.
 */

const BOMS: [Encoding, number[]][] = [
  ['utf-8', [0xef, 0xbb, 0xbf]],
  ['utf-16le', [0xff, 0xfe]],
  ['utf-16be', [0xfe, 0xff]],
]

/** Characters that are looked at to tell UTF-16 without a byte order mark. */
const SAMPLE = 64

/**
 * What the beginning of a file says of its encoding. Without a byte order mark, zeros in every other byte give UTF-16
 * away; whether the rest is UTF-8 or Windows-1252 is only known when all of it was seen (see `scan.ts`).
 */
export function sniffEncoding(bytes: Buffer): Encoding {
  for (const [encoding, bom] of BOMS)
    if (bytes.subarray(0, bom.length).equals(Buffer.from(bom))) return encoding
  const sample = bytes.subarray(0, 2 * SAMPLE)
  const zeros = (parity: number) => sample.filter((byte, at) => byte === 0 && at % 2 === parity).length
  const [even, odd] = [zeros(0), zeros(1)]
  const most = Math.max(2, (sample.length / 2) * 0.8)
  if (odd >= most && even === 0) return 'utf-16le'
  if (even >= most && odd === 0) return 'utf-16be'
  return 'utf-8'
}

/** The bytes of a file, from behind its byte order mark on, in UTF-8. What is no text stays no valid UTF-8. */
export async function* decodeToUtf8(
  source: AsyncIterable<Buffer>,
  encoding: Encoding,
): AsyncGenerator<Buffer> {
  if (encoding === 'utf-8') yield* source
  else if (encoding === 'windows-1252') {
    const decoder = new TextDecoder('windows-1252')
    for await (const chunk of source) yield isAscii(chunk) ? chunk : Buffer.from(decoder.decode(chunk))
  } else yield* decodeUtf16(source, encoding === 'utf-16be')
}

async function* decodeUtf16(source: AsyncIterable<Buffer>, isBigEndian: boolean): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of source) {
    const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk
    const end = wholeUtf16(bytes, isBigEndian)
    yield utf16ToUtf8(bytes.subarray(0, end), isBigEndian)
    rest = Buffer.from(bytes.subarray(end))
  }
  if (rest.length > 0) yield utf16ToUtf8(rest.subarray(0, rest.length & ~1), isBigEndian)
  // Half a character.
  if (rest.length % 2 === 1) yield Buffer.from([0xff])
}

/** Bytes up to half a character at the end: an odd byte, or the first half of a surrogate pair. */
function wholeUtf16(bytes: Buffer, isBigEndian: boolean): number {
  const even = bytes.length & ~1
  if (even === 0) return 0
  const last = isBigEndian ? bytes[even - 2]! : bytes[even - 1]!
  return last >= 0xd8 && last <= 0xdb ? even - 2 : even
}

function utf16ToUtf8(bytes: Buffer, isBigEndian: boolean): Buffer {
  const text = (isBigEndian ? Buffer.from(bytes).swap16() : bytes).toString('utf16le')
  if (text.isWellFormed()) return Buffer.from(text)
  return encodeAnyText(text)
}

/** Half a surrogate pair becomes the three bytes that UTF-8 forbids for it, so that its row is refused, not mended. */
function encodeAnyText(text: string): Buffer {
  const bytes = Buffer.allocUnsafe(3 * text.length)
  let end = 0
  for (const character of text) {
    const code = character.codePointAt(0)!
    if (code < 0xd800 || code > 0xdfff) {
      end += bytes.write(character, end)
    } else {
      bytes[end++] = 0xe0 | (code >> 12)
      bytes[end++] = 0x80 | ((code >> 6) & 0x3f)
      bytes[end++] = 0x80 | (code & 0x3f)
    }
  }
  return bytes.subarray(0, end)
}

/** The text of a byte string (see `rows.ts`), or `undefined` when its bytes are not UTF-8. */
export function decodeText(bytes: string): string | undefined {
  if (!HIGH.test(bytes)) return bytes
  const buffer = Buffer.from(bytes, 'latin1')
  return isUtf8(buffer) ? buffer.toString() : undefined
}

const HIGH = /[\x80-\xff]/

/** Number of the first byte that is not UTF-8, counted from 1. */
export function firstBadByte(bytes: string): number {
  const buffer = Buffer.from(bytes, 'latin1')
  // The longest beginning that is UTF-8, by halves; a character that is cut by the end is not at fault.
  let good = 0
  for (let step = 1 << Math.ceil(Math.log2(buffer.length + 1)); step >= 1; step >>= 1) {
    if (good + step <= buffer.length && isUtf8(buffer.subarray(0, completeLength(buffer, good + step))))
      good += step
  }
  return completeLength(buffer, good) + 1
}

/** Bytes before `end` without a character that is begun and not ended there. */
function completeLength(bytes: Buffer, end = bytes.length): number {
  for (let back = 1; back <= Math.min(3, end); back++) {
    const byte = bytes[end - back]!
    if ((byte & 0xc0) === 0x80) continue
    const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
    return needed > back ? end - back : end
  }
  return end
}
