import type { JobQueue } from '../jobs/queue/queue.ts'
import type { App } from '../platform/http/app.ts'
import type { Database } from '../platform/postgres/database.ts'

const READY_TIMEOUT_MS = 2_000

/**
 * `/health` and `/livez`: the process answers. `/readyz`: it can also do its work. Redis is told of, but decides
 * nothing: without it files are taken in all the same, and a 503 would keep them away from every instance at once.
 */
export function registerHealthRoutes(
  app: App,
  database: Database,
  queue: Pick<JobQueue, 'redisAnswers'>,
): void {
  for (const path of ['/health', '/livez']) {
    app.get(
      path,
      { schema: { summary: 'Is the process alive?', tags: ['operations'] } },
      async (_request, reply) => {
        return reply.type('text/plain; charset=utf-8').send('OK')
      },
    )
  }
  app.get(
    '/readyz',
    { schema: { summary: 'Can it do its work?', tags: ['operations'] } },
    async (request, reply) => {
      const asked = answers(database).catch((err: unknown) => {
        request.log.warn({ err }, 'not ready: the database does not answer')
        return false
      })
      const [isReady, redis] = await Promise.all([asked, queue.redisAnswers()])
      return reply
        .code(isReady ? 200 : 503)
        .send({ status: isReady ? 'ready' : 'not ready', database: isReady, redis })
    },
  )
}

async function answers({ pool }: Database): Promise<boolean> {
  await pool.query({ text: 'SELECT 1', query_timeout: READY_TIMEOUT_MS } as { text: string })
  return true
}
