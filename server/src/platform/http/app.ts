import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import cors from '@fastify/cors'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  LogController,
  type RawServerDefault,
} from 'fastify'
import type { Registry } from 'prom-client'
import Type from 'typebox'
import manifest from '../../../package.json' with { type: 'json' }
import { PebblesError } from '../errors.ts'
import { measureRequests } from '../telemetry/request-durations.ts'
import { parseJson } from './json.ts'
import { answerErrorsAsProblems, asPebblesError, sendProblem } from './problem.ts'
import { answerUnreadable } from './unreadable.ts'
import { validatorCompiler } from './validation.ts'

export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>

/** Largest JSON body, in bytes. */
export const MAX_BODY_BYTES = 4 * 1024 * 1024

/** Told in the OpenAPI of every write; read by `idempotencyKeyOf`. */
const IdempotencyHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 255,
      description:
        'Printable ASCII. The same key and request again gets the stored outcome; with another request 422.',
    }),
  ),
})

export interface BareAppOptions {
  log: FastifyBaseLogger
  /** Where the time that requests take is measured. */
  registry: Registry
}

export interface AppOptions extends BareAppOptions {
  corsOrigin?: string | undefined
}

/**
 * The HTTP server without its routes: strict JSON, schemas that coerce nothing, problem+json for every error. Its
 * routes are documented nowhere and called by no browser.
 */
export function createBareApp({ log, registry }: BareAppOptions): App {
  const app: App = Fastify({
    loggerInstance: log,
    // A line per request would cost more than the request; failures are logged where they are answered.
    logController: new LogController({ disableRequestLogging: true }),
    // A logger per request costs more than the request's own work; who logs names the request.
    childLoggerFactory: (logger) => logger,
    bodyLimit: MAX_BODY_BYTES,
    keepAliveTimeout: 65_000,
    // Longer than two heartbeats of a live view; whoever says nothing for so long in the middle of a body has gone.
    connectionTimeout: 120_000,
    forceCloseConnections: 'idle',
    return503OnClosing: true,
    routerOptions: { maxParamLength: 4096, caseSensitive: true },
    frameworkErrors: (error, _request, reply) => {
      void sendProblem(reply as unknown as FastifyReply, asPebblesError(error))
    },
    clientErrorHandler: answerUnreadable,
  }).withTypeProvider<TypeBoxTypeProvider>()

  app.setValidatorCompiler(validatorCompiler)
  app.decorateRequest('identity', null)
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      done(null, parseJson(body as Buffer))
    } catch (error) {
      done(error as Error)
    }
  })
  answerErrorsAsProblems(app as unknown as FastifyInstance)
  endConnectionsOnClose(app)
  measureRequests(app as unknown as FastifyInstance, registry)
  return app
}

/** The same for the API, with OpenAPI 3.1 at `/openapi.json`, readable at `/docs`, and CORS. */
export async function createApp({ corsOrigin, ...options }: AppOptions): Promise<App> {
  const app = createBareApp(options)
  if (corsOrigin) {
    await app.register(cors, {
      origin: corsOrigin,
      methods: ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'],
      exposedHeaders: [
        'etag',
        'link',
        'retry-after',
        'idempotency-replayed',
        'location',
        'ratelimit-limit',
        'ratelimit-remaining',
        'ratelimit-reset',
      ],
    })
  }
  // What names no parameters of the query has none. Probes, Prometheus and browsers may ask theirs with any.
  app.addHook('onRoute', (route) => {
    if (/^\/(api|clients)\//.test(route.url)) route.schema = { querystring: Type.Object({}), ...route.schema }
  })
  await app.register(swagger, {
    transform: ({ schema, url, route }) => ({
      url,
      schema: route.method === 'POST' ? { ...schema, headers: IdempotencyHeaders } : schema,
    }),
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Pebbles',
        version: manifest.version,
        description: 'Counts every update, row and event exactly once, and shows the count while it moves.',
      },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } } },
    },
  })
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger())
  await app.register(swaggerUi, { routePrefix: '/docs' })
  return app
}

/** Time that requests under way get to end once the server stops. */
const DRAIN_MS = 10_000

/**
 * Node's `close` waits for each connection that is not idle, and one that has not carried a request yet does not count
 * as idle: browsers open such connections ahead, and each would hold the stop back for a minute.
 */
function endConnectionsOnClose(app: App): void {
  const unused = new Set<Socket>()
  app.server.on('connection', (socket) => {
    unused.add(socket)
    socket.once('close', () => unused.delete(socket))
  })
  app.server.on('request', ({ socket }) => unused.delete(socket))
  app.addHook('preClose', async () => {
    for (const socket of unused) socket.destroy()
    setTimeout(() => app.server.closeAllConnections(), DRAIN_MS).unref()
  })
}

/** Starts to listen and tells the address, with the port that was really taken. */
export async function listen(app: App, host: string, port: number): Promise<string> {
  try {
    await app.listen({ host, port })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EADDRINUSE') {
      throw new PebblesError(
        'in_use',
        `Port ${port} on ${host} is taken. Set PORT to another one, or to 0.`,
        {
          cause: error,
        },
      )
    }
    throw error
  }
  const address = app.server.address()
  const actualPort = typeof address === 'object' && address ? address.port : port
  return `http://${host.includes(':') ? `[${host}]` : host}:${actualPort}`
}
