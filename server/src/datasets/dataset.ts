/** A dataset says where a file's rows go and what a valid row is. */

export interface Column {
  /** In lower case: headers are matched without regard to case and surrounding space. Also the column of the table. */
  name: string
  /** Other names by which a header may call it, in lower case. */
  aliases: readonly string[]
  /** Type of the table's column, such as `text` or `numeric`. */
  sqlType: string
  /** Must be in the header, and not blank in any row that has no `fallback`. */
  isRequired: boolean
  /** Stored where the cell is blank. */
  fallback: string | null
  /** Why a blank cell is refused, where one is needed. */
  requiredReason: string
  /** Upper and lower case are the same in a unique key. */
  isCaseless: boolean
  /** Why a trimmed value that is not blank is not valid, or `undefined` when it is. */
  findFault?: (value: string) => string | undefined
  /** A valid value as PostgreSQL reads the type. Without it, as it is. */
  normalize?: (value: string) => string
}

/** Values that may occur once in all rows of a client. A row in which one of them is blank has no such key. */
export interface UniqueKey {
  /** Names of the columns. */
  columns: readonly string[]
  /** Why a row is refused whose key is there already; `firstRow` when it is from the same file. */
  takenReason: (firstRow: number | null) => string
}

export interface Dataset {
  name: string
  /** Name of the table, unquoted. It has `id`, `job_id`, `client_krn`, `row_number`, the columns, and `created_at`. */
  table: string
  columns: readonly Column[]
  uniqueKeys: readonly UniqueKey[]
}

/** What became of a row before the database has seen it. Valid without faults. */
export interface CheckedRow {
  /** Values in the order of the dataset's columns, trimmed and normalized; null where the row has none. */
  values: (string | null)[]
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

/** A value that is there already, where a dataset's declaration has no words of its own for it. */
export function takenReason(firstRow: number | null): string {
  return firstRow === null ? 'already exists' : `already used in row ${firstRow}`
}
