import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import Type from 'typebox'
import { PebblesError } from '../../platform/errors.ts'
import type { App } from '../../platform/http/app.ts'
import { type AuthHooks, sameClient } from '../../platform/http/auth.ts'
import {
  CursorSchema,
  decodeTimeCursor,
  encodeTimeCursor,
  LimitSchema,
  linkNext,
} from '../../platform/http/paging.ts'
import { problems } from '../../platform/http/problem.ts'
import { lastEventId } from '../../platform/http/sse.ts'
import { createStreamLimit, type StreamLimits } from '../../platform/http/stream-limit.ts'
import type { Ledger } from '../ledger.ts'
import type { LiveHub } from '../live/live.ts'
import type { ProgressRecord, RecordCursor, RecordStore } from '../store.ts'
import { registerAuditRoutes } from './audit-routes.ts'
import { registerBatchRoute } from './batch-route.ts'
import { registerIssueRoutes } from './issue-routes.ts'
import { cutPage, showRecords } from './read-model.ts'
import { ClientParams, LiveRecordSchema, RecordParams, RecordSchema } from './schema.ts'
import { registerUpdateRoute } from './update-route.ts'

export interface ProgressRoutes {
  ledger: Ledger
  store: RecordStore
  live: LiveHub
  auth: AuthHooks
  /** Progress can be read without a token. */
  isPublic: boolean
  /** How many live views are served. */
  streams: StreamLimits
}

/** Records of the snapshot with which a client's live view begins. */
const SNAPSHOT_RECORDS = 1_000

/** Everything below `/clients/{clientKrn}/progress`. */
export function registerProgressRoutes(app: App, parts: ProgressRoutes): void {
  const read = readAccess(parts)
  registerUpdateRoute(app, parts)
  registerBatchRoute(app, parts)
  registerIssueRoutes(app, { ...parts, read })
  registerAuditRoutes(app, { ...parts, read })
  registerListRoute(app, parts, read)
  registerStreamRoute(app, parts, read)
  registerRecordRoutes(app, parts, read)
}

/** Public unless PUBLIC_READ=false; a token that names a client then never reads another's records. */
function readAccess({ auth, isPublic }: ProgressRoutes): onRequestHookHandler[] {
  return isPublic ? [] : [auth.required, sameClient]
}

function registerListRoute(app: App, { store }: ProgressRoutes, read: onRequestHookHandler[]): void {
  app.get(
    '/clients/:clientKrn/progress',
    {
      onRequest: read,
      schema: {
        summary: 'Read progress',
        description:
          'All records of a client, newest update first, as a bare array; the next page is in the `Link` header. With `filename` one record, or 404.',
        tags: ['progress'],
        params: ClientParams,
        querystring: Type.Object({
          filename: Type.Optional(Type.String({ minLength: 1, maxLength: 1024 })),
          email: Type.Optional(Type.String({ minLength: 1, maxLength: 320 })),
          limit: LimitSchema(100),
          after: CursorSchema,
        }),
        response: {
          200: Type.Union([Type.Array(RecordSchema), RecordSchema]),
          ...problems(400, 404, 429),
        },
      },
      // A compiled serializer would first have to find out which of the two it was given.
      serializerCompiler: () => JSON.stringify,
    },
    async (request, reply) => {
      const { clientKrn } = request.params
      const { filename, email, limit = 100, after } = request.query
      if (filename !== undefined) {
        const [record] = await store.list({ clientKrn, filename, email }, { limit: 1 })
        if (!record) throw new PebblesError('not_found', 'There is no progress for this file.')
        return answerRecord(request, reply, store, record)
      }
      const found = await store.list(
        { clientKrn, email },
        { limit: limit + 1, after: after === undefined ? undefined : readCursor(after) },
      )
      const page = cutPage(found.slice(0, limit))
      if (page.length < found.length) linkNext(request, reply, cursorOf(page.at(-1)!))
      return showRecords(store, page)
    },
  )
}

async function answerRecord(
  request: FastifyRequest,
  reply: FastifyReply,
  store: RecordStore,
  record: ProgressRecord,
) {
  const etag = `"${record.sequence}"`
  reply.header('etag', etag)
  if (isKnown(request.headers['if-none-match'], etag)) return reply.code(304).send() as never
  const [shown] = await showRecords(store, [record])
  return shown!
}

/** RFC 9110 § 13.1.2: a list of tags, compared weakly; a proxy that compresses an answer makes its tag a weak one. */
function isKnown(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  const tags = ifNoneMatch.split(',').map((tag) => tag.trim().replace(/^W\//, ''))
  return tags.includes(etag) || tags.includes('*')
}

const cursorOf = ({ updatedAt, id }: ProgressRecord) => encodeTimeCursor(updatedAt, id)

function readCursor(cursor: string): RecordCursor {
  const { ms, id } = decodeTimeCursor(cursor)
  return { updatedAtMs: ms, id }
}

function registerStreamRoute(
  app: App,
  { store, live, streams }: ProgressRoutes,
  read: onRequestHookHandler[],
): void {
  const limit = createStreamLimit(streams)
  app.get(
    '/clients/:clientKrn/progress/stream',
    {
      onRequest: read,
      // Without a body there is no end to wait for.
      exposeHeadRoute: false,
      schema: {
        summary: 'Watch progress',
        description:
          'Server-sent events: the records as they are, then each new state, at most one per record and 300 ms. `id` is the record’s sequence.',
        tags: ['progress'],
        params: ClientParams,
        querystring: Type.Object({ filename: Type.Optional(Type.String({ minLength: 1, maxLength: 1024 })) }),
        response: {
          200: {
            description: 'Each `data` is a record',
            content: { 'text/event-stream': { schema: LiveRecordSchema } },
          },
          ...problems(400, 429, 503),
        },
      },
    },
    async (request, reply) => {
      const { clientKrn } = request.params
      const { filename } = request.query
      const seen = filename === undefined ? undefined : lastEventId(request)
      const stream = limit.createStream(request, reply)
      await live.subscribe({ clientKrn, filename, seen, stream }, async () => {
        const newestFirst = await store.list({ clientKrn, filename }, { limit: SNAPSHOT_RECORDS })
        return newestFirst.reverse()
      })
    },
  )
}

function registerRecordRoutes(app: App, { store }: ProgressRoutes, read: onRequestHookHandler[]): void {
  app.get(
    '/clients/:clientKrn/progress/:id',
    {
      onRequest: read,
      schema: {
        summary: 'Read one record by its id',
        tags: ['progress'],
        params: RecordParams,
        response: { 200: RecordSchema, ...problems(400, 404) },
      },
    },
    async (request, reply) => answerRecord(request, reply, store, await findRecord(store, request.params)),
  )
}

/** @throws PebblesError `not_found`, also when the record is another client's */
export async function findRecord(
  store: RecordStore,
  { clientKrn, id }: { clientKrn: string; id: string },
): Promise<ProgressRecord> {
  const [record] = await store.byIds([id])
  if (record?.clientKrn !== clientKrn) throw new PebblesError('not_found', 'There is no such record.')
  return record
}
