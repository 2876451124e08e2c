/** What can be wrong with a file as a whole, so that none of its rows can be trusted. */
export type FileFaultCode =
  | 'missing'
  | 'empty'
  | 'not_utf8'
  | 'no_header'
  | 'missing_columns'
  | 'duplicate_header'
  | 'unclosed_quote'
  | 'row_too_long'

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

/** Longest row, in bytes. Beyond it there is no table, but a quote that was never closed, or another kind of file. */
export const MAX_ROW_BYTES = 1024 * 1024

export const missingFile = (cause: unknown) =>
  new FileFault('missing', 'The uploaded file is no longer there.', { cause })

export const notUtf8 = (line: number) =>
  new FileFault(
    'not_utf8',
    `The file is not UTF-8: line ${line} holds bytes that are not text. Save it as UTF-8 and upload it again.`,
  )

export const unclosedQuote = (rowNumber: number, cause?: unknown) =>
  new FileFault('unclosed_quote', `Row ${rowNumber}: a quote is opened that is never closed.`, { cause })

export const rowTooLong = (rowNumber: number, isInQuotes: boolean, cause?: unknown) =>
  new FileFault(
    'row_too_long',
    `Row ${rowNumber} is longer than 1 MiB${isInQuotes ? '; a quote in it may not be closed' : ''}.`,
    { cause },
  )
