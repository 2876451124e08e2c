import { digest } from '../../platform/digest.ts'
import { parseJson } from '../../platform/http/json.ts'
import type { LogRecord } from '../../platform/kafka/records.ts'
import { PAGEVIEWS, PAGEVIEWS_DECLARATION } from '../declaration.ts'
import { defineStream, type StreamEvent } from '../definition.ts'
import type { NewEvent } from './log.ts'

/** Whose page views they are when nothing is said. */
const DEFAULT_CLIENT = 'krn:dev'
const MAX_CLIENT_LENGTH = 256

/** As over HTTP. The grace is of no account here. */
const pageviews = defineStream(PAGEVIEWS, PAGEVIEWS_DECLARATION)

/**
 * What a record is that no Pebbles of this database wrote: a page view when it passes the check of one over HTTP, of
 * the client that a header `client` names. Only the record decides, so every reader at any time comes to the same.
 *
 * Only page views: the rules of a declared stream may change, and an event would then be one for one reader only.
 *
 * @returns the event, or why it is none
 */
export function readForeign({ value, headers, timestampMs }: LogRecord): NewEvent | { reason: string } {
  if (value === null) return { reason: 'it has no value' }
  const header = (name: string) =>
    headers.find(([key]) => key !== null && key.toString() === name)?.[1]?.toString()
  const stream = header('stream') ?? PAGEVIEWS
  if (stream !== PAGEVIEWS) return { reason: `stream: only ${PAGEVIEWS} can be written by others` }
  const clientKrn = header('client') ?? DEFAULT_CLIENT
  if (clientKrn === '' || clientKrn.length > MAX_CLIENT_LENGTH || !isText(clientKrn))
    return { reason: 'client: is none' }
  const read = readJson(value)
  if ('reason' in read) return read
  const [fault] = pageviews.check(read.value, timestampMs)
  if (fault !== undefined) return { reason: `${fault.field}: ${fault.message}` }
  const event = read.value as StreamEvent
  const { event_id } = event
  return {
    clientKrn,
    stream,
    key: pageviews.keyOf(event),
    payload: JSON.stringify(event),
    id: event_id === undefined ? undefined : digest('event', clientKrn, stream, String(event_id)),
  }
}

/** What PostgreSQL takes as one. */
const isText = (text: string) => !text.includes('\0') && text.isWellFormed()

function readJson(value: Buffer): { value: unknown } | { reason: string } {
  try {
    return { value: parseJson(value) }
  } catch (error) {
    return { reason: (error as Error).message }
  }
}
