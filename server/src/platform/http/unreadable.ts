import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { type ErrorCode, PebblesError } from '../errors.ts'
import { toProblem } from './problem.ts'

/** What Node's parser gave up on: status, code and detail, by the parser's code. */
const REASONS: Record<string, [number, ErrorCode, string]> = {
  HPE_HEADER_OVERFLOW: [431, 'too_large', 'The headers are larger than is accepted here.'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'too_large', 'The chunk extensions are larger than is accepted here.'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'invalid_request', 'The request did not arrive in time.'],
}
const NOT_HTTP: [number, ErrorCode, string] = [400, 'invalid_request', 'The request is not valid HTTP/1.1.']

/** Answers bytes that could not be read as a request, and ends their connection: where the next one begins is lost. */
export function answerUnreadable(error: Error & { code?: string }, socket: Socket): void {
  // A problem would be taken for the answer to a request that came before, and that may well be applied.
  const isOwed = '_httpMessage' in socket && Boolean(socket._httpMessage)
  if (!socket.writable || isOwed) {
    socket.destroy()
    return
  }
  const [status, code, detail] = REASONS[error.code ?? ''] ?? NOT_HTTP
  const body = JSON.stringify({ ...toProblem(new PebblesError(code, detail)), status })
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\n` +
      `Content-Type: application/problem+json; charset=utf-8\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    () => socket.destroy(),
  )
}
