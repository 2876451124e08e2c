/**
 * The books of one job, pure: `received = stored + rejected + duplicate + late + inFlight`, where stored, rejected and
 * duplicate are counted in the tables, and everything that counts rows must say the same.
 */

/** What was found at one instant. */
export interface Found {
  /** Rows of the file, null until it was counted. */
  totalRows: number | null
  counters: Counters
  tables: Tables
  /** Its record in the ledger; null when there is none. */
  ledger: { done: number; failed: number } | null
}

/** What the job says of itself. */
export interface Counters {
  processedRows: number
  successCount: number
  failedCount: number
  duplicateCount: number
  correctedCount: number
}

/** What is there. */
export interface Tables {
  /** Rows in the dataset that this job imported. */
  imported: number
  /** Rows in the dataset that stand for refused ones, imported by corrections of this job. */
  corrected: number
  /** Rows that are refused, those that were there already aside. */
  rejected: number
  /** Rows that are refused for being there already. */
  duplicate: number
}

export interface Balance {
  /** Rows of the file, as far as is known. */
  received: number
  stored: number
  /** Of `stored`. */
  corrected: number
  rejected: number
  duplicate: number
  /** Rows that came too late to count: none, for a file; it is there for streams, whose books are the same. */
  late: number
  /** Rows of the file that were not looked at: yet, or, when it was cancelled or failed, at all. */
  inFlight: number
  balanced: boolean
  /** Every number that does not fit, told in a sentence; empty when `balanced`. */
  differences: string[]
}

export function balanceOf({ totalRows, counters, tables, ledger }: Found): Balance {
  const { imported, corrected, rejected, duplicate } = tables
  const stored = imported + corrected
  const received = totalRows ?? counters.processedRows
  const inFlight = received - counters.processedRows
  const late = 0
  const differences: string[] = []
  const compare = (what: string, found: number, who: string, told: number) => {
    if (found !== told) differences.push(`${what}: ${found} in the tables, ${told} by ${who}`)
  }
  compare('rows that were looked at', stored + rejected + duplicate + late, 'the job', counters.processedRows)
  compare('rows stored', stored, 'the job', counters.successCount)
  compare('rows refused', rejected + duplicate, 'the job', counters.failedCount)
  compare('duplicates', duplicate, 'the job', counters.duplicateCount)
  compare('rows corrected', corrected, 'the job', counters.correctedCount)
  if (ledger) {
    compare('rows stored', stored, 'the ledger', ledger.done)
    compare('rows refused', rejected + duplicate, 'the ledger', ledger.failed)
  } else differences.push('there is no record in the ledger')
  if (inFlight < 0) differences.push(`${-inFlight} more rows were looked at than there are in the file`)
  const balanced = differences.length === 0
  return { received, stored, corrected, rejected, duplicate, late, inFlight, balanced, differences }
}
