import { Readable } from 'node:stream'
import type { Pool } from 'pg'
import { CUSTOMERS } from '../datasets/customers.ts'
import { ERROR, ROW_NUMBER } from './corrected-report.ts'
import { cutRow } from './csv/cut.ts'
import { byteOrderMark, encodeText } from './csv/encode.ts'
import { rejectPages } from './errors-csv.ts'
import type { Dialect, Job, Reject } from './job.ts'

const END = '\r\n'

/** Of a file that was not read yet, and so has no refused rows. */
const UNREAD: Dialect = {
  encoding: 'utf-8',
  delimiter: ',',
  header: CUSTOMERS.columns.map(({ name }) => name),
}

/**
 * All rejected rows as they stood in the file, byte for byte, in its delimiter and its encoding; in front of each its
 * number, behind it the error. Not made safe for spreadsheets: it is for programs, and for those who want to see what
 * was really there.
 */
export function streamRawErrorsCsv(pool: Pool, job: Job): Readable {
  return Readable.from(rawErrorsCsv(pool, job), { objectMode: false })
}

async function* rawErrorsCsv(pool: Pool, { id, dialect }: Job): AsyncGenerator<Buffer> {
  const { encoding, delimiter, header } = dialect ?? UNREAD
  const cell = (text: string) => quoteCell(text, delimiter)
  const first = [ROW_NUMBER, ...header, ERROR].map(cell).join(delimiter)
  yield Buffer.concat([byteOrderMark(encoding), encodeText(first + END, encoding)])
  if (!dialect) return
  for await (const rejects of rejectPages(pool, id))
    yield Buffer.concat(rejects.map((reject) => rawLine(reject, { encoding, delimiter, header })))
}

/**
 * Cells beyond the header come after the error and cells that are missing are left blank before it, so that every
 * error stands in its column.
 */
function rawLine({ rowNumber, raw, message }: Reject, { encoding, delimiter, header }: Dialect): Buffer {
  const { row, missing, beyond } = cutRow(raw, delimiter, header.length)
  const error = quoteCell(message, delimiter)
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

function quoteCell(text: string, delimiter: string): string {
  const needsQuotes = text.includes(delimiter) || /["\r\n]/.test(text)
  return needsQuotes ? `"${text.replaceAll('"', '""')}"` : text
}
