import { RE2JS } from 're2js'

/** Of the compiled pattern. On values of 500 characters the slowest one takes 20 ms, a common one a microsecond. */
const MAX_INSTRUCTIONS = 500
const TOO_LARGE = 'is too large: counted repetitions of it multiply'

/**
 * A pattern of a declaration, matched against a value as a whole. The engine is RE2's, whose time is linear in the
 * value whatever the pattern; the language's own would let one pattern stop an import for ever.
 *
 * @throws Error saying why the pattern cannot be used, in words for its author
 */
export function compilePattern(pattern: string): (value: string) => boolean {
  // Compiling takes time and memory by the size: 0.6 s for one of 450,000 instructions, which 474 characters can be.
  if (estimateSize(pattern) > 4 * MAX_INSTRUCTIONS) throw new Error(TOO_LARGE)
  let compiled: RE2JS
  try {
    compiled = RE2JS.compile(pattern)
  } catch (error) {
    const { message } = error as Error
    throw new Error(`is not a regular expression of RE2: ${message.replace(/^error parsing regexp: /, '')}`)
  }
  if (compiled.programSize() > MAX_INSTRUCTIONS) throw new Error(TOO_LARGE)
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

// Quoted text, escapes (`\p{L}` and `\x{e4}` as a whole), classes, repetitions, and any other character. Where RE2
// reads a class further (`[]a]`), this reads more atoms than there are, never fewer.
const TOKEN = /\\Q.*?(?:\\E|$)|\\[pPx]\{[^}]*\}|\\.|\[(?:\\.|[^\]\\])*\]?|\{\d+(?:,\d*)?\}|./gsu

/** About how many instructions a pattern is compiled to, counted repetitions multiplied out; never far too few. */
function estimateSize(pattern: string): number {
  const outer: number[] = []
  let size = 0
  let atom = 0
  for (const [token] of pattern.matchAll(TOKEN)) {
    if (token === '(') {
      outer.push(size)
      size = 0
      atom = 0
    } else if (token === ')') {
      // At least one, so that nothing at all, repeated, is not taken for nothing.
      atom = size + 1
      size = (outer.pop() ?? 0) + atom
    } else if (token.startsWith('{') && token.length > 1) {
      const times = Math.max(1, ...token.match(/\d+/g)!.map(Number))
      size += atom * (times - 1)
      atom *= times
    } else {
      atom = token.startsWith('\\Q') ? token.length : 1
      size += atom
    }
  }
  return size + outer.reduce((sum, each) => sum + each, 0)
}
