/**
 * The development issuer: makes tokens on this machine, so that Pebbles can be tried without an account
 * anywhere. Whoever reads its key file can be anyone; it is for loopback only, which configuration enforces.
 */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { calculateJwkThumbprint, type JSONWebKeySet, SignJWT } from 'jose'
import { PebblesError } from '../errors.ts'
import { readOrCreateKey } from './dev-issuer-key.ts'
import { isFitName } from './identity.ts'

export interface DevTokenClaims {
  /** 1–320 UTF-16 units, no control characters. */
  email: string
  /** The client that the token speaks for; left out, it speaks for none. */
  client?: string | undefined
  /** Default: 43,200 (12 hours). */
  expiresInSeconds?: number | undefined
}

export interface DevIssuer {
  /** The `iss` of its tokens. */
  readonly issuer: string
  /** The `aud` of its tokens. */
  readonly audience: string
  /** The only algorithm of its tokens. */
  readonly algorithm: string
  /** The claim in which its tokens name the client. */
  readonly clientClaim: string
  /** Its public key. */
  jwks(): JSONWebKeySet
  /** A new token. @throws PebblesError `invalid_request` when a claim would not be accepted back */
  issue(claims: DevTokenClaims): Promise<string>
}

export interface DevIssuerOptions {
  /** `PEBBLES_DATA`: the folder of the key file `dev-issuer.json` (0600); both are made when missing. */
  dataDir: string
  /** Default: `client`. */
  clientClaim?: string | undefined
  /** Unix milliseconds. Default: Date.now. */
  now?: (() => number) | undefined
}

const DEFAULT_LIFETIME_SECONDS = 12 * 60 * 60

/**
 * Opens the issuer of a data folder. All that open the same folder, at whatever instant, share one key.
 *
 * @throws PebblesError `misconfigured` when the key file cannot be made or is not one
 */
export async function openDevIssuer(options: DevIssuerOptions): Promise<DevIssuer> {
  const { dataDir, clientClaim = 'client', now = Date.now } = options
  const identity = { issuer: 'pebbles-dev', audience: 'pebbles', algorithm: 'EdDSA', clientClaim } as const

  const privateKey = importKey(await readOrCreateKey(dataDir))
  const publicJwk = createPublicKey(privateKey).export({ format: 'jwk' })
  const kid = await calculateJwkThumbprint(publicJwk)

  return {
    ...identity,
    jwks: () => ({ keys: [{ ...publicJwk, kid, alg: identity.algorithm, use: 'sig' }] }),

    async issue({ email, client, expiresInSeconds = DEFAULT_LIFETIME_SECONDS }) {
      const faults = []
      if (!isFitName(email)) faults.push({ field: 'email', message: 'is not an e-mail address' })
      if (client !== undefined && !isFitName(client)) {
        faults.push({ field: 'client', message: 'is empty, too long or has control characters' })
      }
      if (!Number.isSafeInteger(expiresInSeconds) || expiresInSeconds < 1) {
        faults.push({ field: 'expiresInSeconds', message: 'must be a whole number of seconds, at least 1' })
      }
      if (faults.length > 0) {
        throw new PebblesError('invalid_request', 'No token can be made from this', { faults })
      }

      const issuedAt = Math.floor(now() / 1000)
      // The client comes first: a client claim named `email` or `sub` must not displace the real one.
      const named = client === undefined ? {} : { [clientClaim]: client }
      return new SignJWT({ ...named, sub: email, email, email_verified: true })
        .setProtectedHeader({ alg: identity.algorithm, typ: 'JWT', kid })
        .setIssuer(identity.issuer)
        .setAudience(identity.audience)
        .setIssuedAt(issuedAt)
        .setExpirationTime(issuedAt + expiresInSeconds)
        .sign(privateKey)
    },
  }
}

function importKey(jwk: Record<string, unknown>): KeyObject {
  try {
    const key = createPrivateKey({ key: jwk, format: 'jwk' })
    if (key.asymmetricKeyType === 'ed25519') return key
  } catch {
    // Answered below. The reason is left out on purpose: it may quote what the file holds.
  }
  throw new PebblesError(
    'misconfigured',
    'dev-issuer.json in the data folder holds no Ed25519 key; delete it to have a new one made',
  )
}
