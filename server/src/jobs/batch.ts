import type { StagedCustomer } from '../datasets/customers-postgres.ts'
import { type CheckedRow, faultMessage } from '../datasets/dataset.ts'
import type { Binding } from '../datasets/header.ts'
import { rowId, rowIdPrefix } from '../datasets/row-id.ts'
import { checkRow } from '../datasets/validate.ts'
import type { CorrectedRow } from './correct-parent.ts'
import type { CorrectedReport } from './corrected-report.ts'
import type { CsvRecord } from './csv/records.ts'
import type { Checkpoint, Reject } from './job.ts'

/** A row that was read and checked by itself. */
export interface BatchRow extends CheckedRow {
  rowNumber: number
  cells: string[]
  /** The row of the parent job that it corrects. */
  parentRow: number | null
}

/** Rows that are committed together, with the position behind them. */
export interface Batch {
  rows: BatchRow[]
  checkpoint: Checkpoint
  /** The file ends here. */
  isLast: boolean
}

/** Rows can be up to 1 MiB long, so a number of rows alone would not bound the memory of a batch. */
const MAX_BATCH_BYTES = 4 * 1024 * 1024

/** Cuts a file's rows into batches. The last one, which may be empty, is marked; memory holds one batch. */
export async function* readBatches(
  records: AsyncIterable<CsvRecord>,
  {
    binding,
    report,
    maxRows,
    from,
  }: { binding: Binding; report?: CorrectedReport | undefined; maxRows: number; from: Checkpoint },
): AsyncGenerator<Batch> {
  let rows: BatchRow[] = []
  let checkpoint = from
  let startOffset = from.byteOffset
  for await (const { rowNumber, cells, endOffset } of records) {
    if (rows.length >= maxRows || checkpoint.byteOffset - startOffset >= MAX_BATCH_BYTES) {
      yield { rows, checkpoint, isLast: false }
      rows = []
      startOffset = checkpoint.byteOffset
    }
    const parentRow = report?.parentRow(cells) ?? null
    rows.push({ rowNumber, cells, parentRow, ...checkRow(binding, report?.dataCells(cells) ?? cells) })
    checkpoint = { byteOffset: endOffset, rowNumber }
  }
  yield { rows, checkpoint, isLast: true }
}

/** What of a batch goes to the database: the valid rows, and of the others those whose e-mail can be looked up. */
export function stageCustomers({ rows }: Batch, jobId: string): StagedCustomer[] {
  const prefix = rowIdPrefix(jobId)
  return rows.flatMap(({ rowNumber, values, faults }) => {
    const [name = null, email = null, phone = null, company = null] = values
    if (email === null || faults.some(({ field }) => field === 'email')) return []
    const isValid = faults.length === 0
    const id = rowId(prefix, rowNumber)
    return isValid
      ? { id, rowNumber, isValid, name, email, phone, company }
      : { id, rowNumber, isValid, name: null, email, phone: null, company: null }
  })
}

/** The rows of a batch that were imported and name a row of the parent job. */
export function collectCorrections({ rows }: Batch, rejects: readonly Reject[]): CorrectedRow[] {
  const refused = new Set(rejects.map(({ rowNumber }) => rowNumber))
  return rows.flatMap(({ rowNumber, parentRow }) =>
    parentRow === null || refused.has(rowNumber) ? [] : { rowNumber, parentRow },
  )
}

/** The refused rows of a batch, all reasons of each in one message. */
export function collectRejects(
  { rows }: Batch,
  conflicts: readonly { rowNumber: number; firstRow: number | null }[],
  delimiter: string,
): Reject[] {
  const taken = new Map(
    conflicts.map(({ rowNumber, firstRow }) => [
      rowNumber,
      { field: 'email', reason: firstRow === null ? 'already exists' : `already used in row ${firstRow}` },
    ]),
  )
  return rows.flatMap(({ rowNumber, cells, faults }) => {
    const conflict = taken.get(rowNumber)
    const reasons = conflict === undefined ? faults : [...faults, conflict]
    if (reasons.length === 0) return []
    const raw = Buffer.from(cells.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(delimiter))
    return { rowNumber, message: faultMessage(reasons), raw, isDuplicate: conflict !== undefined }
  })
}
