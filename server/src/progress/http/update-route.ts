import { digest } from '../../platform/digest.ts'
import type { App } from '../../platform/http/app.ts'
import { callerOf, sameClient } from '../../platform/http/auth.ts'
import { idempotencyKeyOf } from '../../platform/http/idempotency.ts'
import { problems } from '../../platform/http/problem.ts'
import { invalidRequest } from '../../platform/http/validation.ts'
import { refusalError } from '../outcome.ts'
import type { UpdateId } from '../record.ts'
import { shownIssues } from './read-model.ts'
import type { ProgressRoutes } from './routes.ts'
import {
  ClientParams,
  findFaults,
  fingerprintOf,
  toUpdate,
  type UpdateBody,
  UpdateResultSchema,
  UpdateSchema,
} from './schema.ts'

export function registerUpdateRoute(app: App, { ledger, store, auth }: ProgressRoutes): void {
  app.post(
    '/clients/:clientKrn/progress',
    {
      onRequest: [auth.required, sameClient],
      schema: {
        summary: 'Report progress',
        description:
          'Adds one increment to the record of a file, which it creates when there is none. With an `Idempotency-Key` it counts once however often it is sent.',
        tags: ['progress'],
        security: [{ bearer: [] }],
        params: ClientParams,
        body: UpdateSchema,
        response: { 200: UpdateResultSchema, ...problems(400, 401, 403, 413, 415, 422, 429, 503) },
      },
    },
    async (request, reply) => {
      const { clientKrn } = request.params
      const { email } = callerOf(request)
      const faults = findFaults(request.body)
      if (faults.length > 0) throw invalidRequest(faults)
      const key = idempotencyKeyOf(request)
      const id = key === undefined ? undefined : updateId(clientKrn, email, key, request.body)

      const outcome = await ledger.submit(toUpdate(request.body, { clientKrn, email, channel: 'http', id }))
      if (!('totals' in outcome)) throw refusalError(outcome)
      const { result, recordId, totals, isReplay } = outcome
      if (isReplay) reply.header('idempotency-replayed', 'true')
      reply.header('etag', `"${totals.sequence}"`)
      if (result === 'created') reply.header('location', recordPath(clientKrn, recordId))
      const { filename } = request.body
      if (totals.errorsTotal === 0 && totals.warningsTotal === 0) {
        return { result, clientKrn, filename, ...totals, errors: [], warnings: [] }
      }
      const [issues] = await shownIssues(store, [{ recordId, ...totals }])
      return { result, clientKrn, filename, ...totals, ...issues! }
    },
  )
}

const recordPath = (clientKrn: string, id: string) =>
  `/clients/${encodeURIComponent(clientKrn)}/progress/${id}`

/** Keys are scoped to client and caller, so nobody can guess or spoil another's. */
export function updateId(clientKrn: string, email: string, key: string, body: UpdateBody): UpdateId {
  const id = digest('http', clientKrn, email, key)
  return { id, kind: 'request', fingerprint: fingerprintOf(body), key }
}
