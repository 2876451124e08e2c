/** Longest message that the service takes, in UTF-16 units. */
const MAX_MESSAGE = 4_096

/**
 * The JSON of an issue. A message that could not be stored must not cost the update that carries it: it is cut at
 * 4,096 characters with an ellipsis, and NUL and halves of surrogate pairs become U+FFFD.
 *
 * @returns the text, and an upper bound of its bytes in UTF-8
 * @throws TypeError when `line` is not a whole number from 0 up
 */
export function toIssueJson(line: number, message: string): { json: string; bytes: number } {
  requireCount('line', line)
  let text = String(message)
  if (text.length > MAX_MESSAGE) text = `${text.slice(0, MAX_MESSAGE - 1)}…`
  const json = JSON.stringify({ line, message: text.replaceAll('\0', '\uFFFD').toWellFormed() })
  // A UTF-16 unit takes at most three bytes; counting them exactly would cost more than an early split.
  return { json, bytes: /^[\x20-\x7e]*$/.test(json) ? json.length + 1 : json.length * 3 + 1 }
}

/** @throws TypeError unless it is a whole number from 0 to 2^53 − 1 */
export function requireCount(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new TypeError(`${name} must be a whole number from 0 up, and is ${value}`)
  }
}
