/**
 * The id of an imported row: the first eleven bytes of its job's id (a UUIDv7), then the row's number in five. So ids
 * ascend within a job, the rows of a job are a range of the primary key, and no row can be stored twice, whatever goes
 * wrong elsewhere. An index on `jobs` sees to it that no two jobs begin alike.
 */
export function rowIdPrefix(jobId: string): string {
  return jobId.slice(0, 26)
}

/** What comes behind the prefix. */
export function rowIdEnd(rowNumber: number): string {
  return rowNumber.toString(16).padStart(10, '0')
}

export const rowId = (prefix: string, rowNumber: number): string => prefix + rowIdEnd(rowNumber)
