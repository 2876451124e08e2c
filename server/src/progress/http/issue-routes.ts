import { Readable } from 'node:stream'
import type { onRequestHookHandler } from 'fastify'
import Type from 'typebox'
import { csvLine } from '../../platform/csv.ts'
import type { App } from '../../platform/http/app.ts'
import { LimitSchema, linkNext } from '../../platform/http/paging.ts'
import { problems } from '../../platform/http/problem.ts'
import type { IssueKind } from '../record.ts'
import type { ProgressRecord, RecordStore } from '../store.ts'
import { findRecord, type ProgressRoutes } from './routes.ts'
import { IssueSchema, RecordParams } from './schema.ts'

const CSV_CHUNK = 5_000

/** All errors and warnings of a record: paged as JSON, whole as CSV. */
export function registerIssueRoutes(
  app: App,
  { store, read }: Pick<ProgressRoutes, 'store'> & { read: onRequestHookHandler[] },
): void {
  for (const kind of ['errors', 'warnings'] as const) {
    app.get(
      `/clients/:clientKrn/progress/:id/${kind}`,
      {
        onRequest: read,
        schema: {
          summary: `Read all ${kind} of a record`,
          description: `Oldest first, page by page. The whole list as CSV is at \`${kind}.csv\`.`,
          tags: ['progress'],
          params: RecordParams,
          querystring: Type.Object({
            limit: LimitSchema(1_000, 10_000),
            after: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, default: 0 })),
          }),
          response: { 200: Type.Array(IssueSchema), ...problems(400, 404) },
        },
      },
      async (request, reply) => {
        const record = await findRecord(store, request.params)
        const { limit = 1_000, after = 0 } = request.query
        const [issues = []] = await store.issues([{ recordId: record.id, kind, after, upTo: after + limit }])
        const last = issues.at(-1)
        if (last && last.ordinal < record[`${kind}Total`]) linkNext(request, reply, String(last.ordinal))
        return issues.map(({ line, message }) => ({ line, message }))
      },
    )

    app.get(
      `/clients/:clientKrn/progress/:id/${kind}.csv`,
      {
        onRequest: read,
        schema: {
          summary: `Download all ${kind} of a record as CSV`,
          tags: ['progress'],
          params: RecordParams,
        },
      },
      async (request, reply) => {
        const record = await findRecord(store, request.params)
        return reply.send(csvReply(reply, store, record, kind))
      },
    )
  }
}

function csvReply(
  reply: { header(name: string, value: string): unknown },
  store: RecordStore,
  record: ProgressRecord,
  kind: IssueKind,
): Readable {
  reply.header('content-type', 'text/csv; charset=utf-8; header=present')
  reply.header('content-disposition', `attachment; filename="${kind}.csv"`)
  return Readable.from(csvOf(store, record, kind), { objectMode: false })
}

/** Reads on only as fast as the reader takes it. */
async function* csvOf(store: RecordStore, record: ProgressRecord, kind: IssueKind): AsyncGenerator<string> {
  yield csvLine(['line', 'message'])
  const total = record[`${kind}Total`]
  for (let after = 0; after < total; after += CSV_CHUNK) {
    const upTo = Math.min(total, after + CSV_CHUNK)
    const [issues = []] = await store.issues([{ recordId: record.id, kind, after, upTo }])
    yield issues.map(({ line, message }) => csvLine([line, message])).join('')
  }
}
