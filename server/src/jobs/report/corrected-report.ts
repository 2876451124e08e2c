import { columnKey } from '../../datasets/header.ts'
import { unguardFormula } from '../../platform/csv.ts'
import { FileFault } from '../csv/file-fault.ts'

/** First and last column of a report; those between them are the columns of the file it is about. */
export const ROW_NUMBER = 'rowNumber'
export const ERROR = 'error'

/** How a report that came back corrected is read. */
export interface CorrectedReport {
  /** The columns of the file that was reported on. */
  header: string[]
  /** The cells of one row below that header, as they were before a spreadsheet was guarded against them. */
  dataCells(cells: readonly string[]): string[]
  /** The row that this one corrects, by its number in the file reported on; null when it names none. */
  parentRow(cells: readonly string[]): number | null
}

/**
 * Reads the header of a corrected report: `rowNumber`, the original columns, `error`. The two are told by name, the
 * first of that name and the last, since the original may have columns called so, and a spreadsheet may have moved
 * them; `error` may be gone. What stands behind `error` stays behind the header: it is what the row has too much, also
 * when a spreadsheet has made the header as wide as that with blank cells.
 *
 * @throws FileFault `missing_columns` when there is no `rowNumber`
 */
export function readCorrectedReport(header: readonly string[]): CorrectedReport {
  const keys = header.map(columnKey)
  const numberAt = keys.indexOf(columnKey(ROW_NUMBER))
  if (numberAt === -1) {
    throw new FileFault(
      'missing_columns',
      `The column ${ROW_NUMBER} is missing: upload the corrected errors.csv of the job that it corrects.`,
    )
  }
  const errorAt = keys.lastIndexOf(ERROR)
  const width = errorAt === -1 ? header.length : header.findLastIndex((cell) => cell.trim() !== '') + 1
  const isData = (_cell: string, at: number) => at !== numberAt && at !== errorAt
  return {
    header: header.slice(0, width).filter(isData).map(unguardFormula),
    dataCells: (cells) => cells.filter(isData).map(unguardFormula),
    parentRow: (cells) => toRowNumber(cells[numberAt] ?? ''),
  }
}

function toRowNumber(cell: string): number | null {
  const text = cell.trim()
  return /^[1-9]\d{0,15}$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : null
}
