import { pipeline, type Readable } from 'node:stream'
import { CsvError, type Info, type Options, parse } from 'csv-parse'
import type { Checkpoint } from '../job.ts'
import { MAX_ROW_BYTES, rowTooLong, unclosedQuote } from './file-fault.ts'

/** One row of the file as it stands there. */
export interface CsvRecord {
  /** As a person sees it in a spreadsheet: the first row of the file is 1, whatever newlines its cells hold. */
  rowNumber: number
  cells: string[]
  /** Offset of the byte after the row, where the next one begins. */
  endOffset: number
}

const PARSE: Options = {
  info: true,
  relax_quotes: true,
  relax_column_count: true,
  // Told, so that rows are cut in the same way wherever reading begins; discovered, they would depend on it.
  record_delimiter: ['\r\n', '\n', '\r'],
  max_record_size: MAX_ROW_BYTES,
}

/**
 * The rows of a file from a checkpoint on, read only as fast as they are taken. Blank rows have a number and are left
 * out.
 *
 * @param source  the bytes from `from.byteOffset` on, where a row begins; destroyed when the iteration ends early
 * @param limit   rows after which reading ends, blank ones included; what follows them is not even looked at
 * @throws FileFault `unclosed_quote` or `row_too_long`
 */
export async function* readRecords(
  source: Readable,
  { delimiter, from, limit }: { delimiter: string; from: Checkpoint; limit?: number },
): AsyncGenerator<CsvRecord> {
  const parser = parse({ ...PARSE, delimiter, ...(limit !== undefined && { to: limit }) })
  // An error of either stream destroys the other, and comes out of the loop below.
  pipeline(source, parser, () => {})
  let { rowNumber } = from
  try {
    for await (const { record: cells, info } of parser as AsyncIterable<{ record: string[]; info: Info }>) {
      rowNumber++
      if (isBlank(cells)) continue
      yield { rowNumber, cells, endOffset: from.byteOffset + info.bytes }
    }
  } catch (error) {
    throw toFault(error, rowNumber + 1)
  }
}

const isBlank = (cells: string[]) => cells.length === 1 && /^[ \t]*$/.test(cells[0]!)

/** The counting pass finds these faults first; here they are told for files that it did not see. */
function toFault(error: unknown, rowNumber: number): unknown {
  if (!(error instanceof CsvError)) return error
  if (error.code === 'CSV_QUOTE_NOT_CLOSED') return unclosedQuote(rowNumber, error)
  if (error.code === 'CSV_MAX_RECORD_SIZE') return rowTooLong(rowNumber, false, error)
  return error
}
