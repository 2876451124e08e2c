import Type from 'typebox'
import { digest } from '../../platform/digest.ts'
import type { PebblesError } from '../../platform/errors.ts'
import type { App } from '../../platform/http/app.ts'
import { callerOf, sameClient } from '../../platform/http/auth.ts'
import { idempotencyKeyOf } from '../../platform/http/idempotency.ts'
import { asPebblesError, createFailureLog, problems, toProblem } from '../../platform/http/problem.ts'
import { invalidRequest, validatorCompiler } from '../../platform/http/validation.ts'
import type { Ledger } from '../ledger.ts'
import { refusalError } from '../outcome.ts'
import type { Update, UpdateId } from '../record.ts'
import type { ProgressRoutes } from './routes.ts'
import {
  type BatchItem,
  BatchItemSchema,
  BatchOutcomeSchema,
  ClientParams,
  checkBatchItem,
  MAX_BATCH_ITEMS,
  toUpdate,
} from './schema.ts'
import { updateId } from './update-route.ts'

const AnyItems = Type.Array(Type.Unknown(), { minItems: 1, maxItems: MAX_BATCH_ITEMS })

export function registerBatchRoute(app: App, { ledger, store, auth }: ProgressRoutes): void {
  const failureLog = createFailureLog()
  app.post(
    '/clients/:clientKrn/progress/batch',
    {
      onRequest: [auth.required, sameClient],
      schema: {
        summary: 'Report progress on many files at once',
        description:
          'One outcome per item, in order; a bad item harms no other. An item’s `id`, or else the request’s `Idempotency-Key` with the item’s place, makes it count once.',
        tags: ['progress'],
        security: [{ bearer: [] }],
        params: ClientParams,
        body: Type.Array(BatchItemSchema, { minItems: 1, maxItems: MAX_BATCH_ITEMS }),
        response: {
          200: Type.Array(BatchOutcomeSchema),
          ...problems(400, 401, 403, 413, 415, 422, 429, 503),
        },
      },
      // The schema above is for readers; here each item is checked by itself, so that one cannot refuse all.
      validatorCompiler: (route) =>
        validatorCompiler(route.httpPart === 'body' ? { ...route, schema: AnyItems } : (route as never)),
    },
    async (request) => {
      const { clientKrn } = request.params
      const { email } = callerOf(request)
      const items = request.body as unknown[]
      const key = idempotencyKeyOf(request)
      if (key !== undefined) {
        const bound = {
          id: digest('http-batch', clientKrn, email, key),
          fingerprint: digest(JSON.stringify(items)),
        }
        if (!(await store.bindKey(bound))) throw refusalError({ result: 'mismatch', isReplay: false })
      }
      const outcomes = await Promise.all(
        items.map((item, place) => {
          const faults = checkBatchItem(item)
          if (faults.length > 0) return refusedItem(invalidRequest(faults))
          const valid = item as BatchItem
          const id = itemId(valid, place)
          return submitItem(ledger, toUpdate(valid, { clientKrn, email, channel: 'http', id }), logFailure)
        }),
      )
      return outcomes as never

      function logFailure(err: unknown, problem: PebblesError) {
        failureLog(request.log, problem, { err, requestId: request.id }, 'an item of a batch failed')
      }

      function itemId(item: BatchItem, place: number): UpdateId | undefined {
        if (item.id !== undefined) return updateId(clientKrn, email, item.id, item)
        if (key === undefined) return undefined
        // A digest of its own kind: a caller's key or id may well be `nightly/0`.
        const id = digest('http-batch-item', clientKrn, email, key, String(place))
        return { ...updateId(clientKrn, email, `${key}/${place}`, item), id }
      }
    },
  )
}

async function submitItem(
  ledger: Ledger,
  update: Update,
  logFailure: (error: unknown, problem: PebblesError) => void,
) {
  try {
    const outcome = await ledger.submit(update)
    if (!('totals' in outcome)) return refusedItem(refusalError(outcome))
    return { status: 200, result: outcome.result, filename: update.filename, ...outcome.totals }
  } catch (error) {
    const problem = asPebblesError(error)
    logFailure(error, problem)
    return refusedItem(problem)
  }
}

const refusedItem = (error: PebblesError) => ({ status: error.status, problem: toProblem(error) })
