import Type from 'typebox'
import type { App } from '../../platform/http/app.ts'
import { problems } from '../../platform/http/problem.ts'
import { requireJob, showJobWithErrors } from '../read-model.ts'
import type { JobRoutes } from '../routes.ts'
import { JobParams, JobSchema } from '../schema.ts'
import { cancelJob, retryJob } from './control-postgres.ts'
import { deleteJob } from './delete-postgres.ts'

/** Cancel, retry, delete. */
export function registerControlRoutes(app: App, parts: JobRoutes): void {
  const { access, pool, queue, objects, onChanged, onStopped } = parts
  const response = { 200: JobSchema, ...problems(401, 403, 404, 409, 503) }

  app.post(
    '/api/jobs/:id/cancel',
    {
      onRequest: access.hook,
      schema: {
        summary: 'Cancel a job',
        description: 'Pending or processing; else 409. Rows that are imported stay, and no more are.',
        tags: ['jobs'],
        params: JobParams,
        response,
      },
      serializerCompiler: () => JSON.stringify,
    },
    async (request) => {
      const { clientKrn } = access.callerOf(request)
      const { id } = await requireJob(pool, clientKrn, request.params.id)
      const { job, recordId } = await cancelJob(pool, { clientKrn, id })
      onStopped(id)
      onChanged({ jobId: id, clientKrn, recordId })
      return showJobWithErrors(pool, job)
    },
  )

  app.post(
    '/api/jobs/:id/retry',
    {
      onRequest: access.hook,
      schema: {
        summary: 'Retry a job',
        description: 'Failed or cancelled; else 409. It goes on behind the last row that was committed.',
        tags: ['jobs'],
        params: JobParams,
        response,
      },
      serializerCompiler: () => JSON.stringify,
    },
    async (request) => {
      const { clientKrn } = access.callerOf(request)
      const { id } = await requireJob(pool, clientKrn, request.params.id)
      const job = await retryJob(pool, queue, { clientKrn, id })
      queue.wake(id)
      onChanged({ jobId: id, clientKrn })
      return showJobWithErrors(pool, job)
    },
  )

  app.delete(
    '/api/jobs/:id',
    {
      onRequest: access.hook,
      schema: {
        summary: 'Delete a job',
        description:
          'Completed, failed or cancelled; else 409. Its file, refused rows and receipts go, with `rows=true` also the rows that it imported. Its record in the ledger stays. When this is interrupted, ask again.',
        tags: ['jobs'],
        params: JobParams,
        querystring: Type.Object({
          rows: Type.Optional(
            Type.Enum(['true', 'false'], { description: 'Whether imported rows go, too.', default: 'false' }),
          ),
        }),
        response: { 204: { description: 'It is gone' }, ...problems(400, 401, 403, 404, 409, 503) },
      },
    },
    async (request, reply) => {
      const { clientKrn } = access.callerOf(request)
      const { id } = await requireJob(pool, clientKrn, request.params.id)
      await deleteJob({ pool, objects }, { clientKrn, id }, { withRows: request.query.rows === 'true' })
      onStopped(id)
      onChanged({ jobId: id, clientKrn })
      return reply.code(204).send() as never
    },
  )
}
