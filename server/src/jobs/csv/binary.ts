import type { Buffer } from 'node:buffer'

const SIGNATURES: [string, string][] = [
  ['504b0304', 'an Excel workbook or another ZIP archive'],
  ['504b0506', 'an empty ZIP archive'],
  ['d0cf11e0', 'an old Office document'],
  ['25504446', 'a PDF'],
  ['89504e47', 'a PNG image'],
  ['ffd8ff', 'a JPEG image'],
  ['47494638', 'a GIF image'],
  ['1f8b', 'a gzip archive'],
  ['28b52ffd', 'a Zstandard archive'],
  ['7f454c46', 'a program'],
  ['50415231', 'a Parquet file'],
  ['fffe0000', 'text in UTF-32'],
  ['0000feff', 'text in UTF-32'],
]
const SAMPLE_BYTES = 4_096
/** Of the sample. A stray control character in a cell is a fault of its row, not of the file. */
const MAX_CONTROL_SHARE = 0.1

/** What a file is that is no text, told by its beginning; `undefined` for one that may be. */
export function binaryKind(bytes: Buffer): string | undefined {
  const start = bytes.subarray(0, 4).toString('hex')
  const known = SIGNATURES.find(([signature]) => start.startsWith(signature))
  if (known) return known[1]
  const sample = bytes.subarray(0, SAMPLE_BYTES)
  const controls = sample.filter((byte) => byte < 0x20 && !(byte >= 0x09 && byte <= 0x0d)).length
  return controls > sample.length * MAX_CONTROL_SHARE ? 'binary data' : undefined
}
