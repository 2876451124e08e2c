import type { CheckedRow } from '../../datasets/dataset.ts'
import type { Binding } from '../../datasets/header.ts'
import { rowIdEnd, rowIdPrefix } from '../../datasets/row-id.ts'
import { createSeenKeys } from '../../datasets/seen.ts'
import { createKeyReader } from '../../datasets/unique-keys.ts'
import { checkRow } from '../../datasets/validate.ts'
import { createByteWriter } from '../../platform/byte-writer.ts'
import { type CopyWriter, createCopyWriter, encodeCells } from '../../platform/postgres/copy.ts'
import { splitCells } from '../csv/cells.ts'
import { decodeText, firstBadByte } from '../csv/encoding.ts'
import { MAX_ROW_BYTES, rowNotText, rowTooLong } from '../csv/file-fault.ts'
import type { RowSink } from '../csv/rows.ts'
import type { Checkpoint, Dialect } from '../job.ts'
import type { CorrectedReport } from '../report/corrected-report.ts'
import { inKeyOrder } from './key-order.ts'
import type { BatchBuffers, FaultyRow, PreparedBatch } from './prepared-batch.ts'

/** Rows can be up to 1 MiB long, so a number of rows alone would not bound the memory of a batch. */
const MAX_BATCH_BYTES = 4 * 1024 * 1024
/** Refused rows are objects and messages, ten times as large as others in memory. */
const MAX_BATCH_FAULTY = 5_000

export interface PrepareOptions {
  job: { id: string; clientKrn: string }
  dialect: Dialect
  binding: Binding
  /** How a corrected report is read. */
  report?: CorrectedReport | undefined
  maxRows: number
  from: Checkpoint
  onBatch: (batch: PreparedBatch) => void
  /** The buffers of a batch that is done with, where there is one. */
  takeUsed?: () => BatchBuffers | undefined
}

/**
 * Makes batches of rows: each row is read, checked, and written down as the database will take it. Pure but for the
 * memory of the keys that were seen, which only decides how a row is inserted, never whether.
 */
export function createPreparer(options: PrepareOptions): Pick<RowSink, 'onRow'> & { end(): void } {
  const { job, dialect, binding, report, maxRows, from, onBatch, takeUsed = () => undefined } = options
  const { dataset } = binding
  const readKeys = createKeyReader(dataset)
  const seen = createSeenKeys()
  const fresh = createCopyWriter()
  const id = Buffer.from(rowIdPrefix(job.id))
  const origin = encodeCells([job.id, job.clientKrn])

  let checkpoint = from
  let batch = newBatch(takeUsed())

  function onRow(row: string, rowNumber: number, endOffset: number, byteLength: number): void {
    if (isFull()) flush(false)
    batch.source.end += batch.source.reserve(row.length).write(row, batch.source.end, 'latin1')
    batch.rowNumbers.push(rowNumber)
    batch.ends.push(batch.source.end)
    checkpoint = { byteOffset: endOffset, rowNumber }

    const { values, faults } = check(row, byteLength)
    const keys = readKeys(values)
    if (faults.length > 0) {
      batch.faulty.push({ rowNumber, faults })
      if (keys.some((key) => key !== null)) writeLookup(batch.lookups, rowNumber, values)
      return
    }
    let isSuspect = false
    for (const key of keys) if (key !== null && seen.testAndAdd(key)) isSuspect = true
    writeRow(isSuspect ? batch.suspect : fresh, rowNumber, values)
    if (isSuspect) return
    batch.freshEnds.push(fresh.length)
    batch.freshKeys.push(keys[0] ?? '')
  }

  function isFull(): boolean {
    const { rowNumbers, source, faulty } = batch
    return rowNumbers.length >= maxRows || source.end >= MAX_BATCH_BYTES || faulty.length >= MAX_BATCH_FAULTY
  }

  function check(row: string, byteLength: number): CheckedRow {
    if (byteLength > MAX_ROW_BYTES) return unreadable(rowTooLong(byteLength))
    const text = decodeText(row)
    if (text === undefined) return unreadable(rowNotText(firstBadByte(row)))
    const cells = splitCells(text, dialect)
    if (!report) return checkRow(binding, cells)
    batch.parentRows[batch.rowNumbers.length - 1] = report.parentRow(cells) ?? 0
    return checkRow(binding, report.dataCells(cells))
  }

  /** All columns of the dataset's table. */
  function writeRow(writer: CopyWriter, rowNumber: number, values: CheckedRow['values']): void {
    writer.raw(id)
    writer.text(rowIdEnd(rowNumber))
    writer.raw(origin)
    writer.cell(String(rowNumber))
    for (const value of values) writer.cell(value)
    writer.endRow()
  }

  /** Row number and the columns of the unique keys. */
  function writeLookup(writer: CopyWriter, rowNumber: number, values: CheckedRow['values']): void {
    writer.text(String(rowNumber))
    for (const place of readKeys.columns) writer.cell(values[place]!)
    writer.endRow()
  }

  function flush(isLast: boolean): void {
    const { rowNumbers, ends, parentRows, source, suspect, lookups, faulty } = batch
    const { freshEnds, freshKeys, usedFresh } = batch
    onBatch({
      lines: {
        fresh: inKeyOrder(fresh.lines(), freshEnds, freshKeys, usedFresh),
        suspect: suspect.lines(),
        lookups: lookups.lines(),
      },
      faulty,
      source: {
        bytes: source.bytes(),
        rowNumbers: new Float64Array(rowNumbers),
        ends: new Uint32Array(ends),
        ...(report && { parentRows: Float64Array.from(rowNumbers, (_, at) => parentRows[at] ?? 0) }),
      },
      checkpoint,
      isLast,
    })
    fresh.clear()
    batch = newBatch(takeUsed())
  }

  return { onRow, end: () => flush(true) }
}

const unreadable = (reason: string): CheckedRow => ({ values: [], faults: [{ field: 'row', reason }] })

function newBatch(used: BatchBuffers | undefined) {
  return {
    rowNumbers: [] as number[],
    ends: [] as number[],
    parentRows: [] as number[],
    source: createByteWriter(used?.source),
    usedFresh: used?.fresh,
    freshEnds: [] as number[],
    freshKeys: [] as string[],
    suspect: createCopyWriter(used?.suspect),
    lookups: createCopyWriter(used?.lookups),
    faulty: [] as FaultyRow[],
  }
}
