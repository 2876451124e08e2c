import Type from 'typebox'
import type { App } from '../../platform/http/app.ts'
import { problems } from '../../platform/http/problem.ts'
import { noSuchJob } from '../control/control-postgres.ts'
import { requireJob } from '../read-model.ts'
import type { JobRoutes } from '../routes.ts'
import { JobParams } from '../schema.ts'
import { balanceOf } from './balance.ts'
import { countBooks } from './balance-postgres.ts'

const Rows = (description: string) => Type.Integer({ description })

const BalanceSchema = Type.Object({
  jobId: Type.String({ format: 'uuid' }),
  received: Rows('Rows of the file, as far as is known: `stored + rejected + duplicate + late + inFlight`.'),
  stored: Rows('Rows that are in the dataset, counted there.'),
  corrected: Rows('Of `stored`: rows that were refused, and imported by corrections.'),
  rejected: Rows('Rows that are refused, counted; duplicates aside.'),
  duplicate: Rows('Rows that are refused for being there already, counted.'),
  late: Rows('None, for a file.'),
  inFlight: Rows('Rows that were not looked at: yet, or, when it was cancelled or failed, at all.'),
  balanced: Type.Boolean({ description: 'Tables, job and ledger say the same.' }),
  differences: Type.Array(Type.String(), { description: 'Every number that does not fit.' }),
})

/** What proves that nothing vanished: the books, and the signed receipt with the keys to verify it. */
export function registerProofRoutes(app: App, { access, pool, receipts, signingKeys }: JobRoutes): void {
  app.get(
    '/api/jobs/:id/balance',
    {
      onRequest: access.hook,
      schema: {
        summary: 'Check the books of a job',
        description:
          'Counts the rows of a job where they are, at one instant, also while it runs, and compares. It reads as much of the index as the job has rows.',
        tags: ['jobs'],
        params: JobParams,
        response: { 200: BalanceSchema, ...problems(401, 403, 404, 503) },
      },
    },
    async (request) => {
      const { clientKrn } = access.callerOf(request)
      const job = await requireJob(pool, clientKrn, request.params.id)
      const found = await countBooks(pool, job)
      if (!found) throw noSuchJob()
      return { jobId: job.id, ...balanceOf(found) }
    },
  )

  app.get(
    '/api/jobs/:id/receipt',
    {
      onRequest: access.hook,
      schema: {
        summary: 'Download the signed receipt of an ended job',
        description:
          'A compact JWS (RFC 7515) over the final counts and the hashes of the file and of `errors.csv`; its keys are at `/.well-known/jwks.json`. The same state of the job has the same receipt, byte for byte; a correction makes a new one.',
        tags: ['jobs'],
        params: JobParams,
        response: {
          200: {
            description: 'The receipt',
            content: { 'application/jose': { schema: Type.String() } },
          },
          ...problems(401, 403, 404, 409, 503),
        },
      },
      serializerCompiler: () => String,
    },
    async (request, reply) => {
      const { clientKrn } = access.callerOf(request)
      const { id } = await requireJob(pool, clientKrn, request.params.id)
      const receipt = await receipts.receiptOf(clientKrn, id)
      return reply.type('application/jose').send(receipt)
    },
  )

  app.get(
    '/.well-known/jwks.json',
    {
      schema: {
        summary: 'Read the public keys of receipts',
        description: 'A key set (RFC 7517). Keys that signed earlier stay in it.',
        tags: ['jobs'],
        response: { 200: Type.Object({ keys: Type.Array(Type.Unknown()) }), ...problems(503) },
      },
      serializerCompiler: () => JSON.stringify,
    },
    async (_request, reply) => {
      reply.header('cache-control', 'public, max-age=300')
      return signingKeys.published()
    },
  )
}
