import assert from 'node:assert/strict'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import type { Answer, TestServer } from '../helpers/server.ts'

export interface UploadOptions {
  filename?: string
  /** The job that the file corrects. */
  parent?: string
  field?: string
  token?: string | null
  headers?: Record<string, string>
  /** Such as `?dataset=products`. */
  query?: string
}

/** Uploads one file as a browser's form does. Without a token unless one is given. */
export function upload(
  server: TestServer,
  content: string | Uint8Array,
  options: UploadOptions = {},
): Promise<Answer> {
  const form = new FormData()
  const file = new Blob([content as string], { type: 'text/csv' })
  form.append(options.field ?? 'file', file, options.filename ?? 'customers.csv')
  return send(server, form, options)
}

/** Sends any body to the upload route. */
export async function send(
  server: TestServer,
  body: NonNullable<RequestInit['body']>,
  { token, headers, query = '', parent }: Pick<UploadOptions, 'token' | 'headers' | 'query' | 'parent'> = {},
): Promise<Answer> {
  const asked = parent === undefined ? query : `?parent=${encodeURIComponent(parent)}`
  const response = await fetch(`${server.url}/api/jobs/upload${asked}`, {
    method: 'POST',
    headers: { ...headers, ...(token && { authorization: `Bearer ${token}` }) },
    body,
  })
  return { status: response.status, headers: response.headers, body: await response.json() }
}

export async function uploadJob(
  server: TestServer,
  content: string | Uint8Array,
  options: UploadOptions = {},
): Promise<string> {
  const { status, body } = await upload(server, content, options)
  assert.equal(status, 200, JSON.stringify(body))
  return body.jobId
}

/** Uploads a file that exists nowhere as a whole, not even here. */
export async function uploadStream(
  server: TestServer,
  chunks: Iterable<string | Uint8Array>,
  { filename = 'customers.csv', token }: Pick<UploadOptions, 'filename' | 'token'> = {},
): Promise<string> {
  function* form() {
    yield Buffer.from(`--b\r\ncontent-disposition: form-data; name="file"; filename="${filename}"\r\n\r\n`)
    for (const chunk of chunks) yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk
    yield Buffer.from('\r\n--b--\r\n')
  }
  const response = await fetch(`${server.url}/api/jobs/upload`, {
    method: 'POST',
    headers: {
      'content-type': 'multipart/form-data; boundary=b',
      ...(token && { authorization: `Bearer ${token}` }),
    },
    body: ReadableStream.from(form()),
    duplex: 'half',
  } as RequestInit)
  const body = (await response.json()) as { jobId: string }
  assert.equal(response.status, 200, JSON.stringify(body))
  return body.jobId
}

/** The job as soon as it has ended. */
export async function waitForEnd(
  server: TestServer,
  jobId: string,
  token: string | null = null,
  atMostMs = 120_000,
) {
  for (const endsAt = Date.now() + atMostMs; Date.now() < endsAt; ) {
    const { status, body } = await server.call('GET', `/api/jobs/${jobId}`, { token })
    // What a reader is told while the database is away: come back later.
    assert.ok(status === 200 || status === 503, `${status}`)
    if (['completed', 'failed', 'cancelled'].includes(body.status)) return body
    await delay(50)
  }
  throw new Error(`job ${jobId} did not end`)
}

export async function importFile(
  server: TestServer,
  content: string | Uint8Array,
  options: UploadOptions = {},
) {
  return waitForEnd(server, await uploadJob(server, content, options), options.token ?? null)
}

export const HEADER = 'name,email,phone,company\n'

/** A file of `rows` valid rows with addresses of its own. */
export function validRows(rows: number, prefix = 'user'): string {
  const lines = Array.from(
    { length: rows },
    (_, index) => `Person ${index},${prefix}${index}@example.com,+1 202 555 0100,Company ${index}\n`,
  )
  return HEADER + lines.join('')
}

export interface SseEvent {
  id: string | undefined
  // biome-ignore lint/suspicious/noExplicitAny: tests look at whatever came back
  data: any
  atMs: number
}

/** Reads a stream of events to its end. */
export async function readEvents(response: Response): Promise<SseEvent[]> {
  const events: SseEvent[] = []
  let text = ''
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk
    for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
      const block = text.slice(0, end)
      text = text.slice(end + 2)
      const data = /^data: (.*)$/m.exec(block)?.[1]
      if (data) events.push({ id: /^id: (.*)$/m.exec(block)?.[1], data: JSON.parse(data), atMs: Date.now() })
    }
  }
  return events
}

/** Where a server on this database keeps its files. */
export async function objectsDir(pool: pg.Pool, dataDir: string): Promise<string> {
  const { rows } = await pool.query('SELECT id FROM installation')
  return join(dataDir, 'objects', rows[0].id)
}
