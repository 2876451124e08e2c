import type { FastifyBaseLogger, FastifyError, FastifyInstance, FastifyReply } from 'fastify'
import Type, { type Static } from 'typebox'
import { codeOfStatus, type ErrorCode, PebblesError } from '../errors.ts'
import { createRepeats } from '../repeats.ts'

/** A refusal as callers see it: RFC 9457, with `code` and, for bad input, every bad field. */
export const ProblemSchema = Type.Object(
  {
    type: Type.String({ description: 'Identifies the kind of problem; the same for the same `code`.' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    code: Type.String(),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          field: Type.String({ description: 'Path of the field, such as `errors[3].line`.' }),
          message: Type.String(),
        }),
      ),
    ),
  },
  { description: 'A problem (RFC 9457)' },
)

export type Problem = Static<typeof ProblemSchema>

export function toProblem(error: PebblesError): Problem {
  return {
    type: `urn:pebbles:problem:${error.code}`,
    title: error.title,
    status: error.status,
    detail: error.message,
    code: error.code,
    ...(error.faults.length > 0 && { errors: error.faults }),
  }
}

/** The OpenAPI responses of a route: its own, and the problems that it can answer. */
export function problems(...statuses: number[]) {
  const content = { 'application/problem+json': { schema: ProblemSchema } }
  return Object.fromEntries(statuses.map((status) => [status, { description: 'Problem', content }]))
}

/**
 * Logs refusals that are no fault of the caller: of what is away or too busy, which refuses one request after another
 * with one of few messages, once a minute.
 */
export function createFailureLog() {
  const repeats = createRepeats()
  return (log: FastifyBaseLogger, problem: PebblesError, about: object, message: string): void => {
    if (problem.status === 503)
      repeats.tell(problem.message, (untold) => log.error({ ...about, untold }, message))
    else if (problem.status >= 500) log.error(about, message)
  }
}

/** Answers every error as problem+json. What happened inside goes to the log, never to the caller. */
export function answerErrorsAsProblems(app: FastifyInstance): void {
  const logFailure = createFailureLog()

  app.setErrorHandler((error: unknown, request, reply) => {
    const problem = asPebblesError(error)
    const about = { err: error, code: problem.code, route: request.routeOptions.url, requestId: request.id }
    logFailure(request.log, problem, about, 'request failed')
    // Fastify would close, and a sender in the midst of its body meet a reset before it has read why. Left open, the
    // rest of the body is thrown away as it comes.
    if (error instanceof Error && 'code' in error && error.code === BODY_TOO_LARGE)
      reply.removeHeader('connection')
    sendProblem(reply, problem)
  })
  app.setNotFoundHandler((_request, reply) =>
    sendProblem(reply, new PebblesError('not_found', 'There is nothing at this path and method.')),
  )
}

export function sendProblem(reply: FastifyReply, error: PebblesError): FastifyReply {
  if (error.retryAfterSeconds !== undefined) reply.header('retry-after', error.retryAfterSeconds)
  if (error.code === 'unauthorized') reply.header('www-authenticate', 'Bearer')
  return reply
    .code(error.status)
    .header('content-type', 'application/problem+json; charset=utf-8')
    .serializer(JSON.stringify)
    .send(toProblem(error))
}

const BODY_TOO_LARGE = 'FST_ERR_CTP_BODY_TOO_LARGE'

/** What libraries say in their own words, said in ours. */
const LIBRARY_ERRORS: Record<string, [ErrorCode, string]> = {
  [BODY_TOO_LARGE]: ['too_large', 'The body is larger than is accepted here.'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [
    'unsupported_media_type',
    'This content type is not understood here. JSON is sent with “Content-Type: application/json”.',
  ],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['invalid_json', 'The body is empty.'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['invalid_request', 'The body is not as long as Content-Length says.'],
  FST_ERR_BAD_URL: ['invalid_request', 'The path is not validly percent-encoded.'],
  FST_ERR_VALIDATION: ['invalid_request', 'The request is not valid.'],
}

export function asPebblesError(error: unknown): PebblesError {
  if (error instanceof PebblesError) return error
  const { code = '', statusCode } = error as Partial<FastifyError>
  const known = LIBRARY_ERRORS[code]
  if (known) return new PebblesError(known[0], known[1], { cause: error })
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    const mapped = codeOfStatus(statusCode)
    return new PebblesError(mapped, 'The request cannot be processed.', { cause: error })
  }
  return new PebblesError('internal', 'The request could not be processed.', { cause: error })
}
