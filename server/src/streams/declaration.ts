import Type, { type Static } from 'typebox'
import type { FieldFault } from '../platform/errors.ts'
import { compileCheck } from '../platform/http/validation.ts'

/** Most of what a declaration may have. */
export const MAX_DECLARATION_BYTES = 32 * 1024
export const MAX_STREAMS = 100
const MAX_FIELDS = 100
const MAX_MEASURES = 16
/** Keys lie in indexes, whose entries PostgreSQL limits to some 2,700 bytes. */
const MAX_KEY_FIELDS = 3
const MAX_KEY_LENGTH = 128
const MAX_TEXT_LENGTH = 64 * 1024
const DAY_SECONDS = 86_400

const Name = (description: string) => Type.String({ pattern: '^[a-z][a-z0-9_]{0,62}$', description })
/** Those that begin with an underscore are ours: archives add `_client`. */
const FieldName = (description: string) =>
  Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_]{0,62}$', description })

const FIELD_TYPES = ['string', 'integer', 'number', 'boolean'] as const
const MEASURE_KINDS = ['count', 'sum', 'min', 'max', 'distinct'] as const

const Length = (description: string) =>
  Type.Optional(Type.Integer({ minimum: 0, maximum: MAX_TEXT_LENGTH, description }))

const FieldSchema = Type.Object(
  {
    name: FieldName('Its name in the event.'),
    type: Type.Enum([...FIELD_TYPES], { description: 'Whole numbers reach from −(2^53 − 1) to 2^53 − 1.' }),
    required: Type.Optional(Type.Boolean({ default: true, description: 'Every event has it.' })),
    minLength: Length('Fewest characters; string.'),
    maxLength: Length('Most characters; string.'),
    min: Type.Optional(Type.Number({ description: 'Least value; integer, number.' })),
    max: Type.Optional(Type.Number({ description: 'Greatest value; integer, number.' })),
  },
  { additionalProperties: false },
)

const MeasureSchema = Type.Object(
  {
    name: Name('Its name in the aggregate.'),
    kind: Type.Enum([...MEASURE_KINDS], {
      description:
        'What is made of the events of a window. `distinct` is how many different values a field has: exactly up to 128, beyond that an estimate with a standard error of 1.6 %.',
    }),
    field: Type.Optional(
      FieldName(
        'A field that every event has, for all but `count`: of any type for `distinct`, else a number.',
      ),
    ),
  },
  { additionalProperties: false },
)

/** What an event of a stream is, and which aggregates are made of it, as plain JSON. */
export const StreamDeclarationSchema = Type.Object(
  {
    key: Type.Array(FieldName('A field.'), {
      minItems: 1,
      maxItems: MAX_KEY_FIELDS,
      description: 'Fields by whose values events are counted together.',
    }),
    timestamp: Type.Object(
      {
        field: FieldName('A whole number.'),
        unit: Type.Enum(['s', 'ms'], { description: 'Since 1970, UTC.' }),
      },
      { additionalProperties: false, description: 'When the event happened.' },
    ),
    windowSeconds: Type.Integer({ minimum: 1, maximum: DAY_SECONDS, description: 'Size of a window.' }),
    graceSeconds: Type.Integer({
      minimum: 0,
      maximum: DAY_SECONDS,
      description: 'How far behind the newest event one may be and still count.',
    }),
    fields: Type.Array(FieldSchema, { minItems: 2, maxItems: MAX_FIELDS }),
    measures: Type.Array(MeasureSchema, { minItems: 1, maxItems: MAX_MEASURES }),
  },
  { additionalProperties: false },
)

export type StreamDeclaration = Static<typeof StreamDeclarationSchema>
export type FieldDeclaration = Static<typeof FieldSchema>
export type MeasureDeclaration = Static<typeof MeasureSchema>

/** The built-in stream. */
export const PAGEVIEWS = 'pageviews'

export const PAGEVIEWS_DECLARATION: StreamDeclaration = {
  key: ['postcode'],
  timestamp: { field: 'timestamp', unit: 's' },
  windowSeconds: 60,
  graceSeconds: 60,
  fields: [
    { name: 'user_id', type: 'integer' },
    { name: 'postcode', type: 'string', minLength: 1, maxLength: 16 },
    { name: 'webpage', type: 'string', minLength: 1, maxLength: 2_048 },
    { name: 'timestamp', type: 'integer', min: 0 },
  ],
  measures: [{ name: 'pageview_count', kind: 'count' }],
}

