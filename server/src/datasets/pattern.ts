import { RE2JS } from 're2js'

/** Of the compiled pattern. With values of 500 characters the slowest one takes milliseconds, most a microsecond. */
const MAX_INSTRUCTIONS = 500

/**
 * A pattern of a declaration, matched against a value as a whole. The engine is RE2's, whose time is linear in the
 * value whatever the pattern; the language's own would let one pattern stop an import for ever.
 *
 * @throws Error saying why the pattern cannot be used, in words for its author
 */
export function compilePattern(pattern: string): (value: string) => boolean {
  let compiled: RE2JS
  try {
    compiled = RE2JS.compile(pattern)
  } catch (error) {
    const { message } = error as Error
    throw new Error(`is not a regular expression of RE2: ${message.replace(/^error parsing regexp: /, '')}`)
  }
  if (compiled.programSize() > MAX_INSTRUCTIONS) {
    throw new Error('is too large: counted repetitions of it multiply')
  }
  return (value) => compiled.matches(value)
}

/** Why this is not a usable pattern, or `undefined` when it is one. */
export function patternFault(pattern: string): string | undefined {
  try {
    compilePattern(pattern)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}
