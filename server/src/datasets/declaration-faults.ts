import type { FieldFault } from '../platform/errors.ts'
import { MAX_FAULTS } from '../platform/http/json.ts'
import { compileCheck } from '../platform/http/validation.ts'
import { COLUMN_TYPES, LIMITS } from './column-types.ts'
import { compileColumn, compileDataset } from './compile.ts'
import {
  type ColumnDeclaration,
  ColumnSchema,
  DatasetBodySchema,
  type Declaration,
  keyOf,
  MAX_COLUMNS,
  MAX_PATTERNS,
  type UniqueKeyDeclaration,
  UniqueKeySchema,
} from './declaration.ts'
import { columnKey } from './header.ts'
import { patternFault } from './pattern.ts'

const checkBody = compileCheck(DatasetBodySchema)
const checkColumnShape = compileCheck(ColumnSchema)
const checkKeyShape = compileCheck(UniqueKeySchema)

/** Columns of every dataset's table, and those that PostgreSQL has in every table. */
const TABLE_COLUMNS = ['id', 'job_id', 'client_krn', 'row_number', 'created_at']
const SYSTEM_COLUMNS = ['tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid']
/** What a report of refused rows adds to the columns of its file; a corrected one is uploaded with them. */
const REPORT_COLUMNS = ['rownumber', 'error']

type Add = (field: string, message: string) => void

/** Every way in which this is no declaration, each with the field; empty when it is one. */
export function checkDeclaration(value: unknown): FieldFault[] {
  const faults = checkBody(value)
  const add: Add = (field, message) => {
    if (faults.length < MAX_FAULTS) faults.push({ field, message })
  }
  // Whatever has the right form is looked at further, so that one answer tells all.
  const { columns, uniqueKeys } = (value ?? {}) as Record<string, unknown>
  const given = Array.isArray(columns) ? columns.map(formed<ColumnDeclaration>(checkColumnShape)) : []
  const keys = Array.isArray(uniqueKeys) ? uniqueKeys.map(formed<UniqueKeyDeclaration>(checkKeyShape)) : []
  let patterns = 0
  // No more than there may be: each costs time, and the rest is refused already.
  for (const [index, column] of given.slice(0, MAX_COLUMNS).entries()) {
    if (column?.type === 'regex' && ++patterns > MAX_PATTERNS) {
      add(
        `columns[${index}].type`,
        `is one too many: a dataset can have ${MAX_PATTERNS} columns of type regex`,
      )
    } else if (column) {
      checkColumn(column, `columns[${index}]`, add)
    }
  }
  checkNames(given, add)
  checkKeys(keys, given, add)
  if (faults.length === 0) checkDefaultsInKeys(value as Declaration, add)
  return faults
}

const formed =
  <T>(check: (value: unknown) => FieldFault[]) =>
  (value: unknown): T | undefined =>
    check(value).length === 0 ? (value as T) : undefined

/** A declaration as it is kept: without what only answers have. */
export function toDeclaration({ name, columns, uniqueKeys = [] }: Declaration): Declaration {
  return { name, columns, uniqueKeys }
}

function checkColumn(column: ColumnDeclaration, field: string, add: Add): void {
  const type = COLUMN_TYPES[column.type]
  const foreign = LIMITS.filter((limit) => column[limit] !== undefined && !type.limits.includes(limit))
  for (const limit of foreign) add(`${field}.${limit}`, `means nothing for the type ${column.type}`)
  const faults = limitFaults(column)
  for (const [limit, message] of faults) add(`${field}.${limit}`, message)
  if (faults.length === 0 && foreign.length === 0 && column.default !== undefined) {
    const reason = defaultFault(column)
    if (reason) add(`${field}.default`, reason)
  }
}

function limitFaults(column: ColumnDeclaration): [field: string, message: string][] {
  const type = COLUMN_TYPES[column.type]
  const { minLength, maxLength, values, pattern } = column
  const faults: [string, string][] = []
  if (type.needs && column[type.needs] === undefined) {
    faults.push([type.needs, `is required for the type ${column.type}`])
  }
  const longest = Math.min(maxLength ?? Number.POSITIVE_INFINITY, type.maxLength ?? Number.POSITIVE_INFINITY)
  if (minLength !== undefined && minLength > longest) {
    faults.push(['minLength', `must not be more than the longest value, ${longest}`])
  }
  if (type.maxLength !== undefined && maxLength !== undefined && maxLength > type.maxLength) {
    faults.push(['maxLength', `must not be more than ${type.maxLength} for the type ${column.type}`])
  }
  if (column.type === 'enum' && values) faults.push(...valuesFaults(values))
  const badPattern = column.type === 'regex' && pattern !== undefined ? patternFault(pattern) : undefined
  if (badPattern) faults.push(['pattern', badPattern])
  faults.push(...rangeFaults(column))
  return faults
}

