import Type from 'typebox'
import type { App } from '../../platform/http/app.ts'
import { problems } from '../../platform/http/problem.ts'
import type { StreamLimit } from '../../platform/http/stream-limit.ts'
import type { JobRoutes } from '../routes.ts'
import { JobStateSchema, JobStatsSchema } from '../schema.ts'
import { readJobStats } from '../stats-postgres.ts'

/** What the caller's client has as a whole: counts, and a live view of all jobs. */
export function registerOverviewRoutes(app: App, parts: JobRoutes, limit: StreamLimit): void {
  const { access, pool, overview } = parts
  app.get(
    '/api/jobs/stats',
    {
      onRequest: access.hook,
      schema: {
        summary: 'Count jobs by status',
        tags: ['jobs'],
        response: { 200: JobStatsSchema, ...problems(401, 403, 503) },
      },
    },
    (request) => readJobStats(pool, access.callerOf(request).clientKrn),
  )
  app.get(
    '/api/jobs/stream',
    {
      onRequest: access.hook,
      // Without a body there is no end to wait for.
      exposeHeadRoute: false,
      schema: {
        summary: 'Watch all jobs',
        description: DESCRIPTION,
        tags: ['jobs'],
        response: {
          200: {
            description: 'Each `data` is one of these, as `event` tells',
            content: { 'text/event-stream': { schema: OverviewMessageSchema } },
          },
          ...problems(401, 403, 429, 503),
        },
      },
    },
    async (request, reply) => {
      const { clientKrn } = access.callerOf(request)
      await overview.watch(clientKrn, limit.createStream(request, reply))
    },
  )
}

const DESCRIPTION = `Server-sent events. \`snapshot\`: the newest 100 jobs and the cursor (\`?after=\`) behind them, at first and whenever changes may have been missed. \`job\`: a job that was created or has changed, at most once in 300 ms each. \`deleted\`: a job that is no more. \`stats\`: the counts, whenever they have changed. Of two states of a job the one with the higher \`sequence\` is newer.`

const OverviewMessageSchema = Type.Union([
  Type.Object({
    jobs: Type.Array(JobStateSchema),
    next: Type.Union([Type.String(), Type.Null()]),
  }),
  JobStateSchema,
  Type.Object({ jobId: Type.String({ format: 'uuid' }) }),
  JobStatsSchema,
])
