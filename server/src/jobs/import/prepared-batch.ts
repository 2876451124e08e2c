import { type Fault, faultMessage } from '../../datasets/dataset.ts'
import type { Conflict, Rows } from '../../datasets/insert-postgres.ts'
import type { Checkpoint } from '../job.ts'
import type { CorrectedRow } from '../report/correct-parent.ts'

/** A row that is refused for what it is, whatever the database knows. */
export interface FaultyRow {
  rowNumber: number
  faults: Fault[]
}

/**
 * Rows that are committed together, ready for the database. It crosses from the thread that reads to the one that
 * commits, so it is a few buffers and not many objects.
 */
export interface PreparedBatch {
  /** Rows that are to be stored, or looked for, in the dataset. */
  lines: Rows
  faulty: FaultyRow[]
  /** All rows as they stand in the file, to keep those that turn out to be refused. */
  source: RowSource
  /** Behind its last row. */
  checkpoint: Checkpoint
  /** The file ends here. */
  isLast: boolean
}

/** The large buffers of a batch. They go to the thread that commits and come back, and are not copied. */
export interface BatchBuffers {
  fresh: ArrayBuffer
  suspect: ArrayBuffer
  lookups: ArrayBuffer
  source: ArrayBuffer
}

export function buffersOf({ lines, source }: PreparedBatch): BatchBuffers {
  const bufferOf = ({ bytes }: { bytes: Uint8Array }) => bytes.buffer as ArrayBuffer
  return {
    fresh: bufferOf(lines.fresh),
    suspect: bufferOf(lines.suspect),
    lookups: bufferOf(lines.lookups),
    source: bufferOf(source),
  }
}

/** Rows by their number: `bytes` from `ends[n - 1]` to `ends[n]` is the row `rowNumbers[n]`. */
export interface RowSource {
  bytes: Uint8Array
  rowNumbers: Float64Array
  ends: Uint32Array
  /** Of a corrected report: for each row the one that it corrects, 0 where it names none. */
  parentRows?: Float64Array
}

/** A row of a batch that is refused, every reason in one message. */
export interface RefusedRow {
  rowNumber: number
  message: string
  /** It would have been stored, were it not there already. */
  isDuplicate: boolean
}

/** The refused rows of a batch, in the order of the file. */
export function collectRefused(faulty: readonly FaultyRow[], conflicts: readonly Conflict[]): RefusedRow[] {
  const faults = new Map(faulty.map((row) => [row.rowNumber, row.faults]))
  const duplicates = new Set<number>()
  for (const { rowNumber, fault } of conflicts) {
    const own = faults.get(rowNumber)
    if (!own) duplicates.add(rowNumber)
    faults.set(rowNumber, [...(own ?? []), fault])
  }
  return [...faults]
    .sort(([a], [b]) => a - b)
    .map(([rowNumber, reasons]) => ({
      rowNumber,
      message: faultMessage(reasons),
      isDuplicate: duplicates.has(rowNumber),
    }))
}

/** The rows of a corrected report that were imported and name a row of the job that it corrects. */
export function collectCorrections(
  { source: { rowNumbers, parentRows } }: Pick<PreparedBatch, 'source'>,
  refused: readonly RefusedRow[],
): CorrectedRow[] {
  if (!parentRows) return []
  const isRefused = new Set(refused.map(({ rowNumber }) => rowNumber))
  return Array.from(rowNumbers, (rowNumber, at) => ({ rowNumber, parentRow: parentRows[at]! })).filter(
    ({ rowNumber, parentRow }) => parentRow > 0 && !isRefused.has(rowNumber),
  )
}
