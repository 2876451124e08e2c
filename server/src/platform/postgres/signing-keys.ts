import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { calculateJwkThumbprint, type JWK } from 'jose'
import type { Pool } from 'pg'
import { PebblesError } from '../errors.ts'
import { inTransaction, orAway } from './database.ts'

export const SIGNING_ALGORITHM = 'EdDSA'

export interface SigningKey {
  kid: string
  privateKey: KeyObject
}

/** A key set (RFC 7517 § 5) of public keys. */
export interface PublicKeys {
  keys: JWK[]
}

/**
 * The keys with which this installation signs, Ed25519 (RFC 8037), kept in its database and so shared by all its
 * instances. The first one is made when it is first asked for. The newest signs; every public part stays published, so
 * a new key is a new row, and what an old one has signed can still be verified.
 *
 * Both methods throw PebblesError `unavailable` when the database cannot be reached.
 */
export interface SigningKeys {
  current(): Promise<SigningKey>
  published(): Promise<PublicKeys>
}

export function createSigningKeys(pool: Pool): SigningKeys {
  async function read(): Promise<SigningKey[]> {
    const { rows } = await pool.query(
      'SELECT kid, private_jwk FROM signing_keys ORDER BY created_at DESC, kid',
    )
    return rows.map(({ kid, private_jwk }) => ({ kid, privateKey: importKey(private_jwk) }))
  }

  async function ensure(): Promise<SigningKey[]> {
    const present = await read()
    if (present.length > 0) return present
    await createOnce(pool)
    return read()
  }

  return {
    current: async () => (await orAway(ensure()))[0]!,
    published: async () => ({ keys: (await orAway(ensure())).map(toPublic) }),
  }
}

/** However many processes ask at the same instant, one key is made. */
async function createOnce(pool: Pool): Promise<void> {
  const { privateKey } = await promisify(generateKeyPair)('ed25519')
  const jwk = privateKey.export({ format: 'jwk' })
  const kid = await calculateJwkThumbprint(jwk as JWK)
  await inTransaction(pool, async (tx) => {
    await tx.query(`SELECT pg_advisory_xact_lock(hashtext('pebbles.signing_keys'))`)
    await tx.query(
      `INSERT INTO signing_keys (kid, private_jwk) SELECT $1, $2 WHERE NOT EXISTS (SELECT FROM signing_keys)`,
      [kid, jwk],
    )
  })
}

/** Made from the private key and not stored beside it, so that the two cannot differ. */
function toPublic({ kid, privateKey }: SigningKey): JWK {
  const jwk = createPublicKey(privateKey).export({ format: 'jwk' }) as JWK
  return { ...jwk, kid, alg: SIGNING_ALGORITHM, use: 'sig' }
}

function importKey(jwk: Record<string, unknown>): KeyObject {
  try {
    return createPrivateKey({ key: jwk, format: 'jwk' })
  } catch {
    // Without the reason, which may quote the key.
    throw new PebblesError('internal', 'A signing key in the database cannot be read.')
  }
}
