import type { App } from '../../platform/http/app.ts'
import { problems } from '../../platform/http/problem.ts'
import { lastEventId } from '../../platform/http/sse.ts'
import type { StreamLimit } from '../../platform/http/stream-limit.ts'
import { isEnded } from '../job.ts'
import { requireJob } from '../read-model.ts'
import type { JobRoutes } from '../routes.ts'
import { JobParams, JobProgressSchema } from '../schema.ts'

export function registerStreamRoute(app: App, parts: JobRoutes, limit: StreamLimit): void {
  const { access, pool, live } = parts
  app.get(
    '/api/jobs/:id/stream',
    {
      onRequest: access.hook,
      // Without a body there is no end to wait for.
      exposeHeadRoute: false,
      schema: {
        summary: 'Watch a job',
        description:
          'Server-sent events: the job as it is, then each new state, at most one in 300 ms, until it has ended. Whoever comes back after the last one is answered 204, which ends an EventSource.',
        tags: ['jobs'],
        params: JobParams,
        response: {
          200: {
            description: 'Each `data` is the progress of the job',
            content: { 'text/event-stream': { schema: JobProgressSchema } },
          },
          204: { description: 'The job has ended, and the caller has seen it end' },
          ...problems(401, 403, 404, 429, 503),
        },
      },
    },
    async (request, reply) => {
      const { clientKrn } = access.callerOf(request)
      const { id } = request.params
      const job = await requireJob(pool, clientKrn, id)
      if (isEnded(job.status) && lastEventId(request) === job.sequence) return reply.code(204).send() as never
      const stream = limit.createStream(request, reply)
      await live.watch(id, stream, () => requireJob(pool, clientKrn, id))
    },
  )
}
