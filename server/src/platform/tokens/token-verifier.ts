/**
 * Tells who sends a bearer token (RFC 6750, RFC 7519, with the advice of RFC 8725).
 *
 * The same few tokens come thousands of times a second, so a token verified once is answered from memory,
 * synchronously, until it expires or its key is withdrawn.
 */
import { hash } from 'node:crypto'
import { jwtVerify } from 'jose'
import { PebblesError } from '../errors.ts'
import { type Identity, type IdentityRules, identityOf } from './identity.ts'
import type { IssuerKeys } from './issuer-keys.ts'
import { EXPIRED, NOT_YET_VALID, refusalOf, refused } from './refusals.ts'
import { createVerifiedTokens, type VerifiedToken } from './verified-tokens.ts'

export interface TokenVerifier {
  /**
   * Who the token speaks for. A token verified before is answered synchronously (the identity itself, or a
   * synchronous throw); any other with a promise.
   *
   * @param token the compact JWT, without the word `Bearer`; at most 8,192 characters
   * @throws PebblesError `unauthorized` saying what is wrong, never quoting the token; `unavailable` with
   *   `retryAfterSeconds` when the issuer's keys cannot be fetched and it therefore cannot be known
   */
  verify(token: string): Identity | Promise<Identity>
}

export interface TokenVerifierOptions extends IdentityRules {
  /** Accepted values of `iss`. */
  issuers: readonly string[]
  /** Accepted audiences: one of them must be (in) `aud`. */
  audience: string | readonly string[]
  /** Accepted signature algorithms, all from ASYMMETRIC_ALGORITHMS. */
  algorithms: readonly string[]
  keys: IssuerKeys
  /** Unix milliseconds. Default: Date.now. */
  now?: (() => number) | undefined
  /** Number of verified tokens remembered, at least 1. Default: 10,000 (about 3 MB). */
  cacheSize?: number | undefined
}

/**
 * Every signature algorithm accepted anywhere: only those with a public key (RFC 7518 §3.1, RFC 8037,
 * RFC 9864). With an HMAC algorithm whoever knows the published key could sign; `none` needs no key at all.
 */
export const ASYMMETRIC_ALGORITHMS: readonly string[] = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
]

// Real tokens are 0.3–3 KB; node:http caps all the headers of a request at 16 KiB anyway.
const MAX_TOKEN_LENGTH = 8192

// For the clocks of issuer and server running apart; much more would prolong expired tokens.
const CLOCK_TOLERANCE_SECONDS = 5

/** @throws PebblesError `misconfigured` when an option would switch a check off */
export function createTokenVerifier(options: TokenVerifierOptions): TokenVerifier {
  const { keys, now = Date.now, cacheSize = 10_000 } = options
  const { issuers, audience, algorithms } = checkedLists(options)
  if (!Number.isSafeInteger(cacheSize) || cacheSize < 1) {
    throw new PebblesError('misconfigured', 'The number of remembered tokens must be at least 1')
  }

  const verified = createVerifiedTokens(cacheSize)
  // Verifications under way, so that a token that arrives in many requests at once is verified once. As
  // large as the number of requests in flight, which the HTTP server bounds.
  const pending = new Map<string, Promise<Identity>>()
  let generation = 0

  async function verifyAnew(token: string, digest: string): Promise<Identity> {
    const startedIn = generation
    try {
      const { payload } = await jwtVerify(token, keys.find, {
        issuer: issuers,
        audience,
        algorithms,
        requiredClaims: ['exp'],
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
        currentDate: new Date(now()),
      })
      const identity = identityOf(payload, options)
      // Not remembered when a key was withdrawn meanwhile: it may be the very key that verified this one.
      if (keys.watch(now()) === startedIn) {
        verified.set(digest, {
          identity,
          validFromMs: ((payload.nbf ?? Number.NEGATIVE_INFINITY) - CLOCK_TOLERANCE_SECONDS) * 1000,
          expiresAtMs: (payload.exp! + CLOCK_TOLERANCE_SECONDS) * 1000,
        })
      }
      return identity
    } catch (error) {
      // Refusals are not remembered. An attacker makes as many different tokens as they like, so a memory of
      // bad ones bounds nothing and pushes good ones out; and a key that is unknown now may be known soon.
      throw refusalOf(error)
    }
  }

  function recall(digest: string, nowMs: number): Identity | undefined {
    const found: VerifiedToken | undefined = verified.get(digest)
    if (found === undefined) return undefined
    if (nowMs >= found.expiresAtMs) {
      verified.delete(digest)
      throw refused(EXPIRED)
    }
    if (nowMs < found.validFromMs) throw refused(NOT_YET_VALID)
    return found.identity
  }

  return {
    verify(token) {
      if (token === '') throw refused('The token is empty')
      if (token.length > MAX_TOKEN_LENGTH) throw refused('The token is too long')

      const nowMs = now()
      const current = keys.watch(nowMs)
      if (current !== generation) {
        verified.clear()
        generation = current
      }
      const digest = hash('sha256', token, 'hex')
      const known = recall(digest, nowMs)
      if (known !== undefined) return known

      const underWay = pending.get(digest)
      if (underWay !== undefined) return underWay
      const verification = verifyAnew(token, digest).finally(() => pending.delete(digest))
      pending.set(digest, verification)
      return verification
    },
  }
}

// jose skips the check of an option that is left out, and `aud: ""` equals an audience of "": an empty
// environment variable must not open the door.
function checkedLists(options: TokenVerifierOptions) {
  const issuers = [...options.issuers]
  const audience = typeof options.audience === 'string' ? [options.audience] : [...options.audience]
  const algorithms = [...options.algorithms]
  const lists = { issuer: issuers, audience, algorithm: algorithms, 'client claim': [options.clientClaim] }
  for (const [name, values] of Object.entries(lists)) {
    if (values.length === 0 || values.includes('')) {
      throw new PebblesError('misconfigured', `The ${name} of tokens must not be empty`)
    }
  }
  if (!algorithms.every((algorithm) => ASYMMETRIC_ALGORITHMS.includes(algorithm))) {
    throw new PebblesError('misconfigured', 'Tokens must be signed with an asymmetric algorithm')
  }
  return { issuers, audience, algorithms }
}
