import type { Job, JobStatus } from '../api/types.ts'
import { formatCount, percentOf, plural } from '../format.ts'

export const STATUS_LABELS: Record<JobStatus, string> = {
  pending: 'Pending',
  processing: 'Processing',
  completed: 'Completed',
  failed: 'Failed',
  cancelled: 'Cancelled',
}

/** Whole percents of the rows; undefined while nobody knows how many there are. */
export function rowPercent({ totalRows, processedRows }: Job): number | undefined {
  return totalRows === null ? undefined : percentOf(processedRows, totalRows)
}

/** `12,300 of 59,000 rows`; of a job that failed before any row, why. */
export function describeRows({ status, totalRows, processedRows, error }: Job): string {
  if (status === 'failed' && processedRows === 0 && error !== null) return error
  if (status === 'pending' && processedRows === 0) return 'Waiting for its turn'
  if (totalRows === null) {
    if (status === 'processing') return processedRows === 0 ? 'Counting rows' : plural(processedRows, 'row')
    return processedRows === 0 ? 'No rows' : plural(processedRows, 'row')
  }
  if (processedRows === totalRows) return plural(totalRows, 'row')
  return `${formatCount(processedRows)} of ${plural(totalRows, 'row')}`
}

/** What is said aloud when a job has ended. */
export function announceEnd({ filename, status, successCount, failedCount, error }: Job): string {
  if (status === 'failed') return `Import of ${filename} failed. ${error ?? ''}`.trim()
  if (status === 'cancelled') return `Import of ${filename} was cancelled.`
  const refused = failedCount === 0 ? '' : `, ${plural(failedCount, 'row')} refused`
  return `Import of ${filename} completed: ${plural(successCount, 'row')} imported${refused}.`
}
