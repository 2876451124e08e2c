import type { ColumnDeclaration, ColumnTypeName } from './declaration.ts'
import { emailFault } from './email.ts'
import { decimalShape, integerShape } from './numbers.ts'
import { compilePattern } from './pattern.ts'
import { dateShape, timestampShape } from './times.ts'

/** What a value of a type looks like, apart from a column's limits. Values are trimmed and not blank. */
export interface Shape {
  findFault?: (value: string) => string | undefined
  /** A valid value as it is stored. Without it, as it is. */
  normalize?: (value: string) => string
  /** For comparing valid values; a Number compares with a BigInt. */
  order?: (value: string) => number | bigint | string
}

/** What a column may be limited by. */
export const LIMITS = ['minLength', 'maxLength', 'min', 'max', 'values', 'pattern'] as const
export type Limit = (typeof LIMITS)[number]

export interface ColumnType {
  sqlType: string
  /** The limits that mean something for it. */
  limits: readonly Limit[]
  /** The limit without which it means nothing. */
  needs?: Limit
  /** Most characters of any value, where a text is limited without being told. */
  maxLength?: number
  /** Upper and lower case are the same in a unique key. */
  isCaseless?: boolean
  /** How to say `5 or more` and `5 or less`. */
  words?: readonly [more: string, less: string]
  /** @throws Error when the limit that it needs cannot be used */
  shapeOf: (column: ColumnDeclaration) => Shape
}

const LENGTHS = ['minLength', 'maxLength'] as const
const RANGE = { limits: ['min', 'max'], words: ['more', 'less'] } as const
const PERIOD = { limits: ['min', 'max'], words: ['later', 'earlier'] } as const

export const COLUMN_TYPES: Record<ColumnTypeName, ColumnType> = {
  text: { sqlType: 'text', limits: LENGTHS, shapeOf: () => ({}) },
  integer: { sqlType: 'bigint', ...RANGE, shapeOf: () => integerShape },
  decimal: { sqlType: 'numeric', ...RANGE, shapeOf: () => decimalShape },
  boolean: { sqlType: 'boolean', limits: [], shapeOf: () => booleanShape },
  date: { sqlType: 'date', ...PERIOD, shapeOf: () => dateShape },
  timestamp: { sqlType: 'timestamptz', ...PERIOD, shapeOf: () => timestampShape },
  email: { sqlType: 'text', limits: LENGTHS, isCaseless: true, shapeOf: () => ({ findFault: emailFault }) },
  url: { sqlType: 'text', limits: LENGTHS, maxLength: 2_048, shapeOf: () => ({ findFault: urlFault }) },
  enum: { sqlType: 'text', limits: ['values'], needs: 'values', shapeOf: enumShape },
  regex: {
    sqlType: 'text',
    limits: ['pattern', ...LENGTHS],
    needs: 'pattern',
    // Bounds the time of one match, together with the size of the pattern.
    maxLength: 500,
    shapeOf: regexShape,
  },
}

const BOOLEANS: Record<string, string> = {
  true: 'true',
  yes: 'true',
  1: 'true',
  false: 'false',
  no: 'false',
  0: 'false',
}

const booleanShape: Shape = {
  findFault: (value) => (toBoolean(value) === undefined ? 'is neither yes nor no' : undefined),
  normalize: (value) => toBoolean(value)!,
}

function toBoolean(value: string): string | undefined {
  const key = value.length > 5 ? value : value.toLowerCase()
  return Object.hasOwn(BOOLEANS, key) ? BOOLEANS[key] : undefined
}

/** Stored as written: the parser of the URL standard decides whether it is one, and mends it for nobody. */
function urlFault(value: string): string | undefined {
  const isUrl = /^https?:\/\/[^\s\p{Cc}\\]+$/iu.test(value) && URL.canParse(value)
  return isUrl ? undefined : 'is not a web address such as https://example.com/'
}

const SHOWN_VALUES = 10

function enumShape({ values = [] }: ColumnDeclaration): Shape {
  const spellings = new Map(values.map((value) => [value.toLowerCase(), value]))
  const more = values.length > SHOWN_VALUES ? `, … (${values.length} values)` : ''
  const reason = `is not one of ${values.slice(0, SHOWN_VALUES).join(', ')}${more}`
  return {
    findFault: (value) => (spellings.has(value.toLowerCase()) ? undefined : reason),
    normalize: (value) => spellings.get(value.toLowerCase())!,
  }
}

function regexShape({ pattern = '' }: ColumnDeclaration): Shape {
  const matches = compilePattern(pattern)
  return { findFault: (value) => (matches(value) ? undefined : 'does not have the form that is asked for') }
}
