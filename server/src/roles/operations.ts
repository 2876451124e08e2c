import type { FastifyBaseLogger } from 'fastify'
import type { Config } from '../config.ts'
import { type App, createBareApp, listen } from '../platform/http/app.ts'
import type { Log } from '../platform/log.ts'
import type { Metrics } from '../platform/telemetry/metrics.ts'
import type { Base } from './base.ts'
import type { Component } from './components.ts'
import {
  type Answer,
  actuatorHealthOf,
  actuatorReadinessOf,
  type Found,
  lookAtAll,
  readinessOf,
} from './health.ts'

export interface Listening extends AsyncDisposable {
  /** Where it listens, such as `http://127.0.0.1:8081`. */
  url: string
}

/** What a process without the role `api` answers, so that a supervisor and Prometheus can look at it as well. */
export async function startOperations(
  config: Config,
  base: Base,
  components: readonly Component[],
  log: Log,
): Promise<Listening> {
  await using opened = new AsyncDisposableStack()
  const app = createBareApp({ log: log as FastifyBaseLogger, registry: base.metrics.registry })
  opened.defer(() => app.close())
  registerOperationsRoutes(app, base.metrics, components)
  const url = await listen(app, config.HOST, config.PORT)
  const owned = opened.move()
  return { url, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** What looks at the components, each its own way. */
const LOOKS: readonly [path: string, summary: string, answer: (found: readonly Found[]) => Answer][] = [
  ['/readyz', 'Can it do its work?', readinessOf],
  ['/actuator/health', 'How is all that it needs and does?', actuatorHealthOf],
  ['/actuator/health/readiness', 'Can it do its work? As Spring Boot tells it', actuatorReadinessOf],
]

/**
 * `/health`, `/livez`, `/actuator/health/liveness`: the process answers. `/readyz`, `/actuator/health/readiness`: it can
 * also do its work. `/actuator/health`: all that it needs and does is well. `/metrics`: what it measures, also while the
 * database is away. None needs a token, and none names a tenant or a file.
 */
export function registerOperationsRoutes(
  app: App,
  metrics: Pick<Metrics, 'contentType' | 'text'>,
  components: readonly Component[],
): void {
  const tags = ['operations']
  for (const path of ['/health', '/livez']) {
    app.get(path, { schema: { summary: 'Is the process alive?', tags } }, async (_request, reply) => {
      return reply.type('text/plain; charset=utf-8').send('OK')
    })
  }
  app.get(
    '/actuator/health/liveness',
    { schema: { summary: 'Is the process alive? As Spring Boot tells it', tags } },
    async () => ({ status: 'UP' }),
  )
  for (const [path, summary, answer] of LOOKS) {
    app.get(path, { schema: { summary, tags } }, async (_request, reply) => {
      const { status, body } = answer(await lookAtAll(components))
      return reply.code(status).send(body)
    })
  }
  app.get(
    '/metrics',
    { schema: { summary: 'What is measured, for Prometheus', tags } },
    async (_request, reply) => {
      return reply.type(metrics.contentType).send(await metrics.text())
    },
  )
}
