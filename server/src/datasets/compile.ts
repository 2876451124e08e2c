import { COLUMN_TYPES, type ColumnType, type Shape } from './column-types.ts'
import { type Column, type Dataset, takenReason, type UniqueKey } from './dataset.ts'
import type { ColumnDeclaration, Declaration, UniqueKeyDeclaration } from './declaration.ts'

/**
 * Bytes of text in a unique key. PostgreSQL's index entry ends at 2,704, and one that is longer is no row's fault but
 * an error of the statement. 320 are the client's, four numbers take 240, and lower-casing can make half as much again
 * of an e-mail address, which has at most 762.
 */
const MAX_KEY_BYTES = 1_500

type Check = (value: string) => string | undefined

/**
 * What a row is checked by, from a declaration that was found valid. Everything that can be is worked out here, once.
 *
 * @param declaration plain JSON, which may come from another thread
 * @param table name of the dataset's table, unquoted
 */
export function compileDataset(declaration: Declaration, table: string): Dataset {
  const { name, columns, uniqueKeys = [] } = declaration
  return {
    name,
    table,
    columns: columns.map((column) => compileColumn(column, keyBytesOf(column, declaration))),
    uniqueKeys: uniqueKeys.map(compileKey),
  }
}

/** A column by itself, as its declaration is checked. */
export function compileColumn(column: ColumnDeclaration, keyBytes?: number): Column {
  const type = COLUMN_TYPES[column.type]
  const shape = type.shapeOf(column)
  const { messages = {}, required = false, aliases = [] } = column
  const isWrong = all([lengthCheck(column, type), shape.findFault, rangeCheck(column, type, shape)])
  const findFault = all([reworded(isWrong, messages.invalid), keyBytesCheck(keyBytes)])
  const given = column.default === undefined ? null : String(column.default)
  return {
    name: column.name,
    aliases: aliases.map((alias) => alias.trim().toLowerCase()),
    sqlType: type.sqlType,
    isRequired: required,
    fallback: given === null || !shape.normalize ? given : shape.normalize(given),
    requiredReason: messages.required ?? 'is required',
    isCaseless: type.isCaseless ?? false,
    ...(findFault && { findFault }),
    ...(shape.normalize && { normalize: shape.normalize }),
  }
}

function compileKey({ columns, message }: UniqueKeyDeclaration): UniqueKey {
  if (message === undefined) return { columns, takenReason }
  return {
    columns,
    takenReason: (firstRow) => (firstRow === null ? message : `${message} (row ${firstRow})`),
  }
}

/** The checks one after the other, up to the first that finds something. */
function all(checks: readonly (Check | undefined)[]): Check | undefined {
  const found = checks.filter((check) => check !== undefined)
  if (found.length < 2) return found[0]
  return (value) => {
    for (const check of found) {
      const reason = check(value)
      if (reason !== undefined) return reason
    }
    return undefined
  }
}

function reworded(check: Check | undefined, message: string | undefined): Check | undefined {
  if (!check || message === undefined) return check
  return (value) => (check(value) === undefined ? undefined : message)
}

/** First, so that what follows need not fear a cell of a megabyte. */
function lengthCheck(column: ColumnDeclaration, type: ColumnType): Check | undefined {
  const { minLength = 0 } = column
  const maxLength = Math.min(
    column.maxLength ?? Number.POSITIVE_INFINITY,
    type.maxLength ?? Number.POSITIVE_INFINITY,
  )
  if (minLength === 0 && maxLength === Number.POSITIVE_INFINITY) return undefined
  const tooShort = `must have at least ${characters(minLength)}`
  const tooLong = `must not have more than ${characters(maxLength)}`
  return (value) => {
    // A code point is one unit or two, so most values need no counting.
    const units = value.length
    if (units > maxLength && (units > 2 * maxLength || countCodePoints(value) > maxLength)) return tooLong
    if (units < minLength || (units < 2 * minLength && countCodePoints(value) < minLength)) return tooShort
    return undefined
  }
}

const characters = (count: number) => (count === 1 ? '1 character' : `${count} characters`)

function countCodePoints(value: string): number {
  let count = 0
  for (const _ of value) count++
  return count
}

function rangeCheck({ min, max }: ColumnDeclaration, type: ColumnType, { order }: Shape): Check | undefined {
  if (!order || !type.words || (min === undefined && max === undefined)) return undefined
  const [more, less] = type.words
  const low = min === undefined ? undefined : order(String(min))
  const high = max === undefined ? undefined : order(String(max))
  const tooLow = `must be ${min} or ${more}`
  const tooHigh = `must be ${max} or ${less}`
  return (value) => {
    const place = order(value)
    if (low !== undefined && place < low) return tooLow
    if (high !== undefined && place > high) return tooHigh
    return undefined
  }
}

/** The room of a key's texts in the index is divided evenly, so that each value can be judged by itself. */
function keyBytesOf(
  column: ColumnDeclaration,
  { columns, uniqueKeys = [] }: Declaration,
): number | undefined {
  if (COLUMN_TYPES[column.type].sqlType !== 'text') return undefined
  const texts = new Set(
    columns.filter(({ type }) => COLUMN_TYPES[type].sqlType === 'text').map(({ name }) => name),
  )
  const shares = uniqueKeys
    .filter((key) => key.columns.includes(column.name))
    .map((key) => Math.floor(MAX_KEY_BYTES / key.columns.filter((name) => texts.has(name)).length))
  return shares.length === 0 ? undefined : Math.min(...shares)
}

function keyBytesCheck(maxBytes: number | undefined): Check | undefined {
  if (maxBytes === undefined) return undefined
  const reason = `must not have more than ${maxBytes} bytes, for it is part of a unique key`
  // A unit is three bytes at most.
  return (value) => (value.length * 3 > maxBytes && Buffer.byteLength(value) > maxBytes ? reason : undefined)
}
