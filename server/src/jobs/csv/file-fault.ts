/** What can be wrong with a file as a whole, so that none of its rows can be trusted. */
export type FileFaultCode =
  | 'missing'
  | 'empty'
  | 'binary'
  | 'not_text'
  | 'no_header'
  | 'missing_columns'
  | 'duplicate_header'
  | 'too_many_columns'
  | 'header_too_long'
  | 'unclosed_quote'

/**
 * Ends an import for good; its message is the job's `error`, read by the person who uploaded the file.
 * An error and not a value, since it comes up inside streams; it never reaches a caller of the API as one.
 */
export class FileFault extends Error {
  readonly code: FileFaultCode

  constructor(code: FileFaultCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'FileFault'
    this.code = code
  }
}

/** Longest row, in bytes of UTF-8. A longer one is refused, and only so much of it is kept. */
export const MAX_ROW_BYTES = 1024 * 1024
/** PostgreSQL has room for 1,600 columns; ten times that is no table, but another kind of file. */
export const MAX_COLUMNS = 16_384

const bytes = (count: number) => `${count.toLocaleString('en-US')} bytes`

export const missingFile = (cause: unknown) =>
  new FileFault('missing', 'The uploaded file is no longer there.', { cause })

export const emptyFile = () => new FileFault('empty', 'The file is empty.')

export const binaryFile = (what: string) =>
  new FileFault('binary', `The file is not a CSV: it is ${what}. Save it as CSV and upload it again.`)

export const headerNotText = (byte: number) =>
  new FileFault(
    'not_text',
    `The header holds bytes that are not text in UTF-8, at byte ${byte} of its row. Save the file as UTF-8 and upload it again.`,
  )

export const noHeader = () => new FileFault('no_header', 'The file has no header: it holds only blank rows.')

export const tooManyColumns = (columns: number) =>
  new FileFault(
    'too_many_columns',
    `The header has ${columns.toLocaleString('en-US')} columns; at most ${MAX_COLUMNS.toLocaleString('en-US')} can be read.`,
  )

export const headerTooLong = (rowNumber: number) =>
  new FileFault(
    'header_too_long',
    `Row ${rowNumber}, the header, is longer than 1 MiB; a quote in it may not be closed.`,
  )

export const unclosedQuote = (rowNumber: number) =>
  new FileFault('unclosed_quote', `Row ${rowNumber}: a quote is opened that is never closed.`)

/** A single row, which is refused; the others go on. */
export const rowTooLong = (byteLength: number) =>
  `is longer than 1 MiB (it has ${bytes(byteLength)}); only its first 1 MiB is kept`

export const rowNotText = (byte: number) =>
  `holds bytes that are not text in UTF-8, at byte ${byte} of the row`
