import Type, { type Static } from 'typebox'
import { digest } from '../../platform/digest.ts'
import type { FieldFault } from '../../platform/errors.ts'
import { compileCheck } from '../../platform/http/validation.ts'
import { type Issue, recordIdOf, type Update } from '../record.ts'
import type { LoggedUpdate } from '../store.ts'

/** Largest number of issues of one kind in an update, and in a response. */
export const MAX_ISSUES = 10_000
export const SHOWN_ISSUES = 1_000
export const MAX_FILENAME_BYTES = 1_024
export const MAX_BATCH_ITEMS = 1_000

const CountSchema = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

/** As a list of types and not as a union: serializers of unions try one after the other. */
const NullableCount = (options: { description: string }) =>
  Type.Unsafe<number | null>({
    type: ['integer', 'null'],
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    ...options,
  })

const CountsSchema = Type.Object(
  { done: CountSchema, warn: CountSchema, failed: CountSchema },
  { additionalProperties: false, description: 'Rows. Their sum never exceeds 2^53 − 1.' },
)

export const IssueSchema = Type.Object(
  {
    line: Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'Line in the file; 0: the file.',
    }),
    message: Type.String({ maxLength: 4_096 }),
  },
  { additionalProperties: false },
)

const IssuesSchema = Type.Optional(Type.Array(IssueSchema, { maxItems: MAX_ISSUES }))

const updateFields = {
  filename: Type.String({
    minLength: 1,
    maxLength: MAX_FILENAME_BYTES,
    description: 'At most 1,024 bytes of UTF-8.',
  }),
  counts: CountsSchema,
  total: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'Rows expected; sets or changes it.',
    }),
  ),
  isLast: Type.Optional(
    Type.Boolean({ description: 'Completes the file: nothing can be added afterwards.' }),
  ),
  errors: IssuesSchema,
  warnings: IssuesSchema,
  createdAt: Type.Optional(Type.Unknown({ description: 'Ignored: times are the server’s.' })),
  updatedAt: Type.Optional(Type.Unknown({ description: 'Ignored: times are the server’s.' })),
}

/** What a worker sends: one increment. */
export const UpdateSchema = Type.Object(updateFields, {
  additionalProperties: false,
  description: 'Counts are added to the record; errors and warnings are appended.',
})

export const BatchItemSchema = Type.Object(
  {
    id: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 255,
        description: 'Counts once, however often it is sent again.',
      }),
    ),
    ...updateFields,
  },
  { additionalProperties: false },
)

export type UpdateBody = Static<typeof UpdateSchema>
export type BatchItem = Static<typeof BatchItemSchema>

/** Faults that a schema cannot tell. */
export function findFaults({ filename }: UpdateBody): FieldFault[] {
  const bytes = Buffer.byteLength(filename)
  if (bytes <= MAX_FILENAME_BYTES) return []
  return [
    {
      field: 'filename',
      message: `must not have more than ${MAX_FILENAME_BYTES} bytes of UTF-8, and has ${bytes}`,
    },
  ]
}

const checkItem = compileCheck(BatchItemSchema)

/** Every fault of one item of a batch; empty when it is valid. */
export function checkBatchItem(item: unknown): FieldFault[] {
  const faults = checkItem(item)
  return faults.length > 0 ? faults : findFaults(item as BatchItem)
}

/** Where an update comes from; `offset` when that is a log. */
type Origin = Pick<Update, 'clientKrn' | 'email' | 'channel' | 'id' | 'place' | 'offset'>

/** The update that a body, an item of a batch or a message stands for. */
export function toUpdate(body: UpdateBody, origin: Origin & { offset: number }): LoggedUpdate
export function toUpdate(body: UpdateBody, origin: Origin): Update
export function toUpdate(body: UpdateBody, { clientKrn, email, channel, id, place, offset }: Origin): Update {
  const { filename, counts, total, isLast = false, errors = NO_ISSUES, warnings = NO_ISSUES } = body
  const recordId = recordIdOf(clientKrn, filename)
  // Written out, and always all of them: one shape for all updates, however many a log brings in a second.
  return {
    recordId,
    clientKrn,
    filename,
    email,
    channel,
    counts,
    total,
    isLast,
    errors,
    warnings,
    id,
    place,
    offset,
  }
}

const NO_ISSUES: Issue[] = []

