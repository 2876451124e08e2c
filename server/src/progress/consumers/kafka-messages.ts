import { setImmediate as turn } from 'node:timers/promises'
import type { FieldFault } from '../../platform/errors.ts'
import type { LogRecord, Stretch } from '../../platform/kafka/records.ts'
import type { Letter } from '../../platform/kafka/sender.ts'
import { toUpdate } from '../http/schema.ts'
import type { LoggedUpdate } from '../store.ts'
import { MAX_MESSAGE_BYTES, messageId, readMessage } from './message.ts'

/** Where records come from. */
export interface Place {
  topic: string
  partition: number
}

/** A stretch of a partition, read: what is to be applied, and what cannot be. */
export interface ReadStretch {
  from: number
  next: number
  updates: LoggedUpdate[]
  letters: Letter[]
}

/** Messages that are read in one turn of the event loop, which others wait for. */
const MESSAGES_PER_TURN = 500
const MAX_REASON_LENGTH = 1_000

/** Reads the messages of a stretch, in turns. */
export async function readMessages(place: Place, stretch: Stretch): Promise<ReadStretch> {
  const { from, next, records } = stretch
  const read: ReadStretch = { from, next, updates: [], letters: [] }
  const places = `${place.topic}/${place.partition}/`
  for (let i = 0; i < records.length; i++) {
    if (i > 0 && i % MESSAGES_PER_TURN === 0) await turn()
    const record = records[i]!
    const update = readUpdate(places, record)
    if ('faults' in update) read.letters.push(letterOf(place, record, reasonOf(update.faults)))
    else read.updates.push(update)
  }
  return read
}

/** Its place makes an update the same when it is read again; an `id` of its sender also when it was sent again. */
function readUpdate(places: string, record: LogRecord): LoggedUpdate | { faults: FieldFault[] } {
  const { offset, value } = record
  if (value === null) return { faults: [{ field: 'body', message: 'is missing (a tombstone)' }] }
  if (value.length > MAX_MESSAGE_BYTES)
    return { faults: [{ field: 'body', message: `must not have more than ${MAX_MESSAGE_BYTES} bytes` }] }
  const read = readMessage(value)
  if ('faults' in read) return read
  const { message } = read
  const id = message.id === undefined ? undefined : messageId(message, message.id)
  const { clientKrn, email } = message
  const place = places + offset
  return toUpdate(message, { clientKrn, email, channel: 'kafka', id, place, offset })
}

const reasonOf = (faults: FieldFault[]) =>
  faults
    .map(({ field, message }) => `${field}: ${message}`)
    .join('; ')
    .slice(0, MAX_REASON_LENGTH)
    .toWellFormed()

/** A message as it goes to the dead-letter topic: as it was, and why. */
function letterOf({ topic, partition }: Place, record: LogRecord, reason: string): Letter {
  const { offset, timestampMs, key, value, headers } = record
  const added = {
    'pebbles-reason': reason,
    'pebbles-source-topic': topic,
    'pebbles-source-partition': partition,
    'pebbles-source-offset': offset,
    'pebbles-source-timestamp': timestampMs,
  }
  return {
    partition,
    key,
    value,
    headers: [...headers.map(withName), ...Object.entries(added).map(toHeader)],
  }
}

const withName = ([name, text]: [Buffer | null, Buffer | null]): [Buffer, Buffer | null] => [
  name ?? Buffer.alloc(0),
  text,
]

const toHeader = ([name, text]: [string, unknown]): [Buffer, Buffer] => [
  Buffer.from(name),
  Buffer.from(String(text)),
]

/** For a dead-letter topic that does not take it whole: its place tells where the value is. */
export function shortenLetter(letter: Letter): Letter {
  const bytes = letter.value?.length ?? 0
  const ours = letter.headers.filter(([name]) => name.toString().startsWith('pebbles-'))
  return { ...letter, key: null, value: null, headers: [...ours, toHeader(['pebbles-value-bytes', bytes])] }
}
