import { isUtf8 } from 'node:buffer'
import { type FieldFault, PebblesError } from '../errors.ts'

/** Deeper than any body that Pebbles understands, shallow enough for any parser. */
const MAX_DEPTH = 32
/** Faults named in one answer; a body of 10,000 bad issues needs no list of 10,000. */
export const MAX_FAULTS = 100
const MAX_FIELD_LENGTH = 200
const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
const COMMA = 0x2c
/** Escapes that can smuggle in what PostgreSQL's text cannot hold: NUL and halves of surrogate pairs. */
const SUSPICIOUS_ESCAPE = /\\u(?:0000|d[89a-f])/i

/**
 * Parses a JSON body without the leniency of `JSON.parse` (RFC 8259 §4 and §8): bytes that are not UTF-8, a name that
 * occurs twice in an object, nesting beyond 32 levels, NUL characters and lone surrogates are refused.
 *
 * @throws PebblesError `invalid_json`
 */
export function parseJson(body: Buffer): unknown {
  const { value, fault } = read(textOf(body))
  if (fault) throw fault
  return value
}

/**
 * The same of a body whose items, when it is a list, stand for themselves: one in which a name occurs twice, or with
 * text that cannot be stored, becomes its error, and spoils no other. Of more than `maxItems` none is.
 *
 * @throws PebblesError `invalid_json` when it is no JSON, or is at fault and no such list
 */
export function parseJsonItems(body: Buffer, maxItems: number): unknown {
  const text = textOf(body)
  const { value, fault } = read(text)
  if (!fault) return value
  if (!Array.isArray(value) || value.length > maxItems) throw fault
  return cutItems(text).map((item) => {
    const { value, fault } = read(item)
    return fault ?? value
  })
}

function textOf(body: Buffer): string {
  if (!isUtf8(body)) throw invalid('The body is not valid UTF-8.')
  return body.toString('utf8')
}

/** What a text is as `JSON.parse` reads it, and what is wrong with it all the same. */
function read(text: string): { value: unknown; fault?: PebblesError } {
  const members = countMembers(text)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw invalid(positionOf(error as SyntaxError))
  }
  // A name that occurs twice is one member less in the value than in the text.
  if (members !== countKeys(value))
    return { value, fault: invalid('A name occurs more than once in an object.') }
  const faults = SUSPICIOUS_ESCAPE.test(text) ? findBadText(value) : []
  if (faults.length === 0) return { value }
  const message = 'The body holds text that cannot be stored.'
  return { value, fault: new PebblesError('invalid_json', message, { faults }) }
}

/** The texts of the items of a list that has some. */
function cutItems(text: string): string[] {
  const items: string[] = []
  let depth = 0
  let from = 0
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i)
    if (char === QUOTE) i = endOfString(text, i)
    else if (isOpening(char) && ++depth === 1) from = i + 1
    else if ((isClosing(char) && --depth === 0) || (char === COMMA && depth === 1)) {
      items.push(text.slice(from, i))
      from = i + 1
    }
  }
  return items
}

const isOpening = (char: number) => char === 0x7b || char === 0x5b
const isClosing = (char: number) => char === 0x7d || char === 0x5d

const invalid = (message: string) => new PebblesError('invalid_json', message)

/** V8 quotes the text around the fault; callers get the position only, so that no body is ever echoed. */
function positionOf({ message }: SyntaxError): string {
  const position = /at position (\d+)/.exec(message)?.[1]
  if (position) return `The body is not valid JSON at character ${position}.`
  return message.includes('end of JSON')
    ? 'The body ends before its JSON does.'
    : 'The body is not valid JSON.'
}

/** Counts the colons outside strings, which is the number of members, and checks the depth on the way. */
function countMembers(text: string): number {
  let members = 0
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i)
    if (char === QUOTE) {
      i = endOfString(text, i)
    } else if (char === COLON) {
      members++
    } else if (isOpening(char)) {
      if (++depth > MAX_DEPTH) throw invalid(`The body is nested deeper than ${MAX_DEPTH} levels.`)
    } else if (isClosing(char)) {
      depth--
    }
  }
  return members
}

/** Index of the quote that closes the string opened at `start`. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) return end
  }
  return text.length
}

function countKeys(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  let keys = 0
  if (Array.isArray(value)) for (const item of value) keys += countKeys(item)
  // What was parsed has names of its own only; `Object.keys` would make a list of them.
  else for (const key in value) keys += 1 + countKeys((value as Record<string, unknown>)[key])
  return keys
}

/** Why a text cannot be stored, or `undefined` when it can. */
export function textFault(text: string): string | undefined {
  if (text.includes('\0')) return 'must not contain a NUL character'
  if (!text.isWellFormed()) return 'must not contain half of a surrogate pair'
  return undefined
}

/** Lists texts that cannot be stored, as many as one answer names. */
function findBadText(value: unknown, path = '', faults: FieldFault[] = []): FieldFault[] {
  if (typeof value === 'string') {
    const message = textFault(value)
    if (message) faults.push({ field: path || 'body', message })
    return faults
  }
  if (typeof value !== 'object' || value === null) return faults
  for (const [key, item] of Object.entries(value)) {
    if (faults.length === MAX_FAULTS) break
    if (textFault(key)) faults.push({ field: path || 'body', message: 'has a name with such a character' })
    else
      findBadText(
        item,
        shortField(Array.isArray(value) ? `${path}[${key}]` : path ? `${path}.${key}` : key),
        faults,
      )
  }
  return faults
}

/**
 * A field's path as it is told to the caller. Names come from the body: one of a megabyte, told once for each of
 * 300,000 faults below it, would be an answer larger than the memory.
 */
export function shortField(path: string): string {
  return path.slice(0, MAX_FIELD_LENGTH).toWellFormed()
}