function valuesFaults(values: readonly string[]): [string, string][] {
  const keys = values.map(columnKey)
  return values.flatMap((value, index): [string, string][] => {
    if (value !== value.trim()) return [[`values[${index}]`, 'must not begin or end with a space']]
    if (keys.indexOf(keys[index]!) !== index) {
      return [[`values[${index}]`, 'is there twice: upper and lower case are the same']]
    }
    return []
  })
}

function rangeFaults(column: ColumnDeclaration): [string, string][] {
  const { type, min, max } = column
  if (!COLUMN_TYPES[type].words) return []
  const { findFault, order } = COLUMN_TYPES[type].shapeOf(column)
  const faults = (['min', 'max'] as const).flatMap((limit): [string, string][] => {
    const bound = column[limit]
    if (bound === undefined) return []
    if (typeof bound === 'number' && Number.isInteger(bound) && !Number.isSafeInteger(bound)) {
      return [[limit, 'must be written as a text: as a number of JSON it has lost digits']]
    }
    const reason = findFault?.(String(bound))
    return reason ? [[limit, reason]] : []
  })
  if (
    faults.length === 0 &&
    min !== undefined &&
    max !== undefined &&
    order!(String(min)) > order!(String(max))
  ) {
    faults.push(['min', 'must not be more than max'])
  }
  return faults
}

function defaultFault(column: ColumnDeclaration): string | undefined {
  const { default: given } = column
  if (typeof given === 'number' && Number.isInteger(given) && !Number.isSafeInteger(given)) {
    return 'must be written as a text: as a number of JSON it has lost digits'
  }
  const value = String(given)
  if (value.trim() === '') return 'must not be blank'
  if (value !== value.trim()) return 'must not begin or end with a space'
  return compileColumn(withoutDefault(column)).findFault?.(value)
}

/** A default is read as it is compiled, and whether it can be is what is asked here. */
function withoutDefault({ default: _, ...column }: ColumnDeclaration): ColumnDeclaration {
  return column
}

/** What only the declaration as a whole can tell: a default too long for a unique key would be no row's fault. */
function checkDefaultsInKeys(declaration: Declaration, add: Add): void {
  for (const [index, { fallback, findFault }] of compileDataset(declaration, '').columns.entries()) {
    const reason = fallback === null ? undefined : findFault?.(fallback)
    if (reason) add(`columns[${index}].default`, reason)
  }
}

/** A header must never be able to mean two columns. */
function checkNames(columns: readonly (ColumnDeclaration | undefined)[], add: Add): void {
  const taken = new Map<string, string>()
  const names = new Set<string>()
  for (const [index, column] of columns.entries()) {
    if (!column) continue
    const { name } = column
    const field = `columns[${index}].name`
    if ([...TABLE_COLUMNS, ...SYSTEM_COLUMNS, ...REPORT_COLUMNS].includes(name)) {
      add(field, 'is a reserved name')
    } else if (names.has(name)) {
      add(field, `is the name of ${taken.get(name)} too`)
    } else {
      names.add(name)
      taken.set(name, `columns[${index}]`)
    }
  }
  for (const [index, column] of columns.entries()) {
    for (const [at, alias] of (column?.aliases ?? []).entries()) {
      const field = `columns[${index}].aliases[${at}]`
      const key = columnKey(alias)
      if (key === '') add(field, 'must not be blank')
      else if (REPORT_COLUMNS.includes(key)) add(field, 'is a reserved name')
      else if (taken.has(key)) add(field, `is a name of ${taken.get(key)} already`)
      else taken.set(key, `columns[${index}]`)
    }
  }
}

function checkKeys(
  keys: readonly (UniqueKeyDeclaration | undefined)[],
  columns: readonly (ColumnDeclaration | undefined)[],
  add: Add,
): void {
  const names = columns.includes(undefined) ? undefined : new Set(columns.map((column) => column!.name))
  const seen = new Set<string>()
  for (const [index, key] of keys.entries()) {
    if (!key) continue
    for (const [at, name] of key.columns.entries()) {
      const field = `uniqueKeys[${index}].columns[${at}]`
      if (key.columns.indexOf(name) !== at) add(field, 'is there twice')
      else if (names && !names.has(name)) add(field, 'is not a column of this dataset')
    }
    if (seen.has(keyOf(key))) add(`uniqueKeys[${index}]`, 'is there twice')
    seen.add(keyOf(key))
  }
}
