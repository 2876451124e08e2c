/**
 * The three ways in which Pebbles is configured to trust tokens: `AUTH=google`, `AUTH=oidc`, `AUTH=dev`.
 */
import { PebblesError } from '../errors.ts'
import type { DevIssuer } from './dev-issuer.ts'
import { discoverKeySet } from './issuer-documents.ts'
import { createLocalKeys, createRemoteKeys, type RemoteKeysOptions } from './issuer-keys.ts'
import { ASYMMETRIC_ALGORITHMS, createTokenVerifier, type TokenVerifier } from './token-verifier.ts'

/** Options shared by the sources whose keys are fetched; see RemoteKeysOptions for the times and defaults. */
export interface RemoteTokensOptions extends Omit<RemoteKeysOptions, 'locate'> {
  /** `JWT_CLIENT_CLAIM`: name of the claim that holds the client. */
  clientClaim: string
  /** Number of verified tokens remembered. Default: 10,000. */
  cacheSize?: number | undefined
}

const GOOGLE_ISSUERS = ['https://accounts.google.com', 'accounts.google.com']
const GOOGLE_KEYS = 'https://www.googleapis.com/oauth2/v3/certs'

/**
 * Google sign-in ID tokens, checked as Google asks of a backend
 * (developers.google.com/identity/gsi/web/guides/verify-google-id-token).
 *
 * @param options.clientId `GOOGLE_CLIENT_ID`, or several: the accepted audiences
 * @param options.keysUrl where the keys are; only tests have a reason to say so
 * @throws PebblesError `misconfigured`
 */
export function googleTokens(
  options: RemoteTokensOptions & { clientId: string | readonly string[]; keysUrl?: URL | undefined },
): TokenVerifier {
  const { clientId, keysUrl = new URL(GOOGLE_KEYS) } = options
  return createTokenVerifier({
    issuers: GOOGLE_ISSUERS,
    audience: clientId,
    algorithms: ['RS256'],
    emailVerified: 'boolean',
    keys: createRemoteKeys({ ...options, locate: () => keysUrl }),
    clientClaim: options.clientClaim,
    now: options.now,
    cacheSize: options.cacheSize,
  })
}

/**
 * Tokens of any OpenID Connect provider. Its discovery document is read on first use and before each fetch
 * of keys, so the server starts while the provider is away.
 *
 * @param options.issuer `OIDC_ISSUER`: the exact `iss` of its tokens, an http(s) URL without query
 * @param options.audience `OIDC_AUDIENCE`: accepted audiences
 * @throws PebblesError `misconfigured`
 */
export function oidcTokens(
  options: RemoteTokensOptions & { issuer: string; audience: string | readonly string[] },
): TokenVerifier {
  const { issuer, audience, timeoutMs = 5_000 } = options
  const url = URL.parse(issuer)
  if (url === null || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '') {
    throw new PebblesError('misconfigured', 'The issuer of tokens must be an http(s) URL without a query')
  }
  return createTokenVerifier({
    issuers: [issuer],
    audience,
    algorithms: ASYMMETRIC_ALGORITHMS,
    emailVerified: 'boolean-or-string',
    keys: createRemoteKeys({ ...options, timeoutMs, locate: () => discoverKeySet(issuer, timeoutMs) }),
    clientClaim: options.clientClaim,
    now: options.now,
    cacheSize: options.cacheSize,
  })
}

/** Tokens of the development issuer, with its key in this process; nothing is fetched. */
export function devTokens(options: {
  issuer: DevIssuer
  now?: (() => number) | undefined
  cacheSize?: number | undefined
}): TokenVerifier {
  const { issuer } = options
  return createTokenVerifier({
    issuers: [issuer.issuer],
    audience: issuer.audience,
    algorithms: [issuer.algorithm],
    emailVerified: 'boolean',
    keys: createLocalKeys(issuer.jwks()),
    clientClaim: issuer.clientClaim,
    now: options.now,
    cacheSize: options.cacheSize,
  })
}
