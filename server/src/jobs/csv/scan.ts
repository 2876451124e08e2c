import { type Buffer, isAscii } from 'node:buffer'
import type { Checkpoint } from '../job.ts'
import { decodeText } from './encoding.ts'
import { unclosedQuote } from './file-fault.ts'
import type { Head } from './head.ts'
import { createRowCutter } from './rows.ts'

export interface Scan {
  /** Rows of data. */
  rows: number
  /** Not a byte of it is UTF-8 beyond ASCII, but some could be Windows-1252. */
  isWindows1252: boolean
}

/** Bytes that Windows-1252 has no character for. */
const UNDEFINED_IN_1252 = /[\x81\x8d\x8f\x90\x9d]/

/**
 * Counts the rows of a file and finds what is wrong with it as a whole, before any row is imported: a file that fails
 * leaves nothing behind, and a file that is imported has a total from the start.
 *
 * @param source  from the end of the header on, in UTF-8
 * @throws FileFault `unclosed_quote`
 */
export async function scanRows(
  source: AsyncIterable<Buffer>,
  head: Pick<Head, 'delimiter' | 'quote' | 'header'> & { dataStart: Checkpoint },
): Promise<Scan> {
  let rows = 0
  let hasUtf8 = false
  let hasOther = false
  let hasUndefined = false
  let isSuspect = false

  /** Only rows in which there is something beyond ASCII come here. */
  function judge(row: string): void {
    const text = decodeText(row)
    if (text === undefined) {
      hasOther = true
      hasUndefined ||= UNDEFINED_IN_1252.test(row)
    } else if (text !== row) hasUtf8 = true
  }

  judge(head.header)
  const cutter = createRowCutter(head, head.dataStart, {
    onRow(row) {
      rows++
      if (isSuspect) judge(row)
    },
    onUnclosedQuote(rowNumber) {
      throw unclosedQuote(rowNumber)
    },
  })
  for await (const chunk of source) {
    const isPlain = isAscii(chunk)
    const before = rows
    // One character of UTF-8 decides it; what follows is not looked at.
    isSuspect = !hasUtf8 && (isSuspect || !isPlain)
    cutter.feed(chunk.toString('latin1'))
    // A row may have begun some chunks ago.
    if (isPlain && rows > before) isSuspect = false
  }
  cutter.end()
  return { rows, isWindows1252: hasOther && !hasUtf8 && !hasUndefined }
}
