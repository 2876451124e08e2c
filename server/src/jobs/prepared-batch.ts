import { type Fault, faultMessage } from '../datasets/dataset.ts'
import type { Conflict, Rows } from '../datasets/insert-postgres.ts'
import type { Checkpoint, Reject } from './job.ts'

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
}

/** The refused rows of a batch in the order of the file, all reasons of each in one message. */
export function collectRejects(
  { faulty, source }: Pick<PreparedBatch, 'faulty' | 'source'>,
  conflicts: readonly Conflict[],
): Reject[] {
  const faults = new Map(faulty.map((row) => [row.rowNumber, row.faults]))
  const duplicates = new Set<number>()
  for (const { rowNumber, fault } of conflicts) {
    const own = faults.get(rowNumber)
    // One that would have been stored, were it not there already.
    if (!own) duplicates.add(rowNumber)
    faults.set(rowNumber, [...(own ?? []), fault])
  }
  return [...faults]
    .sort(([a], [b]) => a - b)
    .map(([rowNumber, reasons]) => ({
      rowNumber,
      message: faultMessage(reasons),
      raw: rawRow(source, rowNumber),
      isDuplicate: duplicates.has(rowNumber),
    }))
}

/** The bytes of a row, as they stood in the file. */
export function rawRow({ bytes, rowNumbers, ends }: RowSource, rowNumber: number): Buffer {
  const at = placeOf(rowNumbers, rowNumber)
  const start = at === 0 ? 0 : ends[at - 1]!
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, ends[at]! - start)
}

/** Row numbers ascend. */
function placeOf(rowNumbers: Float64Array, rowNumber: number): number {
  let low = 0
  let high = rowNumbers.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if (rowNumbers[middle]! < rowNumber) low = middle + 1
    else high = middle
  }
  return low
}
