import { type CopyLines, createCopyWriter } from '../../platform/postgres/copy.ts'
import type { RefusedRow, RowSource } from './prepared-batch.ts'

export const COPY_REJECTS = 'COPY job_rejects (job_id, row_number, message, raw, is_duplicate) FROM STDIN'

/** Refused rows as they are kept: with their bytes, as these stood in the file. In the order of the file. */
export function rejectLines(jobId: string, refused: readonly RefusedRow[], source: RowSource): CopyLines {
  const { rowNumbers, ends } = source
  const bytes = Buffer.from(source.bytes.buffer, source.bytes.byteOffset, source.bytes.byteLength)
  const writer = createCopyWriter()
  let place = 0
  for (const { rowNumber, message, isDuplicate } of refused) {
    while (rowNumbers[place] !== rowNumber) place++
    const start = place === 0 ? 0 : ends[place - 1]
    writer.text(jobId)
    writer.cell(String(rowNumber))
    writer.cell(message)
    writer.cell(`\\x${bytes.toString('hex', start, ends[place])}`)
    writer.cell(isDuplicate ? 't' : 'f')
    writer.endRow()
  }
  return writer.lines()
}
