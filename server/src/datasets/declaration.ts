import Type, { type Static } from 'typebox'

/** Most of what a declaration may have. Together they keep one declaration, and a list of all, within bounds. */
export const MAX_DECLARATION_BYTES = 128 * 1024
export const MAX_DATASETS = 100
export const MAX_COLUMNS = 200
/** Each keeps up to 8 MiB of states while a file is read. */
export const MAX_PATTERNS = 20
export const MAX_UNIQUE_KEYS = 10
export const MAX_KEY_COLUMNS = 5
export const MAX_ENUM_VALUES = 1_000
export const MAX_PATTERN_LENGTH = 500
/** A row may have 1 MiB, so no cell is longer. */
const MAX_TEXT_LENGTH = 1024 * 1024
const MAX_MESSAGE_LENGTH = 200

export const COLUMN_TYPE_NAMES = [
  'text',
  'integer',
  'decimal',
  'boolean',
  'date',
  'timestamp',
  'email',
  'url',
  'enum',
  'regex',
] as const
export type ColumnTypeName = (typeof COLUMN_TYPE_NAMES)[number]

/** A lower-case name that PostgreSQL takes as it is; 63 characters are what it keeps of one. */
const Name = (description: string) => Type.String({ pattern: '^[a-z][a-z0-9_]{0,62}$', description })

const Message = (description: string) =>
  Type.Optional(Type.String({ minLength: 1, maxLength: MAX_MESSAGE_LENGTH, description }))

/** As a list of types and not as a union, of which every branch would be told as a fault of its own. */
const Bound = (description: string) =>
  Type.Optional(Type.Unsafe<string | number>({ type: ['string', 'number'], maxLength: 100, description }))

const Length = (description: string) =>
  Type.Optional(Type.Integer({ minimum: 0, maximum: MAX_TEXT_LENGTH, description }))

export const ColumnSchema = Type.Object(
  {
    name: Name('Name in the header, whatever its case, and in the table.'),
    aliases: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 100 }), {
        maxItems: 20,
        description:
          'Other names by which a header may call it. Its own name comes first, then these in order.',
      }),
    ),
    type: Type.Enum([...COLUMN_TYPE_NAMES]),
    required: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'The header must have it, and no cell may be blank, unless there is a default.',
      }),
    ),
    default: Type.Optional(
      Type.Unsafe<string | number | boolean>({
        type: ['string', 'number', 'boolean'],
        maxLength: 1_000,
        description: 'Stored where a cell is blank, or the file has no such column.',
      }),
    ),
    minLength: Length('Fewest characters (Unicode code points); text, email, url, regex.'),
    maxLength: Length('Most characters; text, email, url, regex.'),
    min: Bound('Least value, or earliest; integer, decimal, date, timestamp. Beyond 2^53 as a text.'),
    max: Bound('Greatest value, or latest.'),
    values: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 100 }), {
        minItems: 1,
        maxItems: MAX_ENUM_VALUES,
        description: 'What an enum allows, whatever the case; stored as it is written here.',
      }),
    ),
    pattern: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: MAX_PATTERN_LENGTH,
        description: 'RE2 syntax, for regex: matches the value as a whole.',
      }),
    ),
    messages: Type.Optional(
      Type.Object(
        {
          required: Message('Instead of `is required`.'),
          invalid: Message('Instead of whatever is wrong with a value.'),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
)

export const UniqueKeySchema = Type.Object(
  {
    columns: Type.Array(Type.String({ minLength: 1, maxLength: 63 }), {
      minItems: 1,
      maxItems: MAX_KEY_COLUMNS,
      description:
        'Their values together occur once among all rows. A row in which one is blank has no such key.',
    }),
    message: Message('Instead of `already exists`.'),
  },
  { additionalProperties: false },
)

const declarationFields = {
  name: Name('Name of the dataset: `?dataset=` of an upload.'),
  columns: Type.Array(ColumnSchema, { minItems: 1, maxItems: MAX_COLUMNS }),
  uniqueKeys: Type.Optional(Type.Array(UniqueKeySchema, { maxItems: MAX_UNIQUE_KEYS })),
}

/** Where a file's rows go and what a valid row is, as plain JSON. */
export const DeclarationSchema = Type.Object(declarationFields, { additionalProperties: false })

const Ignored = Type.Optional(
  Type.Unknown({ description: 'Ignored, so that what was read can be sent back.' }),
)

/** What is sent: a declaration, or the answer of an earlier reading with changes in it. */
export const DatasetBodySchema = Type.Object(
  { ...declarationFields, version: Ignored, isBuiltIn: Ignored, createdAt: Ignored },
  { additionalProperties: false },
)

/** What is answered. */
export const DatasetSchema = Type.Object({
  name: Type.String(),
  version: Type.Integer({ description: 'Rises with each change; 0 for what is built in.' }),
  isBuiltIn: Type.Boolean({ description: 'Cannot be changed.' }),
  createdAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
    description: 'When this version was made.',
  }),
  columns: Type.Array(ColumnSchema),
  uniqueKeys: Type.Array(UniqueKeySchema),
})

export type Declaration = Static<typeof DeclarationSchema>
export type ColumnDeclaration = Static<typeof ColumnSchema>
export type UniqueKeyDeclaration = Static<typeof UniqueKeySchema>

/** Which key this is: the same columns in another order make the same key. */
export const keyOf = ({ columns }: UniqueKeyDeclaration): string => columns.toSorted().join(' ')
