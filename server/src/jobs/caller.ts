import type { FastifyRequest, onRequestHookHandler } from 'fastify'
import { PebblesError } from '../platform/errors.ts'
import type { AuthHooks } from '../platform/http/auth.ts'

/** For whom, and by whom, a request about jobs is made. */
export interface Caller {
  clientKrn: string
  email: string
}

/** Whom a development server takes a request without a token, or a token without a client, to be from. */
const DEV: Caller = { clientKrn: 'krn:dev', email: 'dev@localhost' }

export interface JobAccess {
  hook: onRequestHookHandler
  /** @throws PebblesError `forbidden` for a token that names no client */
  callerOf(request: FastifyRequest): Caller
}

/** The client of a job is the one of the token: paths and bodies name none. */
export function createJobAccess(auth: AuthHooks, isDev: boolean): JobAccess {
  return {
    hook: isDev ? auth.optional : auth.required,
    callerOf({ identity }) {
      if (isDev) {
        return { clientKrn: identity?.client ?? DEV.clientKrn, email: identity?.email ?? DEV.email }
      }
      if (identity?.client === undefined) {
        throw new PebblesError(
          'forbidden',
          'The token names no client, so it is not known whose jobs are meant.',
        )
      }
      return { clientKrn: identity.client, email: identity.email }
    },
  }
}
