/**
 * Says in constant words why a token is refused.
 *
 * jose's own messages are not passed on: they quote header values of the token, and its claim errors carry
 * the whole claims set as `payload`, which a logger that prints `cause` would write out.
 */
import { errors } from 'jose'
import { PebblesError } from '../errors.ts'

/** A refused token (401). `reason` is a constant sentence, read by the caller. */
export function refused(reason: string, cause?: unknown): PebblesError {
  return new PebblesError('unauthorized', reason, { cause })
}

const WRONG_CLAIM: Readonly<Record<string, string>> = {
  iss: 'The token comes from another issuer',
  aud: 'The token is meant for another audience',
  exp: 'The expiry of the token is not valid',
  nbf: 'The start of validity of the token is not valid',
  iat: 'The issue time of the token is not valid',
}

const MISSING_CLAIM: Readonly<Record<string, string>> = {
  iss: 'The token names no issuer',
  aud: 'The token names no audience',
  exp: 'The token has no expiry',
}

export const EXPIRED = 'The token has expired'
export const NOT_YET_VALID = 'The token is not valid yet'

/** Turns whatever a verification threw into a PebblesError; one that already is passes unchanged. */
export function refusalOf(error: unknown): PebblesError {
  if (error instanceof PebblesError) return error
  if (error instanceof errors.JWTExpired) return refused(EXPIRED)
  if (error instanceof errors.JWTClaimValidationFailed) return refused(claimRefusal(error))
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return refused('The signature of the token is not valid')
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return refused('The algorithm of the token is not accepted')
  if (error instanceof errors.JOSENotSupported) {
    return refused('The token uses an extension that is not supported')
  }
  if (error instanceof errors.JWKSNoMatchingKey) {
    return refused('The token is signed with a key that its issuer does not publish')
  }
  if (error instanceof errors.JWKSMultipleMatchingKeys) {
    // OpenID Connect Core §10.1: with several keys in the set, the token must name its own.
    return refused('The token does not say which key of its issuer signed it')
  }
  if (error instanceof errors.JWSInvalid || error instanceof errors.JWTInvalid) {
    return refused('The token is not a well-formed JWT')
  }
  // What is left is a published key that cannot be used (too short, malformed). The caller cannot tell and
  // the cause can: it speaks of the key, never of the token.
  return refused('The token cannot be verified with the keys of its issuer', error)
}

function claimRefusal({ claim, reason }: errors.JWTClaimValidationFailed): string {
  const fallback = 'A claim of the token is not valid'
  if (reason === 'missing') return MISSING_CLAIM[claim] ?? fallback
  if (claim === 'nbf' && reason === 'check_failed') return NOT_YET_VALID
  return WRONG_CLAIM[claim] ?? fallback
}
