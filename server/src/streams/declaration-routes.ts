import Type from 'typebox'
import type { App } from '../platform/http/app.ts'
import { type AuthHooks, callerOf, sameClient } from '../platform/http/auth.ts'
import { problems } from '../platform/http/problem.ts'
import { invalidRequest, validatorCompiler } from '../platform/http/validation.ts'
import { ClientParams } from '../progress/http/schema.ts'
import {
  checkStreamDeclaration,
  MAX_DECLARATION_BYTES,
  PAGEVIEWS,
  StreamDeclarationSchema,
} from './declaration.ts'
import { noSuchStream, type StoredStream, StreamParams, type Streams } from './streams.ts'

const StreamSchema = Type.Object({
  name: Type.String(),
  isBuiltIn: Type.Boolean({ description: 'Cannot be changed.' }),
  updatedAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
  ...StreamDeclarationSchema.properties,
})

/** Streams other than page views are declared, not programmed. */
export function registerDeclarationRoutes(app: App, parts: { auth: AuthHooks; streams: Streams }): void {
  const { auth, streams } = parts
  app.get(
    '/clients/:clientKrn/streams',
    {
      onRequest: [auth.required, sameClient],
      schema: {
        summary: 'List streams',
        description: 'All streams of a client: the built-in one, then those that it has declared, by name.',
        tags: ['streams'],
        security: [{ bearer: [] }],
        params: ClientParams,
        response: { 200: Type.Array(StreamSchema), ...problems(401, 403, 429, 503) },
      },
      serializerCompiler: () => JSON.stringify,
    },
    async (request) => (await streams.list(request.params.clientKrn)).map(show),
  )

  app.get(
    '/clients/:clientKrn/streams/:stream',
    {
      onRequest: [auth.required, sameClient],
      schema: {
        summary: 'Read a stream as it was declared',
        tags: ['streams'],
        security: [{ bearer: [] }],
        params: StreamParams,
        response: { 200: StreamSchema, ...problems(401, 403, 404, 429, 503) },
      },
      serializerCompiler: () => JSON.stringify,
    },
    async (request) => {
      const { clientKrn, stream } = request.params
      const found = await streams.find(clientKrn, stream)
      if (!found) throw noSuchStream(stream)
      return show(found)
    },
  )

  app.put(
    '/clients/:clientKrn/streams/:stream',
    {
      onRequest: [auth.required, sameClient],
      bodyLimit: MAX_DECLARATION_BYTES,
      schema: {
        summary: 'Declare a stream',
        description:
          'What an event is, and which aggregates are made of it. Sent again, the rules of fields may differ and fields be added; key, timestamp, window, grace and measures stay as they were declared.',
        tags: ['streams'],
        security: [{ bearer: [] }],
        params: StreamParams,
        body: StreamDeclarationSchema,
        response: { 200: StreamSchema, ...problems(400, 401, 403, 413, 415, 429, 503) },
      },
      validatorCompiler: (route) => (route.httpPart === 'body' ? checkBody : validatorCompiler(route)),
      serializerCompiler: () => JSON.stringify,
    },
    async (request) => {
      const { clientKrn, stream } = request.params
      if (stream === PAGEVIEWS) {
        const message = 'is the built-in stream, which cannot be changed'
        throw invalidRequest([{ field: 'stream', message }])
      }
      const { email } = callerOf(request)
      return show(await streams.put({ clientKrn, email }, stream, request.body))
    },
  )
}

function checkBody(value: unknown) {
  const faults = checkStreamDeclaration(value)
  return faults.length === 0 ? { value } : { error: invalidRequest(faults) }
}

function show({ name, declaration, updatedAt }: StoredStream) {
  return { name, isBuiltIn: name === PAGEVIEWS, updatedAt: updatedAt?.toISOString() ?? null, ...declaration }
}
