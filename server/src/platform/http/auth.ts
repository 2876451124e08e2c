import type { FastifyRequest, onRequestHookHandler } from 'fastify'
import { PebblesError } from '../errors.ts'
import type { Identity } from '../tokens/identity.ts'
import type { TokenVerifier } from '../tokens/token-verifier.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who calls; set by the hooks below, before the body is read. */
    identity: Identity | null
  }
}

export interface AuthHooks {
  /** Refuses a request without a valid bearer token (401). */
  required: onRequestHookHandler
  /** Lets a request without a token through; a token that is there must be valid. */
  optional: onRequestHookHandler
}

/** RFC 6750: the token travels in `Authorization: Bearer …` and nowhere else. */
export function createAuthHooks(verifier: TokenVerifier): AuthHooks {
  const optional: onRequestHookHandler = (request, _reply, done) => {
    const header = request.headers.authorization
    if (header === undefined) return done()
    const token = /^bearer +([^ ]+)$/i.exec(header)?.[1]
    if (!token)
      return done(new PebblesError('unauthorized', 'The Authorization header is not "Bearer <token>".'))
    try {
      const identity = verifier.verify(token)
      if (!(identity instanceof Promise)) {
        request.identity = identity
        return done()
      }
      identity.then((verified) => {
        request.identity = verified
        done()
      }, done)
    } catch (error) {
      done(error as Error)
    }
  }
  const required: onRequestHookHandler = function (request, reply, done) {
    if (request.headers.authorization === undefined) {
      return done(new PebblesError('unauthorized', 'There is no bearer token.'))
    }
    optional.call(this, request, reply, done)
  }
  return { required, optional }
}

/** The caller, on routes behind {@link AuthHooks.required}. */
export function callerOf(request: FastifyRequest): Identity {
  if (request.identity === null) throw new Error('a route that needs a caller is not behind the auth hook')
  return request.identity
}

/**
 * Behind one of the hooks above, on paths with `:clientKrn`: a token that names a client speaks for that client only
 * (403). A hook, so that the body is not read, nor the other client's rate used up.
 */
export const sameClient: onRequestHookHandler = (request, _reply, done) => {
  const { clientKrn } = request.params as { clientKrn: string }
  const client = request.identity?.client
  if (client === undefined || client === clientKrn) done()
  else done(new PebblesError('forbidden', 'The token is for another client.'))
}
