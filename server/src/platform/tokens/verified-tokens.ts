/**
 * The tokens verified before, by the SHA-256 of their text: a bounded, least-recently-used map.
 *
 * It holds digests and identities, never a token: a heap dump gives nobody a credential. The exact order
 * costs a delete and a set for each hit, about 0.1 µs beside 1.2 µs for the digest, so an approximation was
 * not worth its words.
 */
import type { Identity } from './identity.ts'

export interface VerifiedToken {
  readonly identity: Identity
  /** Unix milliseconds, tolerance included: usable while `validFromMs <= now < expiresAtMs`. */
  readonly validFromMs: number
  readonly expiresAtMs: number
}

export interface VerifiedTokens {
  /** The entry, which becomes the most recently used. */
  get(digest: string): VerifiedToken | undefined
  /** Adds an entry; beyond `capacity` the least recently used one goes. */
  set(digest: string, token: VerifiedToken): void
  delete(digest: string): void
  clear(): void
}

/** @param capacity number of tokens kept, at least 1 */
export function createVerifiedTokens(capacity: number): VerifiedTokens {
  // A Map iterates in the order of insertion, so its first key is the least recently used.
  const entries = new Map<string, VerifiedToken>()

  return {
    get(digest) {
      const found = entries.get(digest)
      if (found === undefined) return undefined
      entries.delete(digest)
      entries.set(digest, found)
      return found
    },
    set(digest, token) {
      entries.delete(digest)
      if (entries.size >= capacity) {
        const oldest = entries.keys().next()
        if (!oldest.done) entries.delete(oldest.value)
      }
      entries.set(digest, token)
    },
    delete(digest) {
      entries.delete(digest)
    },
    clear() {
      entries.clear()
    },
  }
}
