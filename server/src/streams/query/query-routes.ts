import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Pool } from 'pg'
import Type, { type Static } from 'typebox'
import type { JobAccess } from '../../jobs/caller.ts'
import type { App } from '../../platform/http/app.ts'
import { type AuthHooks, sameClient } from '../../platform/http/auth.ts'
import { CursorSchema, LimitSchema, linkNext } from '../../platform/http/paging.ts'
import { problems } from '../../platform/http/problem.ts'
import type { StreamLimit } from '../../platform/http/stream-limit.ts'
import { invalidRequest } from '../../platform/http/validation.ts'
import { PAGEVIEWS } from '../declaration.ts'
import type { StreamDefinition } from '../definition.ts'
import { requireStream, StreamParams, type Streams } from '../streams.ts'
import type { WindowHub } from './live-windows.ts'
import {
  decodeWindowCursor,
  encodeWindowCursor,
  RangeQuery,
  readRange,
  readStep,
  StepQuery,
  showAggregate,
  showStart,
} from './query.ts'
import { listAggregates, listTotals, topKeys } from './read-postgres.ts'
import { listMergedSteps, MAX_MERGED_WINDOWS } from './read-steps-postgres.ts'

export interface QueryRoutes {
  access: JobAccess
  auth: AuthHooks
  streams: Streams
  pool: Pool
}

/** Every window of every key is looked at. */
const MAX_TOP_RANGE_MS = 24 * 3_600_000
const MAX_TOTALS = 50_000
const MAX_PAGE = 10_000

const WindowStart = Type.String({ description: 'UTC, as in `2021-01-26T14:44:00`.' })
const Count = Type.Integer({ minimum: 0, description: 'Page views in the window.' })
const Postcode = Type.String()

const PageviewAggregate = Type.Object({
  postcode: Postcode,
  window_start: WindowStart,
  pageview_count: Count,
})

/** What a live view is sent: the counts as they are now, and what changed them when they were shown before. */
const LiveAggregate = Type.Object({
  ...PageviewAggregate.properties,
  revision: Type.Optional(Type.Integer({ minimum: 1, description: 'How often the aggregate was revised.' })),
  delta: Type.Optional(Type.Integer({ minimum: 1, description: 'Page views that this revision added.' })),
})

/** An aggregate of a declared stream: its key fields, `window_start`, its measures. */
const AnyAggregate = Type.Object({ window_start: WindowStart }, { additionalProperties: true })

const pageFields = { limit: LimitSchema(1_000, MAX_PAGE), after: CursorSchema }
const AggregateQuery = Type.Object({
  key: Type.Optional(
    Type.String({
      maxLength: 4_096,
      description: 'One key only: its text, or with several fields, or others than strings, a JSON array.',
    }),
  ),
  ...RangeQuery.properties,
  step: StepQuery,
  ...pageFields,
})
const DESCRIPTION =
  'Closed windows in the order of time, and of key within a window. With `step` the windows of one key are put together. The next page is in the `Link` header.'

/** Questions about page views. */
export function registerPageviewQueries(app: App, parts: QueryRoutes): void {
  const { access, streams, pool } = parts
  app.get(
    '/api/pageviews/aggregates',
    {
      onRequest: access.hook,
      schema: {
        summary: 'Read page views per minute and postcode',
        description: DESCRIPTION,
        tags: ['streams'],
        querystring: Type.Object({
          postcode: Type.Optional(Type.String({ minLength: 1, maxLength: 16 })),
          ...RangeQuery.properties,
          step: StepQuery,
          ...pageFields,
        }),
        response: { 200: Type.Array(PageviewAggregate), ...problems(400, 401, 403, 503) },
      },
      serializerCompiler: () => JSON.stringify,
    },
    async (request, reply) => {
      const { clientKrn } = access.callerOf(request)
      const definition = await requireStream(streams, clientKrn, PAGEVIEWS)
      const { postcode, ...query } = request.query
      const asked = { ...query, ...(postcode !== undefined && { key: postcode }) }
      return (await answerAggregates(pool, clientKrn, definition, asked, 'postcode', request, reply)) as never
    },
  )

  app.get(
    '/api/pageviews/top',
    {
      onRequest: access.hook,
      schema: {
        summary: 'Read the postcodes with the most page views',
        description: 'Over closed windows of at most 24 hours.',
        tags: ['streams'],
        querystring: Type.Object({ ...RangeQuery.properties, limit: LimitSchema(10) }),
        response: {
          200: Type.Array(Type.Object({ postcode: Postcode, pageview_count: Count })),
          ...problems(400, 401, 403, 503),
        },
      },
      serializerCompiler: () => JSON.stringify,
    },
    async (request) => {
      const { clientKrn } = access.callerOf(request)
      const { limit = 10, ...query } = request.query
      const range = readRange(query, Date.now(), MAX_TOP_RANGE_MS)
      const { rule } = await requireStream(streams, clientKrn, PAGEVIEWS)
      const found = await topKeys(pool, { clientKrn, stream: PAGEVIEWS, ...range }, rule.windowMs, limit)
      return found.map(({ key, events }) => ({ postcode: key, pageview_count: events }))
    },
  )

  app.get(
    '/api/pageviews/totals',
    {
      onRequest: access.hook,
      schema: {
        summary: 'Read page views per minute over all postcodes',
        description: 'Closed windows that have any; with `step`, so many seconds together.',
        tags: ['streams'],
        querystring: Type.Object({ ...RangeQuery.properties, step: StepQuery }),
        response: {
          200: Type.Array(Type.Object({ window_start: WindowStart, pageview_count: Count })),
          ...problems(400, 401, 403, 503),
        },
      },
      serializerCompiler: () => JSON.stringify,
    },
    async (request) => {
      const { clientKrn } = access.callerOf(request)
      const { rule } = await requireStream(streams, clientKrn, PAGEVIEWS)
      const { step, ...query } = request.query
      const stepMs = readStep(step, rule.windowMs) ?? rule.windowMs
      const range = readRange(query, Date.now(), stepMs * MAX_TOTALS)
      const found = await listTotals(pool, { clientKrn, stream: PAGEVIEWS, ...range }, stepMs)
      return found.map(({ startMs, events }) => ({
        window_start: showStart(startMs),
        pageview_count: events,
      }))
    },
  )
}