/** The same for the same update, whatever the order of its fields or the spacing of its JSON. */
export function fingerprintOf(body: UpdateBody): string {
  const { filename, counts, total, isLast = false, errors = [], warnings = [] } = body
  const issues = [errors, warnings].map((list) => list.map(({ line, message }) => [line, message]))
  return digest(
    JSON.stringify([filename, counts.done, counts.warn, counts.failed, total ?? null, isLast, issues]),
  )
}

const TotalsFields = {
  counts: CountsSchema,
  total: NullableCount({
    description: 'Rows expected; null while nobody has said.',
  }),
  isCompleted: Type.Boolean(),
  errorsTotal: CountSchema,
  warningsTotal: CountSchema,
}

const ShownIssuesFields = {
  errors: Type.Array(IssueSchema, { description: `The newest ${SHOWN_ISSUES} of \`errorsTotal\`.` }),
  warnings: Type.Array(IssueSchema, { description: `The newest ${SHOWN_ISSUES} of \`warningsTotal\`.` }),
}

export const UpdateResultSchema = Type.Object({
  result: Type.Enum(['created', 'updated']),
  clientKrn: Type.String(),
  filename: Type.String(),
  ...TotalsFields,
  ...ShownIssuesFields,
})

const RecordFields = {
  id: Type.String({ format: 'uuid' }),
  clientKrn: Type.String(),
  filename: Type.String(),
  email: Type.String({ description: 'Who owns the record: the first to report on the file.' }),
  ...TotalsFields,
  createdAt: Type.String({ format: 'date-time' }),
  updatedAt: Type.String({ format: 'date-time' }),
  sequence: Type.Integer({ description: 'Updates applied so far: the `id` of live events, and the ETag.' }),
}

/** A record with its newest issues. */
export const RecordSchema = Type.Object({ ...RecordFields, ...ShownIssuesFields })

/** A record as live views send it: totals only. */
export const LiveRecordSchema = Type.Object(RecordFields)

export const BatchOutcomeSchema = Type.Object({
  status: Type.Integer({ description: 'What this item alone would have been answered.' }),
  result: Type.Optional(Type.String()),
  filename: Type.Optional(Type.String()),
  ...Object.fromEntries(Object.entries(TotalsFields).map(([name, schema]) => [name, Type.Optional(schema)])),
  problem: Type.Optional(Type.Unknown({ description: 'Why the item was refused (RFC 9457).' })),
})

const ChangeSchema = Type.Integer({
  minimum: -Number.MAX_SAFE_INTEGER,
  maximum: Number.MAX_SAFE_INTEGER,
})

export const EventSchema = Type.Object({
  sequence: Type.Integer(),
  at: Type.String({ format: 'date-time' }),
  email: Type.String(),
  channel: Type.String({ description: 'http, sqs, kafka, import or correction' }),
  updateId: Type.Unsafe<string | null>({
    type: ['string', 'null'],
    description: 'The sender’s own id of the update, or its place in the log that it came from.',
  }),
  counts: Type.Object(
    { done: ChangeSchema, warn: ChangeSchema, failed: ChangeSchema },
    { description: 'What it added. A correction takes from `failed` what it adds to `done`.' },
  ),
  total: NullableCount({ description: 'The record’s total after it.' }),
  isLast: Type.Boolean(),
  errors: Type.Integer(),
  warnings: Type.Integer(),
  countsAfter: CountsSchema,
})

export const RefusalSchema = Type.Object({
  ordinal: Type.Integer(),
  at: Type.String({ format: 'date-time' }),
  email: Type.String({ description: 'Who sent it.' }),
  channel: Type.String({ description: 'sqs or kafka' }),
  updateId: Type.Unsafe<string | null>({
    type: ['string', 'null'],
    description: 'The sender’s own id of the update, or its place in the log that it came from.',
  }),
  result: Type.String({
    description:
      '`forbidden`: the record is another’s. `completed`: it takes no more. `overflow`: its numbers would become too large. `mismatch`: the id was used before, for something else.',
  }),
  counts: Type.Object(CountsSchema.properties, { description: 'What it would have added.' }),
})

export const ClientParams = Type.Object({
  clientKrn: Type.String({
    minLength: 1,
    maxLength: 256,
    description: 'The client (tenant); opaque to Pebbles.',
  }),
})

export const RecordParams = Type.Object({
  ...ClientParams.properties,
  id: Type.String({ pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$', description: 'A record’s id.' }),
})
