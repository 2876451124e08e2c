import Type from 'typebox'
import type { App } from '../../platform/http/app.ts'
import {
  CursorSchema,
  decodeCursor,
  encodeCursor,
  LimitSchema,
  linkNext,
} from '../../platform/http/paging.ts'
import { problems } from '../../platform/http/problem.ts'
import { PAGEVIEWS } from '../declaration.ts'
import { requireStream } from '../streams.ts'
import { type LateCursor, listLate } from './late-postgres.ts'
import { RangeQuery, readRange, showStart } from './query.ts'
import type { QueryRoutes } from './query-routes.ts'

const LateEvent = Type.Object({
  window_start: Type.String({ description: 'UTC, as in `2021-01-26T14:44:00`: the window that had closed.' }),
  seen_at: Type.String({ format: 'date-time', description: 'When that was found.' }),
  revised: Type.Boolean({ description: 'It was added to the aggregate of its postcode.' }),
  event: Type.Object({}, { additionalProperties: true, description: 'As it was sent.' }),
})

/** Page views that came too late. */
export function registerLateQueries(app: App, { access, streams, pool }: QueryRoutes): void {
  app.get(
    '/api/pageviews/late',
    {
      onRequest: access.hook,
      schema: {
        summary: 'Read page views that came too late',
        description: 'In the order of their windows. The next page is in the `Link` header.',
        tags: ['streams'],
        querystring: Type.Object({
          ...RangeQuery.properties,
          limit: LimitSchema(1_000),
          after: CursorSchema,
        }),
        response: { 200: Type.Array(LateEvent), ...problems(400, 401, 403, 503) },
      },
      serializerCompiler: () => JSON.stringify,
    },
    async (request, reply) => {
      const { clientKrn } = access.callerOf(request)
      await requireStream(streams, clientKrn, PAGEVIEWS)
      const { limit = 1_000, after, ...query } = request.query
      const range = readRange(query, Date.now())
      const found = await listLate(
        pool,
        { clientKrn, stream: PAGEVIEWS, ...range },
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
    },
  )
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
