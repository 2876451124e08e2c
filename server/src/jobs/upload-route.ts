import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import { v7 as uuidv7 } from 'uuid'
import { CUSTOMERS } from '../datasets/customers.ts'
import { digest } from '../platform/digest.ts'
import type { App } from '../platform/http/app.ts'
import { idempotencyKeyOf } from '../platform/http/idempotency.ts'
import { problems } from '../platform/http/problem.ts'
import type { Caller } from './caller.ts'
import { type Creation, createJob, isJobInDoubt, type NewJob } from './create-postgres.ts'
import type { JobRoutes } from './routes.ts'
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
          'One CSV in the field `file` of a multipart form. It is imported in the background. With an `Idempotency-Key` the same file makes one job, however often it is sent.',
        tags: ['jobs'],
        consumes: ['multipart/form-data'],
        body: Type.Object({ file: Type.Unsafe<unknown>({ type: 'string', format: 'binary' }) }),
        response: {
          200: Type.Object({ jobId: Type.String({ format: 'uuid' }) }),
          ...problems(400, 401, 403, 413, 415, 422, 503),
        },
      },
      // The schema is for readers: a body that is in no memory as a whole is checked as it comes.
      validatorCompiler: () => () => true,
    },
    async (request, reply) => {
      const caller = access.callerOf(request)
      const key = idempotencyKeyOf(request)
      const id = uuidv7()
      const objectName = uploadName(id)
      try {
        const file = await receiveFile(request, objects, { objectName, maxBytes: maxUploadBytes })
        const creation = await keepAsJob(file, toNewJob(id, objectName, caller, file, key))
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

function toNewJob(
  id: string,
  objectName: string,
  { clientKrn, email }: Caller,
  { filename, staged }: UploadedFile,
  key: string | undefined,
): NewJob {
  const { sizeBytes, sha256 } = staged
  return {
    id,
    clientKrn,
    email,
    filename,
    dataset: CUSTOMERS.name,
    objectName,
    sizeBytes,
    sha256,
    idempotency:
      key === undefined
        ? undefined
        : { id: digest('upload', clientKrn, email, key), fingerprint: digest(sha256, filename) },
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
