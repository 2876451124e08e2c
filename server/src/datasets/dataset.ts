/** A dataset says where a file's rows go and what a valid row is. */

export interface Column {
  /** In lower case: headers are matched without regard to case and surrounding space. */
  name: string
  /** Must be in the header, and not blank in any row. */
  isRequired: boolean
  /** Why a value that is not blank is not valid, or `undefined` when it is. */
  findFault?: (value: string) => string | undefined
}

export interface Dataset {
  name: string
  columns: readonly Column[]
}

/** Values of a row by column, trimmed; null where the row has none. */
export type Values = Record<string, string | null>

/** What became of a row before the database has seen it. Valid without faults. */
export interface CheckedRow {
  values: Values
  /** Every reason for refusing it. */
  faults: Fault[]
}

/** `field` is a column, or `row` for the row as a whole. */
export interface Fault {
  field: string
  reason: string
}

/** All reasons in one message: `name: is required; email: is not a valid e-mail address`. */
export function faultMessage(faults: readonly Fault[]): string {
  return faults.map(({ field, reason }) => `${field}: ${reason}`).join('; ')
}
