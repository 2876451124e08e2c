import multipart from '@fastify/multipart'
import type { FastifyInstance } from 'fastify'
import type { Pool } from 'pg'
import Type from 'typebox'
import type { App } from '../platform/http/app.ts'
import {
  CursorSchema,
  decodeTimeCursor,
  encodeTimeCursor,
  LimitSchema,
  linkNext,
} from '../platform/http/paging.ts'
import { problems } from '../platform/http/problem.ts'
import { createStreamLimit, type StreamLimits } from '../platform/http/stream-limit.ts'
import type { ObjectStore } from '../platform/objects/objects.ts'
import type { SigningKeys } from '../platform/postgres/signing-keys.ts'
import type { JobAccess } from './caller.ts'
import { registerControlRoutes } from './control/control-routes.ts'
import type { JobLiveHub } from './live/live.ts'
import type { JobOverviewHub } from './live/live-overview.ts'
import { registerOverviewRoutes } from './live/overview-routes.ts'
import { registerStreamRoute } from './live/stream-route.ts'
import { registerProofRoutes } from './proof/proof-routes.ts'
import type { Receipts } from './proof/receipt-postgres.ts'
import type { JobQueue } from './queue/queue.ts'
import { requireJob, showJobList, showJobWithErrors } from './read-model.ts'
import { listJobs } from './read-postgres.ts'
import { errorsDisposition, streamErrorsCsv } from './report/errors-csv.ts'
import { streamRawErrorsCsv } from './report/errors-raw-csv.ts'
import { JobParams, JobSchema, LISTED_ERRORS } from './schema.ts'
import { notMultipart } from './upload/upload.ts'
import { registerUploadRoute } from './upload/upload-route.ts'

export interface JobRoutes {
  access: JobAccess
  pool: Pool
  objects: ObjectStore
  queue: Pick<JobQueue, 'enqueue' | 'wake'>
  live: JobLiveHub
  overview: JobOverviewHub
  /** How many live views are served. */
  streams: StreamLimits
  maxUploadBytes: number
  /** A job is there, and its record in the ledger. */
  onCreated: (created: { jobId: string; clientKrn: string; recordId: string }) => void
  /** A job, and perhaps its record in the ledger, has changed or is gone. */
  onChanged: (changed: { jobId: string; clientKrn: string; recordId?: string }) => void
  /** Whoever works on a job shall look whether that is still wanted. */
  onStopped: (jobId: string) => void
  receipts: Receipts
  signingKeys: SigningKeys
}

/** Everything below `/api/jobs`, in a scope of its own: here a body is a form, not JSON. */
export async function registerJobRoutes(app: App, parts: JobRoutes): Promise<void> {
  const scope = app as unknown as FastifyInstance
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser('*', (_request, _body, done) => done(notMultipart()))
  await scope.register(multipart)
  registerUploadRoute(app, parts)
  registerListRoute(app, parts)
  registerJobRoute(app, parts)
  // One limit for all live views of jobs.
  const limit = createStreamLimit(parts.streams)
  registerOverviewRoutes(app, parts, limit)
  registerStreamRoute(app, parts, limit)
  registerErrorsRoute(app, parts)
  registerControlRoutes(app, parts)
  registerProofRoutes(app, parts)
}

function registerListRoute(app: App, { access, pool }: JobRoutes): void {
  app.get(
    '/api/jobs',
    {
      onRequest: access.hook,
      schema: {
        summary: 'List jobs',
        description: `Newest first, as a bare array; the next page is in the \`Link\` header. Each job has its first ${LISTED_ERRORS} \`errors\`; a page stays within about 4 MiB of them.`,
        tags: ['jobs'],
        querystring: Type.Object({ limit: LimitSchema(100), after: CursorSchema }),
        response: { 200: Type.Array(JobSchema), ...problems(400, 401, 403) },
      },
      serializerCompiler: () => JSON.stringify,
    },
    async (request, reply) => {
      const { clientKrn } = access.callerOf(request)
      const { limit = 100, after } = request.query
      const cursor = after === undefined ? undefined : decodeTimeCursor(after)
      const found = await listJobs(pool, clientKrn, { limit: limit + 1, after: cursor })
      const page = found.slice(0, limit)
      if (page.length < found.length) {
        const { createdAt, id } = page.at(-1)!
        linkNext(request, reply, encodeTimeCursor(createdAt, id))
      }
      return showJobList(pool, page)
    },
  )
}

function registerJobRoute(app: App, { access, pool }: JobRoutes): void {
  app.get(
    '/api/jobs/:id',
    {
      onRequest: access.hook,
      schema: {
        summary: 'Read a job',
        tags: ['jobs'],
        params: JobParams,
        response: { 200: JobSchema, ...problems(401, 403, 404) },
      },
      serializerCompiler: () => JSON.stringify,
    },
    async (request) => {
      const { clientKrn } = access.callerOf(request)
      return showJobWithErrors(pool, await requireJob(pool, clientKrn, request.params.id))
    },
  )
}

function registerErrorsRoute(app: App, { access, pool }: JobRoutes): void {
  app.get(
    '/api/jobs/:id/errors.csv',
    {
      onRequest: access.hook,
      schema: {
        summary: 'Download all refused rows of a job as CSV',
        description:
          '`rowNumber,<original columns>,error`. A cell that a spreadsheet would run as a formula begins with an apostrophe. Corrected and uploaded with `?parent=<id>`, the rows move from failed to done. With `raw=true` the bytes of each row as they stood in the file, in its delimiter and encoding. While a job runs: what is refused so far.',
        tags: ['jobs'],
        params: JobParams,
        querystring: Type.Object({
          raw: Type.Optional(
            Type.Enum(['true', 'false'], { description: 'The untouched rows.', default: 'false' }),
          ),
        }),
      },
    },
    async (request, reply) => {
      const { clientKrn } = access.callerOf(request)
      const job = await requireJob(pool, clientKrn, request.params.id)
      const isRaw = request.query.raw === 'true'
      const charset = isRaw ? (job.dialect?.encoding ?? 'utf-8') : 'utf-8'
      reply.header('content-type', `text/csv; charset=${charset}; header=present`)
      reply.header('content-disposition', errorsDisposition(job.filename))
      return reply.send(isRaw ? streamRawErrorsCsv(pool, job) : streamErrorsCsv(pool, job))
    },
  )
}
