import type { FastifyRequest } from 'fastify'
import type { Pool } from 'pg'
import Type from 'typebox'
import { v7 as uuidv7 } from 'uuid'
import { CUSTOMERS } from '../../datasets/customers.ts'
import { findDeclaration, type StoredDataset } from '../../datasets/store-postgres.ts'
import { digest } from '../../platform/digest.ts'
import type { App } from '../../platform/http/app.ts'
import { idempotencyKeyOf } from '../../platform/http/idempotency.ts'
import { problems } from '../../platform/http/problem.ts'
import { invalidRequest, validatorCompiler } from '../../platform/http/validation.ts'
import { orAway } from '../../platform/postgres/database.ts'
import type { Caller } from '../caller.ts'
import { isJobId } from '../job-id.ts'
import { findJob } from '../read-postgres.ts'
import { requireParent } from '../report/parent-postgres.ts'
import type { JobRoutes } from '../routes.ts'
import { type Creation, createJob, isJobInDoubt, type NewJob } from './create-postgres.ts'
import { receiveFile, type UploadedFile } from './upload.ts'
import { uploadName } from './upload-name.ts'

/** How long the rest of a refused upload is read and thrown away, so that the client gets to see the answer. */
const DRAIN_MS = 10_000

export function registerUploadRoute(app: App, parts: JobRoutes): void {
  const { access, objects, pool, queue, maxUploadBytes, onCreated } = parts
  app.post(
    '/api/jobs/upload',
    {
      onRequest: access.hook,
      schema: {
        summary: 'Upload a file',
        description:
          'One CSV in the field `file` of a multipart form. It is imported in the background. With an `Idempotency-Key` the same file makes one job, however often it is sent. With `parent` it is the corrected `errors.csv` of that job, whose rows move from failed to done as they are imported.',
        tags: ['jobs'],
        querystring: Type.Object({
          dataset: Type.Optional(
            Type.String({
              minLength: 1,
              maxLength: 100,
              default: CUSTOMERS.name,
              description: 'What the rows are: a name from `GET /api/datasets`.',
            }),
          ),
          parent: Type.Optional(
            Type.String({ description: 'The ended job whose refused rows this file corrects.' }),
          ),
        }),
        consumes: ['multipart/form-data'],
        body: Type.Object({ file: Type.Unsafe<unknown>({ type: 'string', format: 'binary' }) }),
        response: {
          200: Type.Object({ jobId: Type.String({ format: 'uuid' }) }),
          ...problems(400, 401, 403, 404, 409, 413, 415, 422, 503),
        },
      },
      // The schema of the body is for readers: what is in no memory as a whole is checked as it comes.
      validatorCompiler: (route) => (route.httpPart === 'body' ? () => true : validatorCompiler(route)),
      // A wrong query is told below, where the rest of the file is drained.
      attachValidation: true,
    },
    async (request, reply) => {
      const caller = access.callerOf(request)
      const key = idempotencyKeyOf(request)
      const id = uuidv7()
      const objectName = uploadName(id)
      try {
        if (request.validationError) throw request.validationError
        const { parent } = request.query
        const dataset = await requireDataset(pool, caller, request.query)
        // Refused before the file is taken in. With a key it may have been sent before, and its job is the answer then.
        if (parent !== undefined && key === undefined) {
          const { clientKrn } = caller
          await orAway(requireParent(pool, { clientKrn, parent, dataset: dataset.declaration.name }))
        }
        const file = await receiveFile(request, objects, { objectName, maxBytes: maxUploadBytes })
        const creation = await keepAsJob(
          file,
          toNewJob({ id, objectName, parent }, caller, file, dataset, key),
        )
        if (creation.isReplay) reply.header('idempotency-replayed', 'true')
        else onCreated({ ...creation, clientKrn: caller.clientKrn })
        reply.header('location', `/api/jobs/${creation.jobId}`)
        return { jobId: creation.jobId }
      } catch (error) {
        drain(request)
        throw error
      }
    },
  )

  /**
   * First the file, then the job: a job without its file could never be imported. The file is removed only when it is
   * certain that its job is not there; the sweep finds what is left over.
   */
  async function keepAsJob({ staged }: UploadedFile, job: NewJob): Promise<Creation> {
    let creation: Creation
    try {
      await staged.keep()
      creation = await createJob(pool, queue, job)
    } catch (error) {
      if (!isJobInDoubt(error)) {
        await staged.discard()
        await objects.remove(job.objectName)
      }
      throw error
    }
    if (creation.isReplay) await objects.remove(job.objectName)
    return creation
  }
}

/**
 * Looked up before the file is read: nobody should send five gigabytes to learn of a typing mistake. A corrected report
 * is of the dataset that its parent is of.
 */
async function requireDataset(
  pool: Pool,
  { clientKrn }: Caller,
  { dataset, parent }: { dataset?: string | undefined; parent?: string | undefined },
): Promise<StoredDataset> {
  const corrected =
    parent === undefined || !isJobId(parent) ? undefined : await findJob(pool, clientKrn, parent)
  const found = await findDeclaration(pool, clientKrn, dataset ?? corrected?.dataset ?? CUSTOMERS.name)
  if (!found) throw invalidRequest([{ field: 'dataset', message: 'is not a dataset of this client' }])
  return found
}

function toNewJob(
  { id, objectName, parent }: Pick<NewJob, 'id' | 'objectName' | 'parent'>,
  { clientKrn, email }: Caller,
  { filename, staged }: UploadedFile,
  { declaration, version }: StoredDataset,
  key: string | undefined,
): NewJob {
  const { sizeBytes, sha256 } = staged
  const dataset = declaration.name
  return {
    id,
    clientKrn,
    email,
    filename,
    dataset,
    datasetVersion: version,
    parent,
    objectName,
    sizeBytes,
    sha256,
    idempotency:
      key === undefined
        ? undefined
        : {
            id: digest('upload', clientKrn, email, key),
            fingerprint: digest(sha256, filename, dataset, ...(parent === undefined ? [] : [parent])),
          },
  }
}

/** Node reads an unread body to its end by itself, but not one that somebody had begun to read. */
function drain({ raw }: FastifyRequest): void {
  if (raw.destroyed || raw.readableEnded) return
  raw.unpipe()
  raw.resume()
  const timer = setTimeout(() => raw.destroy(), DRAIN_MS)
  raw.once('close', () => clearTimeout(timer))
}
