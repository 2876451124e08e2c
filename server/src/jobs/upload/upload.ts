import type { FastifyRequest } from 'fastify'
import { PebblesError } from '../../platform/errors.ts'
import { invalidRequest } from '../../platform/http/validation.ts'
import { type ObjectStore, type StagedObject, tooLarge } from '../../platform/objects/objects.ts'
import { baseName, filenameFault } from './filename.ts'

/** Other form fields beside the file are let pass and ignored; these bounds keep them harmless. */
const LIMITS = {
  files: 2,
  fields: 20,
  fieldSize: 64 * 1024,
  fieldNameSize: 100,
  fileSize: Number.POSITIVE_INFINITY,
}
/** What a form adds to the file: boundaries, headers, other fields. */
const FORM_BYTES = 2 * 1024 * 1024

export interface UploadedFile {
  filename: string
  staged: StagedObject
}

/**
 * Takes in the one file of a multipart form (RFC 7578), field `file`: it goes through to the object store as it comes.
 * When anything is wrong, also after the file has passed, nothing stays behind.
 *
 * @throws PebblesError `invalid_request`, `unsupported_media_type` or `too_large`, naming `file`
 */
export async function receiveFile(
  request: FastifyRequest,
  objects: ObjectStore,
  { objectName, maxBytes }: { objectName: string; maxBytes: number },
): Promise<UploadedFile> {
  if (!request.isMultipart()) throw notMultipart()
  if (Number(request.headers['content-length']) > maxBytes + FORM_BYTES) throw tooLarge(maxBytes)
  let file: UploadedFile | undefined
  try {
    for await (const part of request.parts({ limits: LIMITS })) {
      if (part.type === 'field') {
        if (part.fieldname === 'file') throw fileFault('must be a file, not a text field')
        // Passed over, the rows would go into another dataset than was asked for.
        if (part.fieldname === 'dataset' || part.fieldname === 'parent') throw misplaced(part.fieldname)
        continue
      }
      if (part.fieldname !== 'file') throw fileFault('is missing: the file came in a field of another name')
      if (file) throw fileFault('must be one file; upload each by itself')
      const filename = baseName(part.filename ?? '')
      const fault = filenameFault(filename)
      if (fault) throw fileFault(fault)
      file = { filename, staged: await objects.stage(objectName, part.file, { maxBytes }) }
    }
    if (!file) throw fileFault('is missing')
    return file
  } catch (error) {
    await file?.staged.discard()
    throw asUploadError(error)
  }
}

/** The parser of forms tells in errors of its own what the client sent wrongly, or that it went away. */
function asUploadError(error: unknown): unknown {
  if (error instanceof PebblesError) return error
  const { code = '', message = '', name } = error as NodeJS.ErrnoException
  const isForm = code.startsWith('FST_') || /multipart|boundary|part terminated|content-type/i.test(message)
  // The caller has gone: nobody is left to hear of it.
  const isGone = name === 'AbortError' || code === 'ECONNRESET'
  if (!isForm && !isGone) return error
  return new PebblesError('invalid_request', 'Not valid: file.', {
    faults: [{ field: 'file', message: 'could not be read: the multipart form is broken or ends early' }],
    cause: error,
  })
}

const fileFault = (message: string) => invalidRequest([{ field: 'file', message }])

const misplaced = (field: string) =>
  invalidRequest([{ field, message: `must be in the query (?${field}=…), not in the form` }])

export const notMultipart = () =>
  new PebblesError(
    'unsupported_media_type',
    'A file is uploaded as multipart/form-data, in the field file.',
    {
      faults: [{ field: 'file', message: 'is missing: the body is not multipart/form-data' }],
    },
  )
