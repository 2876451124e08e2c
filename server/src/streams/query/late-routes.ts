import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Pool } from 'pg'
import Type, { type Static } from 'typebox'
import type { App } from '../../platform/http/app.ts'
import { sameClient } from '../../platform/http/auth.ts'
import {
  CursorSchema,
  decodeCursor,
  encodeCursor,
  LimitSchema,
  linkNext,
} from '../../platform/http/paging.ts'
import { problems } from '../../platform/http/problem.ts'
import { PAGEVIEWS } from '../declaration.ts'
import { requireStream, StreamParams } from '../streams.ts'
import { type LateCursor, listLate } from './late-postgres.ts'
import { RangeQuery, readRange, showStart } from './query.ts'
import type { QueryRoutes } from './query-routes.ts'

const LateEvent = Type.Object({
  window_start: Type.String({ description: 'UTC, as in `2021-01-26T14:44:00`: the window that had closed.' }),
  seen_at: Type.String({ format: 'date-time', description: 'When that was found.' }),
  revised: Type.Boolean({ description: 'It was added to the aggregate of its key.' }),
  event: Type.Object({}, { additionalProperties: true, description: 'As it was sent.' }),
})

const LateQuery = Type.Object({ ...RangeQuery.properties, limit: LimitSchema(1_000), after: CursorSchema })
const DESCRIPTION = 'In the order of their windows. The next page is in the `Link` header.'

/** Page views that came too late. */
export function registerLatePageviews(app: App, { access, streams, pool }: QueryRoutes): void {
  app.get(
    '/api/pageviews/late',
    {
      onRequest: access.hook,
      schema: {
        summary: 'Read page views that came too late',
        description: DESCRIPTION,
        tags: ['streams'],
        querystring: LateQuery,
        response: { 200: Type.Array(LateEvent), ...problems(400, 401, 403, 503) },
      },
      serializerCompiler: () => JSON.stringify,
    },
    async (request, reply) => {
      const { clientKrn } = access.callerOf(request)
      await requireStream(streams, clientKrn, PAGEVIEWS)
      return answerLate(pool, clientKrn, PAGEVIEWS, request.query, request, reply)
    },
  )
}

/** The same of any stream of a client. */
export function registerLateEvents(app: App, { auth, streams, pool }: QueryRoutes): void {
  app.get(
    '/clients/:clientKrn/streams/:stream/late',
    {
      onRequest: [auth.required, sameClient],
      schema: {
        summary: 'Read events of a stream that came too late',
        description: DESCRIPTION,
        tags: ['streams'],
        security: [{ bearer: [] }],
        params: StreamParams,
        querystring: LateQuery,
        response: { 200: Type.Array(LateEvent), ...problems(400, 401, 403, 404, 429, 503) },
      },
      serializerCompiler: () => JSON.stringify,
    },
    async (request, reply) => {
      const { clientKrn, stream } = request.params
      await requireStream(streams, clientKrn, stream)
      return answerLate(pool, clientKrn, stream, request.query, request, reply)
    },
  )
}

async function answerLate(
  pool: Pool,
  clientKrn: string,
  stream: string,
  { limit = 1_000, after, ...query }: Static<typeof LateQuery>,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<Static<typeof LateEvent>[]> {
  const range = readRange(query, Date.now())
  const found = await listLate(
    pool,
    { clientKrn, stream, ...range },
    { limit: limit + 1, after: after === undefined ? undefined : cursorOf(after) },
  )
  const page = found.slice(0, limit)
  const last = page.at(-1)
  if (last && page.length < found.length)
    linkNext(request, reply, encodeCursor([last.startMs, last.partition, last.offset]))
  return page.map(({ startMs, seenAt, isRevision, payload }) => ({
    window_start: showStart(startMs),
    seen_at: seenAt.toISOString(),
    revised: isRevision,
    event: JSON.parse(payload),
  }))
}

/** @throws PebblesError `invalid_request` */
function cursorOf(text: string): LateCursor {
  const [ms, partition, offset] = decodeCursor(text, (parts): parts is [number, number, number] => {
    if (!Array.isArray(parts) || parts.length !== 3) return false
    const [ms, partition, offset] = parts
    const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0
    return isCount(ms) && ms < Date.UTC(10_000) && isCount(partition) && partition < 32_768 && isCount(offset)
  })
  return { ms, partition, offset }
}
