import type { Attributes, QueueMessage, SqsQueue } from './queue.ts'

/** Attributes that a message can have. */
const MAX_ATTRIBUTES = 10
const MAX_MESSAGE_BYTES = 1024 * 1024
const MAX_REASON_CHARACTERS = 1_024

/** What is told of a message that nobody will read: for a person, who looks into the queue that it was moved to. */
export interface DeadLetterFacts {
  reason: string
  sourceQueue: string
  messageId: string
}

export interface DeadLetters {
  /** Puts a copy of a message there. A FIFO queue takes it once in five minutes; another one as often as it is put. */
  put(message: QueueMessage, facts: DeadLetterFacts): Promise<void>
}

export function createDeadLetters(queue: SqsQueue): DeadLetters {
  let limitBytes: number | undefined

  /** Whoever may only send there is not told; then it is what SQS allows at most. */
  async function maxBytes(): Promise<number> {
    const facts = await queue.facts().catch(() => undefined)
    return facts?.maxMessageBytes ?? MAX_MESSAGE_BYTES
  }

  return {
    async put({ id, body, group, attributes }, facts) {
      limitBytes ??= await maxBytes()
      await queue.send({
        body,
        attributes: deadLetterAttributes(facts, attributes, limitBytes - Buffer.byteLength(body)),
        group: group ?? id,
        deduplicationId: id,
      })
    },
  }
}

/**
 * The attributes of a message that is moved elsewhere: ours, and those that it had, as far as they fit beside its body.
 * A body that fills the message alone goes without any.
 *
 * @param room  bytes that are left for them
 */
export function deadLetterAttributes(facts: DeadLetterFacts, original: Attributes, room: number): Attributes {
  const ours: Attributes = {
    'pebbles-reason': text(clean(facts.reason).slice(0, MAX_REASON_CHARACTERS)),
    'pebbles-message-id': text(facts.messageId),
    'pebbles-source-queue': text(facts.sourceQueue),
  }
  const kept: Attributes = {}
  let left = room
  // Of one that was moved back and was still not valid, our own are replaced.
  for (const [name, value] of Object.entries({ ...ours, ...omit(original, ours) })) {
    const size = sizeOf(name, value)
    if (size > left || Object.keys(kept).length === MAX_ATTRIBUTES) continue
    kept[name] = value
    left -= size
  }
  return kept
}

const text = (StringValue: string) => ({ DataType: 'String', StringValue })

const omit = (all: Attributes, taken: Attributes) =>
  Object.fromEntries(Object.entries(all).filter(([name]) => !(name in taken)))

/** As SQS counts: name, type and value. */
function sizeOf(name: string, { DataType = '', StringValue, BinaryValue }: Attributes[string]): number {
  const value = StringValue === undefined ? (BinaryValue?.byteLength ?? 0) : Buffer.byteLength(StringValue)
  return Buffer.byteLength(name) + Buffer.byteLength(DataType) + value
}

/** SQS refuses characters that XML 1.0 does not have; field names that a sender made up may hold them. */
function clean(reason: string): string {
  return reason
    .toWellFormed()
    .replace(/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, '\u{FFFD}')
}
