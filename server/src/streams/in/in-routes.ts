import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import type { Caller, JobAccess } from '../../jobs/caller.ts'
import { digest } from '../../platform/digest.ts'
import { PebblesError } from '../../platform/errors.ts'
import type { App } from '../../platform/http/app.ts'
import { type AuthHooks, callerOf, sameClient } from '../../platform/http/auth.ts'
import { idempotencyKeyOf } from '../../platform/http/idempotency.ts'
import { MAX_FAULTS, parseJsonItems } from '../../platform/http/json.ts'
import { problems } from '../../platform/http/problem.ts'
import { compileCheck, invalidRequest, validatorCompiler } from '../../platform/http/validation.ts'
import { PAGEVIEWS, PAGEVIEWS_DECLARATION } from '../declaration.ts'
import { defineStream, type StreamDefinition } from '../definition.ts'
import type { EventTally } from '../metrics.ts'
import { requireStream, StreamParams, type Streams } from '../streams.ts'
import type { Appender } from './appender.ts'
import { type Ingested, sift } from './ingest.ts'
import { parseNdjson } from './ndjson.ts'

/** Events in one request. Its bytes are bounded as those of any other. */
export const MAX_EVENTS = 10_000
const JSON_TYPE = 'application/json'
const NDJSON = 'application/x-ndjson'
/** Names that are used for it as well. */
const NDJSON_TOO = ['application/ndjson', 'application/jsonl']

export interface InRoutes {
  access: JobAccess
  auth: AuthHooks
  streams: Streams
  appender: Appender
  tally: EventTally
  /** Binds the key of a request to its content; false when it was bound to another. */
  bindKey: (key: { id: string; fingerprint: string }) => Promise<boolean>
}

const IngestedSchema = Type.Object({
  accepted: Type.Integer({ description: 'Events that are durable now.' }),
  duplicates: Type.Integer({
    description:
      'Of `accepted`: events that were there already, by their id. With the log on Kafka they are found later, and this is 0.',
  }),
  refused: Type.Array(
    Type.Object({
      item: Type.Integer({ description: 'Its place in the request, from 0 on.' }),
      errors: Type.Array(Type.Object({ field: Type.String(), message: Type.String() })),
    }),
    { description: 'Events that are not valid; they harm no other.' },
  ),
})

const checkItems = compileCheck(Type.Array(Type.Unknown(), { minItems: 1, maxItems: MAX_EVENTS }))
const PageviewSchema = defineStream(PAGEVIEWS, PAGEVIEWS_DECLARATION).schema
const responses = { 202: IngestedSchema, ...problems(400, 401, 403, 413, 415, 422, 503) }

/** Where events come in, in a scope of their own: bodies are read item by item here, and may be NDJSON. */
export function registerPageviewRoutes(app: App, parts: InRoutes): void {
  acceptItems(app)
  const { access, streams } = parts
  app.post(
    '/api/pageviews',
    {
      onRequest: access.hook,
      schema: {
        summary: 'Take in a page view',
        description:
          '202 follows when it is durable. Its `event_id`, or the request’s `Idempotency-Key`, makes it count once within 24 hours.',
        tags: ['streams'],
        body: PageviewSchema,
        response: responses,
      },
      // The stream itself checks, as it does in batches.
      validatorCompiler: anyBody,
    },
    async (request, reply) => {
      const caller = access.callerOf(request)
      const ingested = await take(parts, request, caller, streams.pageviews, [request.body])
      if (ingested.accepted === 0) throw invalidRequest(ingested.refused[0]!.errors)
      reply.code(202)
      return ingested
    },
  )

  app.post(
    '/api/pageviews/batch',
    {
      onRequest: access.hook,
      schema: {
        summary: 'Take in many page views',
        description: BATCH_DESCRIPTION,
        tags: ['streams'],
        consumes: [JSON_TYPE, NDJSON],
        body: Type.Array(PageviewSchema, { minItems: 1, maxItems: MAX_EVENTS }),
        response: responses,
      },
      validatorCompiler: anyBody,
    },
    async (request, reply) => {
      const caller = access.callerOf(request)
      return reply.code(202).send(await takeBatch(parts, request, caller, streams.pageviews))
    },
  )
}

const BATCH_DESCRIPTION = `A JSON array, or one object per line (\`${NDJSON}\`), of up to ${MAX_EVENTS.toLocaleString('en')} events. 202 follows when the valid ones are durable, and tells those that are not; when none is valid, 400. An event’s \`event_id\`, or the request’s \`Idempotency-Key\` with the event’s place, makes it count once within 24 hours.`

