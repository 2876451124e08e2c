import type { FastifyRequest } from 'fastify'
import { PebblesError } from '../errors.ts'

const MAX_KEY_LENGTH = 255

/**
 * The `Idempotency-Key` of a request (draft-ietf-httpapi-idempotency-key-header), or `undefined`.
 * Quotes around it, which the draft's syntax has, are not part of the key.
 *
 * @throws PebblesError `invalid_request`
 */
export function idempotencyKeyOf(request: FastifyRequest): string | undefined {
  const header = request.headers['idempotency-key']
  if (header === undefined) return undefined
  const key = typeof header === 'string' ? header.replace(/^"(.*)"$/, '$1') : ''
  if (key.length === 0 || key.length > MAX_KEY_LENGTH || !/^[\x20-\x7e]+$/.test(key)) {
    const message = `must be 1 to ${MAX_KEY_LENGTH} printable ASCII characters`
    throw new PebblesError('invalid_request', 'Not valid: header Idempotency-Key.', {
      faults: [{ field: 'header Idempotency-Key', message }],
    })
  }
  return key
}