/** Windows as they close. */
export function registerWindowStream(
  app: App,
  parts: QueryRoutes & { windows: WindowHub; limit: StreamLimit },
) {
  const { access, streams, windows, limit } = parts
  app.get(
    '/api/pageviews/stream',
    {
      onRequest: access.hook,
      // Without a body there is no end to wait for.
      exposeHeadRoute: false,
      schema: {
        summary: 'Watch windows close',
        description:
          'Server-sent events: `start`, then one message for each postcode of each window that closes. Who comes back with `Last-Event-ID` goes on behind the message with that id: it is sent what closed in between, and may be sent again what came after the last id. Windows of many postcodes have ids in their midst. With `LATE_POLICY=revise` a late event sends the aggregate again, with `revision` (from 1 on) and `delta` (page views that were added). `reset` when that is too long ago: read `/api/pageviews/aggregates`.',
        tags: ['streams'],
        response: {
          200: {
            description: 'Each `data` of a message is an aggregate',
            content: { 'text/event-stream': { schema: LiveAggregate } },
          },
          ...problems(401, 403, 429, 503),
        },
      },
    },
    async (request, reply) => {
      const { clientKrn } = access.callerOf(request)
      const definition = await requireStream(streams, clientKrn, PAGEVIEWS)
      const stream = limit.createStream(request, reply)
      const lastId = request.headers['last-event-id']
      await windows.subscribe(
        {
          clientKrn,
          streamName: PAGEVIEWS,
          toMessage: (aggregate, revision) => ({ ...showAggregate(definition, aggregate), ...revision }),
          stream,
        },
        typeof lastId === 'string' ? lastId : undefined,
      )
    },
  )
}

/** Questions about any stream of a client. */
export function registerStreamQueries(app: App, parts: QueryRoutes): void {
  const { auth, streams, pool } = parts
  app.get(
    '/clients/:clientKrn/streams/:stream/aggregates',
    {
      onRequest: [auth.required, sameClient],
      schema: {
        summary: 'Read the aggregates of a stream',
        description: DESCRIPTION,
        tags: ['streams'],
        security: [{ bearer: [] }],
        params: StreamParams,
        querystring: AggregateQuery,
        response: { 200: Type.Array(AnyAggregate), ...problems(400, 401, 403, 404, 429, 503) },
      },
      serializerCompiler: () => JSON.stringify,
    },
    async (request, reply) => {
      const { clientKrn, stream } = request.params
      const definition = await requireStream(streams, clientKrn, stream)
      return (await answerAggregates(
        pool,
        clientKrn,
        definition,
        request.query,
        'key',
        request,
        reply,
      )) as never
    },
  )
}

/** @param keyField what the parameter for the key is called */
async function answerAggregates(
  pool: Pool,
  clientKrn: string,
  definition: StreamDefinition,
  query: Static<typeof AggregateQuery>,
  keyField: string,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<Record<string, string | number | boolean>[]> {
  const { name: stream, rule } = definition
  const { from, to, step, limit = 1_000, after } = query
  const key = query.key === undefined ? undefined : requireKey(definition, query.key, keyField)
  const stepMs = readStep(step, rule.windowMs)
  if (stepMs !== undefined && key === undefined)
    throw invalidRequest([{ field: 'step', message: `is for one key: add ${keyField}` }])
  const isMerged = stepMs !== undefined && key !== undefined && rule.measures.includes('distinct')
  const maxMs = isMerged ? MAX_MERGED_WINDOWS * rule.windowMs : Infinity
  const range = readRange({ ...(from && { from }), ...(to && { to }) }, Date.now(), maxMs)
  const asked = { clientKrn, stream, ...range }
  const cursor = after === undefined ? undefined : decodeWindowCursor(after)
  const found = isMerged
    ? await listMergedSteps(pool, { ...asked, key, stepMs }, rule, { limit: limit + 1, afterMs: cursor?.ms })
    : await listAggregates(pool, { ...asked, key, stepMs }, rule.measures, {
        limit: limit + 1,
        after: cursor,
      })
  const page = found.slice(0, limit)
  if (page.length < found.length) {
    const { startMs, key: last } = page.at(-1)!
    linkNext(request, reply, encodeWindowCursor(startMs, last))
  }
  return page.map((aggregate) => showAggregate(definition, aggregate))
}

/** Otherwise a key that is written wrongly would be answered like one that nothing was counted for. */
function requireKey({ readKey, declaration }: StreamDefinition, text: string, field: string): string {
  const key = readKey(text)
  if (key !== undefined) return key
  throw invalidRequest([{ field, message: `must be a JSON array with ${declaration.key.join(', ')}` }])
}
