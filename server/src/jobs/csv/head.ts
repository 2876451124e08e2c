import { Readable } from 'node:stream'
import type { ObjectStore } from '../../platform/objects/objects.ts'
import type { Checkpoint } from '../job.ts'
import { FileFault, MAX_ROW_BYTES, rowTooLong } from './file-fault.ts'
import { type CsvRecord, readRecords } from './records.ts'
import { completeLength, countLines, createUtf8Check } from './utf8.ts'

const BOM = Buffer.from([0xef, 0xbb, 0xbf])

/** What the beginning of a file tells about the rest. */
export interface Head {
  delimiter: string
  /** The cells of the header. */
  header: string[]
  /** Where data begins. */
  dataStart: Checkpoint
  /** Lines up to there, as a text editor counts them. */
  lines: number
}

/**
 * Reads the header, which is the first row that is not blank, and finds the delimiter by it.
 *
 * @throws FileFault `empty`, `no_header`, `not_utf8`, `unclosed_quote` or `row_too_long`
 */
export async function readHead(objects: ObjectStore, name: string): Promise<Head> {
  const { bytes, isAll } = await readBeginning(objects, name)
  const bomLength = bytes.subarray(0, BOM.length).equals(BOM) ? BOM.length : 0
  const content = bytes.subarray(bomLength, isAll ? bytes.length : completeLength(bytes))
  if (content.length === 0) throw new FileFault('empty', 'The file is empty.')
  const utf8 = createUtf8Check(0)
  utf8.check(content)
  if (isAll) utf8.end()

  const text = content.toString('utf8')
  const blank = skipBlankRows(text)
  const from = { byteOffset: bomLength + blank.length, rowNumber: blank.rows }
  const delimiter = findDelimiter(text.slice(blank.length))
  const record = await readFirstRow(content.subarray(blank.length), { delimiter, from, isAll })
  if (!record) throw new FileFault('no_header', 'The file has no header: it holds only blank rows.')
  return {
    delimiter,
    header: record.cells,
    dataStart: { byteOffset: record.endOffset, rowNumber: record.rowNumber },
    lines: countLines(bytes.subarray(0, record.endOffset)),
  }
}

/** Only one row is parsed: what is wrong further down must not hide the header. */
async function readFirstRow(
  bytes: Buffer,
  { delimiter, from, isAll }: { delimiter: string; from: Checkpoint; isAll: boolean },
): Promise<CsvRecord | undefined> {
  if (bytes.length === 0) return undefined
  const source = Readable.from([bytes], { objectMode: false })
  try {
    const [record] = await Array.fromAsync(readRecords(source, { delimiter, from, limit: 1 }))
    const isCut = !isAll && (!record || record.endOffset >= from.byteOffset + bytes.length)
    if (!isCut) return record
  } catch (error) {
    const isCut = !isAll && error instanceof FileFault && error.code === 'unclosed_quote'
    if (!isCut) throw error
    throw rowTooLong(from.rowNumber + 1, true, error)
  }
  throw rowTooLong(from.rowNumber + 1, false)
}

/** Rows of nothing but spaces and tabs, which are single bytes: their length is the same in bytes and in letters. */
function skipBlankRows(text: string): { rows: number; length: number } {
  const blankRow = /[ \t]*(?:\r\n|\n|\r)/y
  let rows = 0
  let length = 0
  while (blankRow.test(text)) {
    rows++
    length = blankRow.lastIndex
  }
  return { rows, length }
}

/** A header may be as long as any row, and is preceded by at most a BOM. */
async function readBeginning(objects: ObjectStore, name: string): Promise<{ bytes: Buffer; isAll: boolean }> {
  const wanted = BOM.length + MAX_ROW_BYTES + 2
  const chunks: Buffer[] = []
  for await (const chunk of objects.read(name, { end: wanted })) chunks.push(chunk)
  const bytes = Buffer.concat(chunks)
  return { bytes, isAll: bytes.length < wanted }
}

/** A comma, unless the first row has none outside quotes: then what it has of `;` and tab. */
export function findDelimiter(text: string): string {
  const firstRow = /^(?:[^"\r\n]|"[^"]*"?)*/.exec(text)![0]
  const bare = firstRow.replaceAll(/"[^"]*"?/g, '')
  return [',', ';', '\t'].find((delimiter) => bare.includes(delimiter)) ?? ','
}
