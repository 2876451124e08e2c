/** What an answer of the service repeats of a request that it could not verify, signature and session token included. */
const REPEATS_REQUEST = /authorization|credential=|security-token|aws4|canonical/i
const MAX_CHARACTERS = 300

/**
 * An error of the SDK as it may be logged: name and first line only, for the service repeats a request whose signature
 * it does not accept, with all its headers.
 */
export function awsFault(error: unknown): Error {
  const { name = 'Error', message = '', code } = error as { name?: string; message?: string; code?: unknown }
  const line = message.split('\n', 1)[0]!.slice(0, MAX_CHARACTERS)
  const told = [typeof code === 'string' && code, !REPEATS_REQUEST.test(line) && line].filter(Boolean)
  const fault = new Error([name, ...told].join(': '))
  delete fault.stack
  return fault
}
