import { Readable } from 'node:stream'
import type { Pool } from 'pg'
import { cutRow } from '../csv/cut.ts'
import { byteOrderMark, encodeText } from '../csv/encode.ts'
import type { Dialect, Job, Reject } from '../job.ts'
import { ERROR, ROW_NUMBER } from './corrected-report.ts'
import { columnsOf, rejectPages } from './errors-csv.ts'

const END = '\r\n'

/**
 * All rejected rows as they stood in the file, byte for byte, in its delimiter and its encoding; in front of each its
 * number, behind it the error. Not made safe for spreadsheets: it is for programs, and for those who want to see what
 * was really there.
 */
export function streamRawErrorsCsv(pool: Pool, job: Job): Readable {
  return Readable.from(rawErrorsCsv(pool, job), { objectMode: false })
}

async function* rawErrorsCsv(pool: Pool, job: Job): AsyncGenerator<Buffer> {
  const dialect = job.dialect ?? { ...PLAIN, header: await columnsOf(pool, job) }
  const { encoding, delimiter, header } = dialect
  const first = [ROW_NUMBER, ...header, ERROR].map((text) => quoteCell(text, dialect)).join(delimiter)
  yield Buffer.concat([byteOrderMark(encoding), encodeText(first + END, encoding)])
  // When the job was read, its file had not been: what is refused since then is for the next one who asks.
  if (!job.dialect) return
  for await (const rejects of rejectPages(pool, job.id))
    yield Buffer.concat(rejects.map((reject) => rawLine(reject, dialect)))
}

const PLAIN = { encoding: 'utf-8', delimiter: ',', quote: '"' } as const

/**
 * Cells beyond the header come after the error and cells that are missing are left blank before it, so that every
 * error stands in its column.
 */
function rawLine({ rowNumber, raw, message }: Reject, dialect: Dialect): Buffer {
  const { encoding, delimiter, header } = dialect
  const { row, missing, beyond } = cutRow(raw, dialect, header.length)
  const error = quoteCell(message, dialect)
  return Buffer.concat([
    encodeText(`${rowNumber}${delimiter}`, encoding),
    encodeRaw(row, encoding),
    encodeText(delimiter.repeat(missing) + delimiter + error, encoding),
    ...(beyond ? [encodeText(delimiter, encoding), encodeRaw(beyond, encoding)] : []),
    encodeText(END, encoding),
  ])
}

/** Kept in UTF-8 whatever the file was; of a file in UTF-8 also bytes that are no text, which therefore stay bytes. */
function encodeRaw(raw: Buffer, encoding: Dialect['encoding']): Buffer {
  return encoding === 'utf-8' ? raw : encodeText(raw.toString(), encoding)
}

function quoteCell(text: string, { delimiter, quote }: Dialect): string {
  const needsQuotes = [delimiter, quote, '\r', '\n'].some((sign) => text.includes(sign))
  return needsQuotes ? quote + text.replaceAll(quote, quote + quote) + quote : text
}
