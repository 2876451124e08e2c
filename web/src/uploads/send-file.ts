import { PebblesApiError, PebblesConnectionError } from '@pebbles/client'
import { parseProblem } from '../api/answers.ts'
import type { Api } from '../api/api.ts'

export interface Sending {
  file: File
  dataset: string
  parentId: string | undefined
  /** The same for every try, so that the file becomes one job. */
  key: string
  onProgress: (sentBytes: number, totalBytes: number) => void
  /** All bytes have left; the service is storing them. */
  onSent: () => void
  signal: AbortSignal
}

/** Sends a file. XMLHttpRequest, because fetch tells nothing of what it has sent. @returns the id of its job */
export function sendFile({ url, token }: Api, sending: Sending): Promise<string> {
  const { file, dataset, parentId, key, onProgress, onSent, signal } = sending
  const query = new URLSearchParams({ dataset, ...(parentId !== undefined && { parent: parentId }) })
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    request.open('POST', `${url}/api/jobs/upload?${query}`)
    request.setRequestHeader('idempotency-key', key)
    if (token !== undefined) request.setRequestHeader('authorization', `Bearer ${token}`)
    request.upload.onprogress = ({ loaded, total }) => onProgress(loaded, total)
    request.upload.onload = onSent
    request.onerror = () => reject(new PebblesConnectionError('the upload was cut off'))
    request.onabort = () => reject(new DOMException('The upload was cancelled.', 'AbortError'))
    request.onload = () => {
      const jobId = request.status < 300 ? readJobId(request.responseText) : undefined
      if (jobId !== undefined) resolve(jobId)
      else reject(new PebblesApiError(request.status, { problem: parseProblem(request.responseText) }))
    }
    signal.addEventListener('abort', () => request.abort())
    const form = new FormData()
    form.append('file', file, file.name)
    request.send(form)
  })
}

function readJobId(text: string): string | undefined {
  try {
    return (JSON.parse(text) as { jobId?: string }).jobId
  } catch {
    return undefined
  }
}

/** A random key. `crypto.randomUUID` exists on https and localhost only. */
export function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
