import { Buffer } from 'node:buffer'
import type { ObjectStore } from '../../platform/objects/objects.ts'
import type { Checkpoint, Dialect, Encoding } from '../job.ts'
import { binaryKind } from './binary.ts'
import { splitCells } from './cells.ts'
import { decodeText, decodeToUtf8, firstBadByte, sniffEncoding } from './encoding.ts'
import {
  binaryFile,
  emptyFile,
  headerNotText,
  headerTooLong,
  MAX_COLUMNS,
  MAX_ROW_BYTES,
  noHeader,
  tooManyColumns,
  unclosedQuote,
} from './file-fault.ts'
import { createRowCutter } from './rows.ts'

type Files = Pick<ObjectStore, 'read'>

/** What the beginning of a file tells about the rest. */
export interface Head extends Pick<Dialect, 'encoding' | 'delimiter' | 'quote'> {
  /** A byte order mark says so. */
  isEncodingTold: boolean
  /** The header's row, as a byte string (see `rows.ts`). */
  header: string
  /** Where data begins. */
  dataStart: Checkpoint
}

/**
 * Reads the header, which is the first row that is not blank, and finds the dialect by it.
 *
 * @param known  the encoding, where more is known of it than the beginning tells
 * @throws FileFault
 */
export async function readHead(files: Files, name: string, known?: Encoding): Promise<Head> {
  const encoding = known ?? (await guessEncoding(files, name))
  const { bytes, isAll, from, hasBom } = await readToFirstRow(files, name, encoding)
  if (bytes === '') throw noHeader()
  const delimiter = findDelimiter(bytes)
  const quote = findQuote(bytes, delimiter)
  const isEncodingTold = hasBom || encoding !== 'utf-8'
  let head: Head | undefined
  const cutter = createRowCutter({ delimiter, quote }, from, {
    onRow(header, rowNumber, byteOffset, byteLength) {
      if (head) return
      if (byteLength > MAX_ROW_BYTES) throw headerTooLong(rowNumber)
      head = { encoding, isEncodingTold, delimiter, quote, header, dataStart: { byteOffset, rowNumber } }
    },
    onUnclosedQuote(rowNumber) {
      if (!head) throw unclosedQuote(rowNumber)
    },
  })
  cutter.feed(bytes)
  if (isAll) cutter.end()
  if (!head) throw headerTooLong(from.rowNumber + 1)
  return head
}

/**
 * The cells of the header.
 *
 * @throws FileFault `not_text` or `too_many_columns`
 */
export function headerCells(head: Head): string[] {
  const text = decodeText(head.header)
  if (text === undefined) throw headerNotText(firstBadByte(head.header))
  // Kept with the job, and PostgreSQL has no place for NUL characters.
  const cells = splitCells(text.replaceAll('\0', '\ufffd'), head)
  if (cells.length > MAX_COLUMNS) throw tooManyColumns(cells.length)
  return cells
}

/** The bytes of a file in UTF-8, from an offset of {@link Checkpoint} on. */
export async function* readUtf8(
  files: Files,
  name: string,
  { encoding, start = 0, signal }: { encoding: Encoding; start?: number; signal?: AbortSignal },
): AsyncGenerator<Buffer> {
  // Another encoding has to be read from the beginning: its offsets are those of what it becomes.
  const isUtf8 = encoding === 'utf-8'
  const source = files.read(name, { start: isUtf8 ? start : 0 })
  const abort = () => source.destroy()
  signal?.addEventListener('abort', abort)
  try {
    let skip = isUtf8 ? 0 : start
    for await (const chunk of decodeToUtf8(source, encoding)) {
      if (chunk.length > skip) yield skip > 0 ? chunk.subarray(skip) : chunk
      skip = Math.max(0, skip - chunk.length)
    }
  } finally {
    signal?.removeEventListener('abort', abort)
    source.destroy()
  }
}

async function guessEncoding(files: Files, name: string): Promise<Encoding> {
  const chunks: Buffer[] = []
  for await (const chunk of files.read(name, { end: 4_096 })) chunks.push(chunk)
  const bytes = Buffer.concat(chunks)
  if (bytes.length === 0) throw emptyFile()
  const what = binaryKind(bytes)
  const encoding = sniffEncoding(bytes)
  // UTF-16 is half zeros, as binary data is.
  if (what && (encoding === 'utf-8' || what.includes('UTF-32'))) throw binaryFile(what)
  return encoding
}

const BOM = '\xef\xbb\xbf'
/** Rows of nothing but spaces and tabs. A CR is one only where it is seen not to be half of a CRLF. */
const BLANK_ROWS = /^(?:[ \t]*(?:\r\n|\n|\r(?=[^\n])))+/
const LINE_END = /\r\n?|\n/g

/** The beginning of a file from its first row on that is not blank; enough of it for a row of the greatest length. */
async function readToFirstRow(files: Files, name: string, encoding: Encoding) {
  let bytes = ''
  const from = { byteOffset: 0, rowNumber: 0 }
  let isAll = true
  let hasBom = false
  for await (const chunk of readUtf8(files, name, { encoding })) {
    bytes += chunk.toString('latin1')
    if (from.byteOffset === 0 && bytes.startsWith(BOM)) {
      bytes = bytes.slice(BOM.length)
      from.byteOffset = BOM.length
      hasBom = true
    }
    const blank = BLANK_ROWS.exec(bytes)?.[0] ?? ''
    bytes = bytes.slice(blank.length)
    from.byteOffset += blank.length
    from.rowNumber += blank.match(LINE_END)?.length ?? 0
    isAll = bytes.length <= MAX_ROW_BYTES + 2
    if (!isAll) break
  }
  if (isAll && /^[ \t\r]*$/.test(bytes)) bytes = ''
  if (bytes === '' && from.rowNumber === 0 && from.byteOffset <= BOM.length) throw emptyFile()
  return { bytes, isAll, from, hasBom }
}

const DELIMITERS = [',', ';', '\t', '|']

/** What occurs most in the first row, outside quotes; the first of these where several do. */
export function findDelimiter(text: string): string {
  const firstRow = /^(?:[^"\r\n]|"[^"]*"?)*/.exec(text)![0]
  const bare = firstRow.replaceAll(/"[^"]*"?/g, '')
  const counts = DELIMITERS.map((delimiter) => bare.split(delimiter).length)
  return DELIMITERS[counts.indexOf(Math.max(...counts))]!
}

/** A double quote, unless each name in the header stands between single ones. */
function findQuote(text: string, delimiter: string): Dialect['quote'] {
  const firstRow = /^[^\r\n]*/.exec(text)![0]
  const isSingle = firstRow.split(delimiter).every((cell) => /^'[^']*'$/.test(cell.trim()))
  return isSingle ? "'" : '"'
}
