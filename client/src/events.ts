import { type FollowOptions, followEvents } from './follow.ts'
import type { paths } from './openapi.ts'
import { type Persistence, persistUntil } from './persist.ts'
import { type Connection, createCaller } from './request.ts'
import { randomKey } from './update-queue.ts'

type Batch = paths['/api/pageviews/batch']['post']

/** A page view: `timestamp` is in seconds since 1970; one with an `event_id` counts once within 24 hours. */
export type Pageview = Batch['requestBody']['content']['application/json'][number]

/** How many events are durable, and which were refused, by their place among those that were given, from 0 on. */
export type Ingested = Batch['responses'][202]['content']['application/json']

export interface SendOptions extends Connection, Persistence {
  /** Sent again under the same key, the same events count once within 24 hours. Default: a fresh one. */
  key?: string | undefined
}

export interface SendEventsOptions extends SendOptions {
  clientKrn: string
  /** A stream that the client has declared. */
  stream: string
}

/** What one request may hold: events, and somewhat less than 4 MiB. */
const MAX_EVENTS = 10_000
const MAX_BYTES = 3_500_000

/**
 * Sends page views, as many as there are, in batches; resolves when they are durable. What is refused harms no other.
 *
 * @throws PebblesApiError when the service refuses, also when no event of a batch is valid; those before are taken in
 * @throws PebblesTimeoutError
 */
export function sendPageviews(events: readonly Pageview[], options: SendOptions): Promise<Ingested> {
  return send('/api/pageviews/batch', events, options)
}

/** The same for the events of a stream that a client has declared; it needs a token. */
export function sendEvents(events: readonly object[], options: SendEventsOptions): Promise<Ingested> {
  const { clientKrn, stream } = options
  const path = `/clients/${encodeURIComponent(clientKrn)}/streams/${encodeURIComponent(stream)}/events`
  return send(path, events, options)
}

async function send(path: string, events: readonly object[], options: SendOptions): Promise<Ingested> {
  const { key = randomKey(), signal } = options
  const caller = createCaller(options)
  const persist = persistUntil(options)
  const all: Ingested = { accepted: 0, duplicates: 0, refused: [] }
  let first = 0
  for (const bodies of batchesOf(events)) {
    const request = {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': `${key}/${first}` },
      body: `[${bodies.join(',')}]`,
      signal,
    }
    const part = (await persist(() => caller.json(path, request))) as Ingested
    all.accepted += part.accepted
    all.duplicates += part.duplicates
    for (const { item, errors } of part.refused) all.refused.push({ item: first + item, errors })
    first += bodies.length
  }
  return all
}

/** The same batches for the same events, so that their keys are the same when they are sent again. */
function* batchesOf(events: readonly object[]): Generator<string[]> {
  const encoder = new TextEncoder()
  let bodies: string[] = []
  let bytes = 0
  for (const event of events) {
    const body = JSON.stringify(event)
    const size = encoder.encode(body).length + 1
    if (bodies.length === MAX_EVENTS || (bodies.length > 0 && bytes + size > MAX_BYTES)) {
      yield bodies
      bodies = []
      bytes = 0
    }
    bodies.push(body)
    bytes += size
  }
  if (bodies.length > 0) yield bodies
}

/** A postcode's aggregate of a window that closed; `revision` and `delta` when a late event changed it since. */
export type LiveAggregate =
  paths['/api/pageviews/stream']['get']['responses'][200]['content']['text/event-stream']

export type PageviewsEvent =
  | { event: 'aggregate'; data: LiveAggregate }
  /** Too much closed while the connection was lost: read what came before with `readPageviews`. */
  | { event: 'reset' }

/**
 * Iterates over aggregates of page views as windows close, from now on; after a lost connection it goes on where it
 * was. Ends when `signal` is aborted or the loop is left.
 *
 * @throws PebblesApiError when the service refuses
 */
export async function* watchPageviews(options: FollowOptions): AsyncGenerator<PageviewsEvent, void> {
  for await (const { event, data } of followEvents('/api/pageviews/stream', options)) {
    if (event === 'message') yield { event: 'aggregate', data: JSON.parse(data) as LiveAggregate }
    else if (event === 'reset') yield { event }
  }
}
