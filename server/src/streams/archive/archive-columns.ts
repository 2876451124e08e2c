import type { StreamDeclaration } from '../declaration.ts'
import type { ArchiveKind } from './archive-file.ts'

export type ColumnType = 'string' | 'integer' | 'number' | 'boolean'

/** A field of the rows of a Parquet file. Any row may leave it out. */
export interface ArchiveColumn {
  name: string
  type: ColumnType
}

export type ArchiveValue = string | number | boolean

/** What a row of an archive is: an event, or an aggregate. */
export type ArchiveRow = Readonly<Record<string, ArchiveValue>>

/**
 * Columns of the rows of a stream. They come from declarations and not from rows, or a file in which an optional field
 * is missing, or happens to be whole, would have another schema than the next one.
 *
 * @param declarations of all clients that have rows in the file; a field that they declare differently is the wider type
 */
export function columnsOf(kind: ArchiveKind, declarations: readonly StreamDeclaration[]): ArchiveColumn[] {
  const columns = new Map<string, ColumnType>()
  for (const declaration of declarations)
    for (const { name, type } of kind === 'aggregates' ? ofAggregates(declaration) : ofEvents(declaration))
      columns.set(name, widerOf(columns.get(name), type))
  columns.delete('_client')
  return [...Array.from(columns, ([name, type]) => ({ name, type })), { name: '_client', type: 'string' }]
}

function ofEvents({ fields }: StreamDeclaration): ArchiveColumn[] {
  return [...fields.map(({ name, type }) => ({ name, type })), { name: 'event_id', type: 'string' }]
}

function ofAggregates({ key, fields, measures }: StreamDeclaration): ArchiveColumn[] {
  const typeOf = (name: string) => fields.find((field) => field.name === name)!.type
  return [
    ...key.map((name) => ({ name, type: typeOf(name) })),
    { name: 'window_start', type: 'string' },
    ...measures.map(({ name, kind }) => ({ name, type: kind === 'count' ? 'integer' : 'number' }) as const),
    { name: 'revision', type: 'integer' },
    { name: 'delta', type: 'integer' },
  ]
}

/**
 * The columns, and what else the rows have. A field of an event that its declaration does not have any more, or has
 * with another type, is in the file all the same.
 */
export function fitColumns(rows: readonly ArchiveRow[], columns: readonly ArchiveColumn[]): ArchiveColumn[] {
  const fitted = new Map(columns.map(({ name, type }) => [name, type]))
  for (const row of rows)
    for (const name in row) {
      const type = fitted.get(name)
      if (type === undefined || !isOf(type, row[name]!)) fitted.set(name, widerOf(type, typeOf(row[name]!)))
    }
  return Array.from(fitted, ([name, type]) => ({ name, type }))
}

/** A value as its column has it; text stands for what its type cannot be. */
export function toColumn(type: ColumnType, value: ArchiveValue | undefined): ArchiveValue | bigint | null {
  if (value === undefined) return null
  if (type === 'integer') return BigInt(value)
  return type === 'string' && typeof value !== 'string' ? JSON.stringify(value) : value
}

function widerOf(a: ColumnType | undefined, b: ColumnType): ColumnType {
  if (a === undefined || a === b) return b
  const areNumbers = [a, b].every((type) => type === 'integer' || type === 'number')
  return areNumbers ? 'number' : 'string'
}

function isOf(type: ColumnType, value: ArchiveValue): boolean {
  if (type === 'integer') return Number.isSafeInteger(value)
  return type === 'string' || typeof value === type
}

const typeOf = (value: ArchiveValue): ColumnType =>
  Number.isSafeInteger(value) ? 'integer' : (typeof value as ColumnType)
