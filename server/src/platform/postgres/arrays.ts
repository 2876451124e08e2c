/**
 * PostgreSQL array literals for `unnest($1::bigint[])`. Numbers need no quoting, so a column of a batch becomes one
 * `join` instead of one escaping per element, which is what the driver would do.
 */
export function numberArray(values: readonly (number | null)[]): string {
  return `{${values.map((value) => value ?? 'NULL').join()}}`
}

export function booleanArray(values: readonly boolean[]): string {
  return `{${values.join()}}`
}

/** For values that hold no comma, quote, brace or space by construction: UUIDs and dates. */
export function plainArray(values: readonly (string | null)[]): string {
  return `{${values.map((value) => value ?? 'NULL').join()}}`
}

const SPECIAL = /["\\]/g

export function textArray(values: readonly (string | null)[]): string {
  return `{${values.map((value) => (value === null ? 'NULL' : `"${value.replace(SPECIAL, '\\$&')}"`)).join()}}`
}

/** For `json[]`. JSON escapes all that an array's element must not hold, and twice escaped it is one. */
export function jsonArray(values: readonly unknown[]): string {
  return `{${values.map((value) => (value === null ? 'NULL' : JSON.stringify(JSON.stringify(value)))).join()}}`
}

export function bytesArray(values: readonly Buffer[]): string {
  return `{${values.map((value) => `"\\\\x${value.toString('hex')}"`).join()}}`
}
