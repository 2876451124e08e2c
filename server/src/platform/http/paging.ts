import type { FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import { invalidRequest } from './validation.ts'

export const MAX_PAGE = 1_000

export const LimitSchema = (fallback: number, maximum = MAX_PAGE) =>
  Type.Optional(
    Type.Integer({ minimum: 1, maximum, default: fallback, description: 'Most items on a page.' }),
  )

export const CursorSchema = Type.Optional(
  Type.String({
    minLength: 1,
    // Three texts of 128 characters are the longest key of a stream; escaped, a character may take seven bytes.
    maxLength: 4_096,
    description: 'Cursor from the `Link` header of the page before.',
  }),
)

/** A cursor is opaque to callers: base64url of its JSON parts. */
export function encodeCursor(parts: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(parts)).toString('base64url')
}

/**
 * @param isCursor tells whether the parts are those that {@link encodeCursor} was given
 * @throws PebblesError `invalid_request`
 */
export function decodeCursor<T>(cursor: string, isCursor: (parts: unknown) => parts is T): T {
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
    if (isCursor(parts)) return parts
  } catch {
    // Not of our making: answered below like any other wrong cursor.
  }
  throw invalidRequest([{ field: 'after', message: 'is not a cursor that was given out here' }])
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
/** Beyond it, and before 1970, lie times that Date can hold and PostgreSQL cannot read. */
const YEAR_10000_MS = Date.UTC(10_000)

/** Cursor of a list that is ordered by time and, within a millisecond, by id. */
export function encodeTimeCursor(at: Date, id: string): string {
  return encodeCursor([at.getTime(), id])
}

/** @throws PebblesError `invalid_request` */
export function decodeTimeCursor(cursor: string): { ms: number; id: string } {
  const [ms, id] = decodeCursor(cursor, (parts): parts is [number, string] => {
    if (!Array.isArray(parts) || parts.length !== 2) return false
    const [ms, id] = parts
    const isTime = Number.isSafeInteger(ms) && ms >= 0 && ms < YEAR_10000_MS
    return isTime && typeof id === 'string' && UUID.test(id)
  })
  return { ms, id }
}

/** Sets `Link: <…>; rel="next"` (RFC 8288): the same request, after the last item of this page. */
export function linkNext(request: FastifyRequest, reply: FastifyReply, after: string): void {
  const [path = '', query] = request.url.split('?', 2)
  const params = new URLSearchParams(query)
  params.set('after', after)
  // As it was asked for, not as URL would write it: a client may be called `..`, or hold a backslash.
  reply.header('link', `<${path.replace(UNFIT_FOR_LINK, encodeURIComponent)}?${params}>; rel="next"`)
}

/** What some senders leave in a path as it is, and a link may not hold. */
const UNFIT_FOR_LINK = /[^\x21-\x7e]|[<>"\\^`{|}]/g
