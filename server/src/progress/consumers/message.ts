import Type, { type Static } from 'typebox'
import { digest } from '../../platform/digest.ts'
import { type FieldFault, PebblesError } from '../../platform/errors.ts'
import { parseJson } from '../../platform/http/json.ts'
import { compileCheck } from '../../platform/http/validation.ts'
import { BatchItemSchema, ClientParams, findFaults, fingerprintOf } from '../http/schema.ts'
import type { Channel, UpdateId } from '../record.ts'

/**
 * An update as queues and logs carry it: a report with its client and its sender, who were not asked for a token.
 * Whoever may write to the queue may report for every client.
 */
const MessageSchema = Type.Object(
  {
    clientKrn: ClientParams.properties.clientKrn,
    email: Type.String({
      minLength: 1,
      maxLength: 320,
      description: 'Who reports: the first to do so owns the record.',
    }),
    ...BatchItemSchema.properties,
    sentAt: Type.Optional(
      Type.String({
        format: 'date-time',
        description: 'When it was first sent. A redrive does not change it, as it does the queue’s own time.',
      }),
    ),
  },
  { additionalProperties: false },
)

export type Message = Static<typeof MessageSchema>

const checkMessage = compileCheck(MessageSchema)

/** Bytes of a message, as many as of a request's body. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024

/** Reads a message with the strictness of HTTP: the same rules, the same names of faults. */
export function readMessage(bytes: Buffer): { message: Message } | { faults: FieldFault[] } {
  let value: unknown
  try {
    value = parseJson(bytes)
  } catch (error) {
    if (!(error instanceof PebblesError)) throw error
    return { faults: error.faults.length > 0 ? error.faults : [{ field: 'body', message: error.message }] }
  }
  const faults = checkMessage(value)
  if (faults.length > 0) return { faults }
  const message = value as Message
  const more = findFaults(message)
  return more.length > 0 ? { faults: more } : { message }
}

/**
 * What makes a message the same message when it is delivered again: the id that its sender gave it, the same in
 * every queue that it passes through.
 */
export function messageId(message: Message, key: string, scope: 'message' | Channel = 'message'): UpdateId {
  const { clientKrn, email } = message
  return {
    id: digest(scope, clientKrn, email, key),
    kind: 'message',
    fingerprint: fingerprintOf(message),
    key,
  }
}
