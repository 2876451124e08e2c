/**
 * What Pebbles reads from the claims of a token whose signature, issuer, audience and times already hold.
 */
import type { JWTPayload } from 'jose'
import { refused } from './refusals.ts'

/** Who is calling. */
export interface Identity {
  /** The caller's verified e-mail address, exactly as the issuer wrote it: 1–320 bytes of UTF-8. */
  readonly email: string
  /** The tenant (clientKrn) that the token speaks for; undefined when the token names none. */
  readonly client: string | undefined
}

export interface IdentityRules {
  /** Name of the top-level claim that holds the client, e.g. `client` or `https://example.org/client`. */
  clientClaim: string
  /**
   * What `email_verified` must be. OpenID Connect Core §5.1 says a boolean, and `boolean` accepts only
   * `true`. Some issuers (Cognito, Apple) send the string `"true"`, which `boolean-or-string` accepts too.
   */
  emailVerified: 'boolean' | 'boolean-or-string'
}

// 64 octets of local part, `@` and 255 of domain (RFC 5321 §4.5.3.1), the widest reading in use.
const MAX_NAME_BYTES = 320

// Controls, line and paragraph separators, and lone surrogates: PostgreSQL refuses U+0000, the others would
// forge lines of a log or be stored as another text than the one the issuer signed.
const UNFIT_CHARACTERS = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}]/u

/**
 * The identity in verified claims.
 *
 * @throws PebblesError `unauthorized` when the e-mail is missing, not verified or unfit, or the client unfit
 */
export function identityOf(claims: JWTPayload, rules: IdentityRules): Identity {
  const email = ownClaim(claims, 'email')
  if (email === undefined || email === null) throw refused('The token has no e-mail address')
  if (!isFitName(email)) throw refused('The e-mail address of the token is not valid')

  const verified = ownClaim(claims, 'email_verified')
  const accepted = verified === true || (rules.emailVerified === 'boolean-or-string' && verified === 'true')
  if (!accepted) throw refused('The e-mail address of the token is not verified')

  // Some issuers write an unset attribute as null. Anything else unfit is refused rather than read as
  // "no client": a caller would silently act for nobody, or for the default client.
  const client = ownClaim(claims, rules.clientClaim)
  if (client === undefined || client === null) return Object.freeze({ email, client: undefined })
  if (!isFitName(client)) throw refused('The claim of the token that names the client is not valid')
  return Object.freeze({ email, client })
}

/** True for a string that may be an e-mail or client: not blank, 1–320 bytes of UTF-8, no unfit characters. */
export function isFitName(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    Buffer.byteLength(value) <= MAX_NAME_BYTES &&
    value.trim() !== '' &&
    !UNFIT_CHARACTERS.test(value)
  )
}

// Own properties only: a claim configured as `constructor` must not find Object's.
function ownClaim(claims: JWTPayload, name: string): unknown {
  return Object.hasOwn(claims, name) ? claims[name] : undefined
}
