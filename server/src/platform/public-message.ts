const MAX_LENGTH = 200
/** Letters, with at most a mark around them: no address, path, URL, user or key looks like that. */
const WORD = /^["'(«“]*[\p{L}\d_’'-]+["')»”]*[.,:;!?…]*["')»”]*$/u
/** An account has many digits, a key many characters, and a host within a cluster is numbered. */
const TELLING = /(?:\d.*){7}|.{41}|-.*\d/
/** What resolvers say before a name that is made of letters only. */
const BEFORE_A_NAME = /^(?:ENOTFOUND|EAI_AGAIN|host|user|account)$/i

/**
 * A message of an engine or its client for those who may not know where things are and who signs in: all that is not a
 * plain word becomes `…`. The whole message is in the log.
 */
export function publicMessage(message: string): string {
  const words = message.split(/\s+/).filter((word) => word !== '')
  const shown = words.map((word, index) => {
    const isName = index > 0 && BEFORE_A_NAME.test(words[index - 1]!)
    return isName || !WORD.test(word) || TELLING.test(word) ? '…' : word
  })
  const text = shown.join(' ').replace(/…(?: …)+/g, '…')
  return text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH - 1)}…` : text
}