/** Events of streams that a client has declared; in a scope of their own, too. */
export function registerEventRoutes(app: App, parts: InRoutes): void {
  acceptItems(app)
  app.post(
    '/clients/:clientKrn/streams/:stream/events',
    {
      onRequest: [parts.auth.required, sameClient],
      schema: {
        summary: 'Take in events of a stream',
        description: BATCH_DESCRIPTION,
        tags: ['streams'],
        security: [{ bearer: [] }],
        params: StreamParams,
        consumes: [JSON_TYPE, NDJSON],
        body: Type.Array(Type.Object({}, { additionalProperties: true }), {
          minItems: 1,
          maxItems: MAX_EVENTS,
        }),
        response: { ...responses, ...problems(404, 429) },
      },
      validatorCompiler: anyBody,
    },
    async (request, reply) => {
      const { clientKrn, stream } = request.params
      const definition = await requireStream(parts.streams, clientKrn, stream)
      const { email } = callerOf(request)
      return reply.code(202).send(await takeBatch(parts, request, { clientKrn, email }, definition))
    },
  )
}

function acceptItems(app: App): void {
  const accept = (types: string[], parse: (body: Buffer) => unknown) =>
    app.addContentTypeParser(types, { parseAs: 'buffer' }, (_request, body, done) => {
      try {
        done(null, parse(body as Buffer))
      } catch (error) {
        done(error as Error)
      }
    })
  app.removeContentTypeParser(JSON_TYPE)
  accept([JSON_TYPE], (body) => parseJsonItems(body, MAX_EVENTS))
  accept([NDJSON, ...NDJSON_TOO], (body) => parseNdjson(body, MAX_EVENTS))
}

/** The schema of a body is for readers; each event is checked by itself, so that one cannot refuse all. */
const anyBody: typeof validatorCompiler = (route) =>
  route.httpPart === 'body' ? (value: unknown) => ({ value }) : validatorCompiler(route)

async function takeBatch(
  parts: InRoutes,
  request: FastifyRequest,
  caller: Caller,
  definition: StreamDefinition,
): Promise<Ingested> {
  const faults = checkItems(request.body)
  if (faults.length > 0) throw invalidRequest(faults)
  const ingested = await take(parts, request, caller, definition, request.body as unknown[])
  if (ingested.accepted === 0) throw invalidRequest(allFaults(ingested))
  return ingested
}

function allFaults({ refused }: Ingested) {
  const named = refused.slice(0, MAX_FAULTS).flatMap(({ item, errors }) =>
    errors.map(({ field, message }) => {
      const path = field === 'body' ? '' : field.startsWith('[') ? field : `.${field}`
      return { field: `[${item}]${path}`, message }
    }),
  )
  return named.slice(0, MAX_FAULTS)
}

async function take(
  { appender, bindKey, tally }: InRoutes,
  request: FastifyRequest,
  { clientKrn, email }: Caller,
  definition: StreamDefinition,
  items: readonly unknown[],
): Promise<Ingested> {
  const sent = idempotencyKeyOf(request)
  // As everywhere a key is its caller's: under the same one somebody else sends another request.
  const key = sent === undefined ? undefined : digest(email, sent)
  const { events, refused } = sift(definition, clientKrn, items, key)
  let duplicates = 0
  if (events.length > 0) {
    // Not before there is something to append: a key whose request was at fault may be used for the corrected one.
    if (key !== undefined) await requireSame(bindKey, clientKrn, definition.name, key, items)
    for (const place of await appender.submit(events)) if (place === 'duplicate') duplicates++
  }
  const ingested = { accepted: events.length, duplicates, refused }
  tally(definition.name, ingested)
  return ingested
}

/** @throws PebblesError `idempotency_mismatch` when the key was sent before with other events */
async function requireSame(
  bindKey: InRoutes['bindKey'],
  clientKrn: string,
  stream: string,
  key: string,
  items: readonly unknown[],
): Promise<void> {
  // What could not be read is an error, of which JSON shows nothing: its message tells it apart.
  const content = items.map((item) => (item instanceof PebblesError ? item.message : item))
  const bound = {
    id: digest('events', clientKrn, stream, key),
    fingerprint: digest(JSON.stringify(content)),
  }
  if (await bindKey(bound)) return
  throw new PebblesError('idempotency_mismatch', 'This Idempotency-Key was sent before with other events.')
}
