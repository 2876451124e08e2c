import type { onRequestHookHandler } from 'fastify'
import Type from 'typebox'
import type { App } from '../../platform/http/app.ts'
import { LimitSchema, linkNext } from '../../platform/http/paging.ts'
import { problems } from '../../platform/http/problem.ts'
import { findRecord, type ProgressRoutes } from './routes.ts'
import { EventSchema, RecordParams, RefusalSchema } from './schema.ts'

const PageQuery = Type.Object({
  limit: LimitSchema(100),
  after: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, default: 0 })),
})

/** What happened to a record: the updates that counted, and those of queues that did not. */
export function registerAuditRoutes(
  app: App,
  { store, read }: Pick<ProgressRoutes, 'store'> & { read: onRequestHookHandler[] },
): void {
  app.get(
    '/clients/:clientKrn/progress/:id/events',
    {
      onRequest: read,
      schema: {
        summary: 'Read the audit of a record',
        description:
          'Every applied update in order: who, when, from which channel, what. `after` is a sequence.',
        tags: ['progress'],
        params: RecordParams,
        querystring: PageQuery,
        response: { 200: Type.Array(EventSchema), ...problems(400, 404) },
      },
    },
    async (request, reply) => {
      const record = await findRecord(store, request.params)
      const { limit = 100, after = 0 } = request.query
      const events = await store.events(record.id, { limit, after })
      const last = events.at(-1)
      if (last && last.sequence < record.sequence) linkNext(request, reply, String(last.sequence))
      return events.map((event) => ({ ...event, email: record.email, at: event.at.toISOString() }))
    },
  )

  app.get(
    '/clients/:clientKrn/progress/:id/refusals',
    {
      onRequest: read,
      schema: {
        summary: 'Read the refused updates of a record',
        description:
          'Updates from queues and logs that were refused, in order: their senders were not told. `after` is an ordinal. Over HTTP a refusal is the answer, and is not kept.',
        tags: ['progress'],
        params: RecordParams,
        querystring: PageQuery,
        response: { 200: Type.Array(RefusalSchema), ...problems(400, 404) },
      },
    },
    async (request, reply) => {
      const record = await findRecord(store, request.params)
      const { limit = 100, after = 0 } = request.query
      const found = await store.refusals(record.id, { limit: limit + 1, after })
      const page = found.slice(0, limit)
      if (page.length < found.length) linkNext(request, reply, String(page.at(-1)!.ordinal))
      return page.map((refusal) => ({ ...refusal, at: refusal.at.toISOString() }))
    },
  )
}
