import type { Pool } from 'pg'
import Type from 'typebox'
import type { JobAccess } from '../../jobs/caller.ts'
import type { App } from '../../platform/http/app.ts'
import { type AuthHooks, sameClient } from '../../platform/http/auth.ts'
import { problems } from '../../platform/http/problem.ts'
import type { EventLog } from '../log/log.ts'
import { requireStream, StreamParams, type Streams } from '../streams.ts'
import { balanceOf } from './balance.ts'
import { countStreamBooks } from './balance-postgres.ts'

export interface BalanceRoutes {
  access: JobAccess
  auth: AuthHooks
  streams: Streams
  pool: Pool
  /** Whether events are archived, so that the books tell of it. */
  isArchived: boolean
  eventLog: EventLog
}

const BalanceSchema = Type.Object({
  stream: Type.String(),
  received: Type.Integer({ description: 'Events that were taken in: `counted + late + open + inFlight`.' }),
  counted: Type.Integer({ description: 'Events in windows that closed.' }),
  late: Type.Integer({ description: 'Events whose window had closed. They are kept.' }),
  revised: Type.Integer({
    description:
      'Late events that were added to their aggregate, with LATE_POLICY=revise; the others are in none.',
  }),
  open: Type.Integer({ description: 'Events in windows that are still open.' }),
  inFlight: Type.Integer({ description: 'Events in the log that were not looked at yet, counted there.' }),
  archived: Type.Union([Type.Integer(), Type.Null()], {
    description:
      'Events in objects; null when nothing is archived. `received` is also `archived + neverArchived + archiveInFlight`.',
  }),
  neverArchived: Type.Union([Type.Integer(), Type.Null()], {
    description: 'Events that left the log while nothing was archived.',
  }),
  archiveInFlight: Type.Union([Type.Integer(), Type.Null()], {
    description: 'Events in the log that are in no object yet, counted there.',
  }),
  balanced: Type.Boolean({ description: 'Log, aggregator, archiver and tables say the same.' }),
  differences: Type.Array(Type.String(), { description: 'Every number that does not fit.' }),
})

const BALANCE =
  'Compares what was taken in with what became of it, at one instant, also while events come in. With `recount=true` the aggregates are counted one by one, too.'
const BalanceQuery = Type.Object({
  recount: Type.Optional(
    Type.Enum(['true', 'false'], { description: 'Counts each aggregate.', default: 'false' }),
  ),
})

/** The books of a stream of the caller's client. */
export function registerOwnBalance(app: App, parts: BalanceRoutes): void {
  app.get(
    '/api/streams/:stream/balance',
    {
      onRequest: parts.access.hook,
      schema: {
        summary: 'Check the books of a stream',
        description: BALANCE,
        tags: ['streams'],
        params: Type.Object({ stream: StreamParams.properties.stream }),
        querystring: BalanceQuery,
        response: { 200: BalanceSchema, ...problems(400, 401, 403, 404, 503) },
      },
      serializerCompiler: () => JSON.stringify,
    },
    async (request) => {
      const { clientKrn } = parts.access.callerOf(request)
      return readBalance(parts, clientKrn, request.params.stream, request.query.recount === 'true')
    },
  )
}

/** The same, with the client in the path. */
export function registerClientBalance(app: App, parts: BalanceRoutes): void {
  app.get(
    '/clients/:clientKrn/streams/:stream/balance',
    {
      onRequest: [parts.auth.required, sameClient],
      schema: {
        summary: 'Check the books of a stream of a client',
        description: BALANCE,
        tags: ['streams'],
        security: [{ bearer: [] }],
        params: StreamParams,
        querystring: BalanceQuery,
        response: { 200: BalanceSchema, ...problems(400, 401, 403, 404, 429, 503) },
      },
      serializerCompiler: () => JSON.stringify,
    },
    async (request) => {
      const { clientKrn, stream } = request.params
      return readBalance(parts, clientKrn, stream, request.query.recount === 'true')
    },
  )
}

async function readBalance(
  { streams, pool, eventLog, isArchived }: BalanceRoutes,
  clientKrn: string,
  stream: string,
  isRecount: boolean,
) {
  await requireStream(streams, clientKrn, stream)
  const asked = { clientKrn, stream, isRecount, isArchived }
  return { stream, ...balanceOf(await countStreamBooks(pool, eventLog, asked)) }
}
