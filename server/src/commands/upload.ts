import { openAsBlob } from 'node:fs'
import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { PebblesError } from '../platform/errors.ts'
import type { Request } from './connection.ts'

/**
 * Sends a file as the field `file` of a multipart form, streamed from the disk.
 *
 * @param dataset what the rows are; the built-in one when not given
 * @param parent the job whose refused rows the file corrects
 * @param onSent hears how many bytes have gone to the network, and how many there are; a little ahead of the service
 * @returns the id of the job that imports it
 * @throws PebblesError when the file cannot be read, or the service refuses it
 */
export async function uploadFile(
  request: Request,
  { path, dataset, parent }: { path: string; dataset?: string | undefined; parent?: string | undefined },
  onSent: (sentBytes: number, sizeBytes: number) => void,
): Promise<string> {
  const sizeBytes = await sizeOf(path)
  const given = Object.entries({ dataset, parent }).filter(
    (pair): pair is [string, string] => pair[1] !== undefined,
  )
  const query = given.length === 0 ? '' : `?${new URLSearchParams(given)}`
  const response = await request(`/api/jobs/upload${query}`, async () => {
    const form = new FormData()
    form.append('file', await openAsBlob(path), basename(path))
    // The platform writes the form; a request made from it would not tell how far it is.
    const { headers, body } = new Response(form)
    const contentType = headers.get('content-type')!
    const counted = body!.pipeThrough(countBytes(sizeBytes, (sent) => onSent(sent, sizeBytes)))
    return { method: 'POST', headers: { 'content-type': contentType }, body: counted, duplex: 'half' }
  })
  const { jobId } = (await response.json()) as { jobId: string }
  return jobId
}

async function sizeOf(path: string): Promise<number> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new PebblesError('invalid_request', `${path} cannot be read.`, { cause })
  })
  if (!found.isFile()) throw new PebblesError('invalid_request', `${path} is not a file.`)
  return found.size
}

/** Counts up to `limit`: what the form itself adds is not progress. */
function countBytes(limit: number, onSent: (bytes: number) => void): TransformStream<Uint8Array, Uint8Array> {
  let sent = 0
  return new TransformStream({
    transform(chunk, controller) {
      if (sent < limit) {
        sent = Math.min(limit, sent + chunk.byteLength)
        onSent(sent)
      }
      controller.enqueue(chunk)
    },
  })
}
