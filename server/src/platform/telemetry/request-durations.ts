import type { FastifyInstance } from 'fastify'
import { Histogram, type Registry } from 'prom-client'
import { isEventStream } from '../http/sse.ts'

/** From a request of the ledger to an upload of gigabytes. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120]

/**
 * Measures how long requests take, from the first byte of their head to the last of the answer, by the pattern of
 * their route: a path as it came names tenants and files, and would make a series for each. What no route answers is
 * counted under none. Live views are left out: they last as long as somebody looks.
 */
export function measureRequests(app: FastifyInstance, registry: Registry): void {
  const durations = new Histogram({
    name: 'pebbles_http_request_duration_seconds',
    help: 'Time to answer a request, by the pattern of its route; live views aside.',
    labelNames: ['method', 'route', 'status'],
    buckets: BUCKETS,
    registers: [registry],
  })
  app.addHook('onResponse', (request, reply, done) => {
    if (!isEventStream(reply)) {
      const labels = {
        method: request.method,
        route: request.routeOptions.url ?? '',
        status: reply.statusCode,
      }
      durations.observe(labels, reply.elapsedTime / 1000)
    }
    done()
  })
}