const checkShape = compileCheck(StreamDeclarationSchema)
/** What events have beside their fields, and aggregates beside their key and measures. */
const TAKEN_FIELDS = new Set(['event_id'])
const TAKEN_IN_AGGREGATES = new Set(['window_start', 'revision', 'delta'])

/** Every way in which this is no declaration, each with the field; empty when it is one. */
export function checkStreamDeclaration(value: unknown): FieldFault[] {
  const faults = checkShape(value)
  return faults.length > 0 ? faults : checkMeaning(value as StreamDeclaration)
}

function checkMeaning({ key, timestamp, fields, measures }: StreamDeclaration): FieldFault[] {
  const faults: FieldFault[] = []
  const add = (field: string, message: string) => void faults.push({ field, message })
  const byName = new Map<string, FieldDeclaration>()
  for (const [index, field] of fields.entries()) {
    if (byName.has(field.name)) add(`fields[${index}].name`, 'is there already')
    // One that is left out would seem to be there.
    if (field.required === false && field.name in {})
      add(`fields[${index}].name`, 'is the name of something that every object has: it cannot be left out')
    if (TAKEN_FIELDS.has(field.name)) add(`fields[${index}].name`, 'is a name that Pebbles needs itself')
    byName.set(field.name, field)
    checkBounds(field, `fields[${index}]`, add)
  }
  const named = (name: string, at: string): FieldDeclaration | undefined => {
    const field = byName.get(name)
    if (!field) add(at, 'is not among the fields')
    else if (field.required === false) add(at, 'is a field that an event may leave out')
    return field
  }
  for (const [index, name] of key.entries()) {
    const at = `key[${index}]`
    const field = named(name, at)
    if (key.indexOf(name) < index) add(at, 'is there already')
    if (TAKEN_IN_AGGREGATES.has(name)) add(at, 'is a name that Pebbles needs itself')
    if (field?.type === 'string' && (field.maxLength ?? Number.POSITIVE_INFINITY) > MAX_KEY_LENGTH)
      add(at, `is a field whose maxLength is not at most ${MAX_KEY_LENGTH}`)
  }
  if (named(timestamp.field, 'timestamp.field')?.type !== 'integer')
    add('timestamp.field', 'must be a field of type integer')
  const taken = new Set([...TAKEN_IN_AGGREGATES, ...key])
  for (const [index, { name, kind, field }] of measures.entries()) {
    if (taken.has(name)) add(`measures[${index}].name`, 'is there already')
    taken.add(name)
    if (kind === 'count') {
      if (field !== undefined) add(`measures[${index}].field`, 'has no meaning with count')
    } else if (field === undefined) {
      add(`measures[${index}].field`, `is needed with ${kind}`)
    } else {
      const type = named(field, `measures[${index}].field`)?.type ?? 'number'
      if (kind !== 'distinct' && type !== 'integer' && type !== 'number')
        add(`measures[${index}].field`, 'must be a field of type integer or number')
    }
  }
  return faults
}

function checkBounds(
  field: FieldDeclaration,
  at: string,
  add: (field: string, message: string) => void,
): void {
  const isText = field.type === 'string'
  const isNumber = field.type === 'integer' || field.type === 'number'
  for (const name of ['minLength', 'maxLength'] as const)
    if (field[name] !== undefined && !isText) add(`${at}.${name}`, `has no meaning with ${field.type}`)
  for (const name of ['min', 'max'] as const)
    if (field[name] !== undefined && !isNumber) add(`${at}.${name}`, `has no meaning with ${field.type}`)
  if ((field.minLength ?? 0) > (field.maxLength ?? MAX_TEXT_LENGTH))
    add(`${at}.minLength`, 'is above maxLength')
  if ((field.min ?? Number.NEGATIVE_INFINITY) > (field.max ?? Number.POSITIVE_INFINITY))
    add(`${at}.min`, 'is above max')
}

/** What decides to which window and key an event belongs, and what is made of it. It stays as it was declared. */
export function isSameFold(a: StreamDeclaration, b: StreamDeclaration): boolean {
  const fold = ({ key, timestamp, windowSeconds, graceSeconds, measures, fields }: StreamDeclaration) => [
    key,
    timestamp.field,
    timestamp.unit,
    windowSeconds,
    graceSeconds,
    measures.map(({ name, kind, field }) => [name, kind, field]),
    // A key's text depends on the types of its fields.
    key.map((name) => fields.find((field) => field.name === name)?.type),
  ]
  return JSON.stringify(fold(a)) === JSON.stringify(fold(b))
}
