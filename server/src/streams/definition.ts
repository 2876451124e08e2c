import Type, { type TSchema } from 'typebox'
import type { FieldFault } from '../platform/errors.ts'
import { compileCheck } from '../platform/http/validation.ts'
import type { FieldDeclaration, MeasureDeclaration, StreamDeclaration } from './declaration.ts'
import type { FoldRule, MeasureKind } from './windows/fold.ts'
import { hashOf } from './windows/sketch.ts'

/** An event as it was sent, of a stream whose rules it keeps. */
export type StreamEvent = Readonly<Record<string, string | number | boolean>>

/** How far ahead of our clock an event may be. */
const MAX_AHEAD_MS = 24 * 3_600_000
const MAX_EVENT_ID_LENGTH = 255
/** So that a sum of a hundred million stays finite: beyond it JSON has no number, and PostgreSQL refuses to add. */
const MAX_NUMBER = 1e300

/** A declared stream, ready for use. */
export interface StreamDefinition {
  name: string
  declaration: StreamDeclaration
  rule: FoldRule
  /** The schema of an event, `event_id` included. */
  schema: TSchema
  /** Every way in which a value is no event of this stream; empty when it is one. */
  check(value: unknown, nowMs: number): FieldFault[]
  /** Text of the key: the value itself of one field of type string, else a JSON array. */
  keyOf(event: StreamEvent): string
  /** That text, of a key as a question names it; undefined for what can be no key of this stream. */
  readKey(text: string): string | undefined
  timeMsOf(event: StreamEvent): number
  /** Values of the measures other than `count`, in their order; for a `distinct`, the hash of its field. */
  valuesOf(event: StreamEvent): readonly number[]
  /** The key fields of an aggregate, by name. */
  showKey(key: string): Record<string, string | number | boolean>
  /** The measures of an aggregate, by name. */
  showMeasures(events: number, values: readonly number[] | null): Record<string, number>
}

/** @param declaration one in which nothing was found wrong */
export function defineStream(name: string, declaration: StreamDeclaration): StreamDefinition {
  const { key, timestamp, fields, measures } = declaration
  const schema = Type.Object(
    {
      ...Object.fromEntries(fields.map((field) => [field.name, schemaOf(field)])),
      event_id: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: MAX_EVENT_ID_LENGTH,
          description: 'An event with the id of another one within 24 hours is that event again.',
        }),
      ),
    },
    { additionalProperties: false },
  )
  const checkShape = compileCheck(schema)
  const [unitMs, unitName] = timestamp.unit === 's' ? [1_000, 'seconds'] : [1, 'milliseconds']
  // Told with its unit: what is far ahead is mostly a time in the other one.
  const tooFarAhead = `must not be more than 24 hours ahead, in ${unitName} since 1970`
  const timeMsOf = (event: StreamEvent) => (event[timestamp.field] as number) * unitMs
  const [firstKey = ''] = key
  const isPlainKey = key.length === 1 && fields.find((field) => field.name === firstKey)?.type === 'string'
  const keyTypes = key.map((name) => fields.find((field) => field.name === name)!.type)
  const valued = measures.filter(hasField)
  const noValues: readonly number[] = []
  const readers = valued.map(({ kind, field }) =>
    kind === 'distinct'
      ? (event: StreamEvent) => hashOf(event[field]!)
      : (event: StreamEvent) => event[field] as number,
  )

  return {
    name,
    declaration,
    rule: {
      windowMs: declaration.windowSeconds * 1_000,
      graceMs: declaration.graceSeconds * 1_000,
      measures: valued.map(({ kind }) => kind as MeasureKind),
    },
    schema,
    check(value, nowMs) {
      const faults = checkShape(value)
      if (faults.length > 0) return faults
      const timeMs = timeMsOf(value as StreamEvent)
      if (timeMs < 0) return [{ field: timestamp.field, message: 'must not be before 1970' }]
      return timeMs > nowMs + MAX_AHEAD_MS ? [{ field: timestamp.field, message: tooFarAhead }] : faults
    },
    keyOf: isPlainKey
      ? (event) => event[firstKey] as string
      : (event) => JSON.stringify(key.map((field) => event[field])),
    readKey: isPlainKey ? (text) => text : (text) => readKeyList(text, keyTypes),
    timeMsOf,
    valuesOf: valued.length === 0 ? () => noValues : (event) => readers.map((read) => read(event)),
    showKey(text) {
      if (isPlainKey) return { [firstKey]: text }
      const values = JSON.parse(text) as (string | number | boolean)[]
      return Object.fromEntries(key.map((field, index) => [field, values[index]!]))
    },
    showMeasures(events, values) {
      let place = 0
      return Object.fromEntries(
        measures.map(({ name, kind }) => [name, kind === 'count' ? events : values![place++]!]),
      )
    },
  }
}

/** By type alone: bounds may have been others when the key was counted. */
function readKeyList(text: string, types: readonly FieldDeclaration['type'][]): string | undefined {
  try {
    const values: unknown = JSON.parse(text)
    const isKey =
      Array.isArray(values) &&
      values.length === types.length &&
      types.every((type, index) => typeof values[index] === (type === 'integer' ? 'number' : type))
    return isKey ? JSON.stringify(values) : undefined
  } catch {
    return undefined
  }
}

const hasField = (measure: MeasureDeclaration): measure is MeasureDeclaration & { field: string } =>
  measure.field !== undefined

function schemaOf({ type, required, minLength, maxLength, min, max }: FieldDeclaration): TSchema {
  const length = {
    ...(minLength !== undefined && { minLength }),
    ...(maxLength !== undefined && { maxLength }),
  }
  const whole = {
    minimum: Math.max(min ?? Number.MIN_SAFE_INTEGER, Number.MIN_SAFE_INTEGER),
    maximum: Math.min(max ?? Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  }
  const bounds = {
    minimum: Math.max(min ?? -MAX_NUMBER, -MAX_NUMBER),
    maximum: Math.min(max ?? MAX_NUMBER, MAX_NUMBER),
  }
  const schema = {
    string: () => Type.String(length),
    integer: () => Type.Integer(whole),
    number: () => Type.Number(bounds),
    boolean: () => Type.Boolean(),
  }[type]()
  return required === false ? Type.Optional(schema) : schema
}
