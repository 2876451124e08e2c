import { PebblesError } from '../../platform/errors.ts'
import { parseJson } from '../../platform/http/json.ts'
import { invalidRequest } from '../../platform/http/validation.ts'

const NEWLINE = 0x0a
const CARRIAGE_RETURN = 0x0d

/**
 * The values of an NDJSON body, as strictly parsed as any body. A line that is no JSON becomes its error, so that it
 * spoils no other; blank lines are left out. Of more than `maxItems` lines none is parsed.
 *
 * @throws PebblesError `invalid_request` when there are too many
 */
export function parseNdjson(body: Buffer, maxItems: number): unknown[] {
  const lines: Buffer[] = []
  for (let from = 0; from < body.length; ) {
    const newline = body.indexOf(NEWLINE, from)
    const end = newline === -1 ? body.length : newline
    const line = body.subarray(from, end > from && body[end - 1] === CARRIAGE_RETURN ? end - 1 : end)
    if (line.length > 0 && lines.push(line) > maxItems)
      throw invalidRequest([{ field: 'body', message: `must not have more than ${maxItems} items` }])
    from = end + 1
  }
  return lines.map(parseLine)
}

function parseLine(line: Buffer): unknown {
  try {
    return parseJson(line)
  } catch (error) {
    if (error instanceof PebblesError) return error
    throw error
  }
}
