/**
 * The public keys of an issuer: which of them verifies a token, and when they are fetched again.
 *
 * jose fetches, parses, selects and imports; this file only decides *when* to fetch. jose's own policy is
 * switched off because it lacks three things that are needed here: it refuses known keys once they are old
 * and cannot be fetched again (every token would fail while the issuer is away), its cool-down starts only
 * at a fetch that succeeded, and it makes the first caller after `cacheMaxAge` wait for the network.
 */
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  customFetch,
  errors,
  type JSONWebKeySet,
  type JWTVerifyGetKey,
  type RemoteJWKSet,
} from 'jose'
import { PebblesError } from '../errors.ts'
import { fetchDocument } from './issuer-documents.ts'

export interface IssuerKeys {
  /**
   * Finds the key for a token's header, fetching when the keys or the `kid` are not known.
   *
   * @throws JWKSNoMatchingKey and jose's other errors; PebblesError `unavailable` when it cannot be known
   */
  readonly find: JWTVerifyGetKey
  /**
   * To be called at every verification, cached or not: starts a background refresh when the keys are old.
   * Synchronous. Returns a number that changes when a known key was withdrawn or replaced, which is when
   * earlier verifications stop counting.
   */
  watch(nowMs: number): number
}

export interface RemoteKeysOptions {
  /** Where the key set is; asked before every fetch, so that a provider may move it. */
  locate: () => URL | Promise<URL>
  /** Told of every failed refresh, also when the old keys go on serving. Must not throw. */
  onRefreshFailed: (error: PebblesError) => void
  /** Unix milliseconds. Default: Date.now. */
  now?: (() => number) | undefined
  /** Age at which keys are fetched again in the background. Default: 10 minutes. */
  maxAgeMs?: number | undefined
  /** Least time between two fetches while keys are known, whatever tokens arrive. Default: 30 s. */
  cooldownMs?: number | undefined
  /** Least time between two attempts while no keys are known yet. Default: 5 s. */
  firstRetryMs?: number | undefined
  /** Time-out of one fetch, body included. Default: 5 s. */
  timeoutMs?: number | undefined
}

/** Keys fetched from an issuer over HTTP, on first use; nothing is fetched here yet. */
export function createRemoteKeys(options: RemoteKeysOptions): IssuerKeys {
  const { locate, onRefreshFailed, now = Date.now } = options
  const { maxAgeMs = 600_000, cooldownMs = 30_000, firstRetryMs = 5_000, timeoutMs = 5_000 } = options

  let keys: RemoteJWKSet | undefined
  let generation = 0
  let fetchedAtMs = 0
  let attemptedAtMs = Number.NEGATIVE_INFINITY
  let failure: PebblesError | undefined
  let refreshing: Promise<void> | undefined

  const waitMs = () => (keys === undefined ? firstRetryMs : cooldownMs)

  // Callers share the one fetch in flight. It never rejects: what it found is in `keys` and `failure`.
  function refresh(): Promise<void> {
    refreshing ??= attempt().finally(() => {
      refreshing = undefined
    })
    return refreshing
  }

  async function attempt(): Promise<void> {
    try {
      const next = createRemoteJWKSet(await locate(), {
        timeoutDuration: timeoutMs,
        // It fetches once, below, and never by itself.
        cooldownDuration: Number.POSITIVE_INFINITY,
        cacheMaxAge: Number.POSITIVE_INFINITY,
        [customFetch]: fetchDocument,
      })
      await next.reload()
      // A broken issuer publishing nothing must not look like one that withdrew everything.
      if (publishedKeys(next).length === 0) {
        throw new PebblesError('unavailable', 'The token issuer publishes no keys')
      }
      if (keys !== undefined && withdrewKeys(keys, next)) generation += 1
      keys = next
      fetchedAtMs = now()
      failure = undefined
    } catch (error) {
      failure =
        error instanceof PebblesError
          ? error
          : new PebblesError('unavailable', 'The keys of the token issuer cannot be fetched', {
              cause: error,
            })
      onRefreshFailed(failure)
    } finally {
      attemptedAtMs = now()
    }
  }

  // After a failed fetch an unknown key proves nothing about the token: 503, so that callers try again,
  // rather than a 401 on which a producer would drop its update.
  function unavailable(): PebblesError {
    const leftMs = attemptedAtMs + waitMs() - now()
    return new PebblesError('unavailable', 'The keys of the token issuer cannot be fetched at the moment', {
      retryAfterSeconds: Math.max(1, Math.ceil(Math.min(leftMs, waitMs()) / 1000)),
      cause: failure,
    })
  }

  const find: JWTVerifyGetKey = async (header, token) => {
    if (keys === undefined && (refreshing !== undefined || hasPassed(attemptedAtMs, waitMs(), now()))) {
      await refresh()
    }
    if (keys === undefined) throw unavailable()
    const tried = keys
    try {
      return await tried(header, token)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error
      if (refreshing !== undefined || hasPassed(attemptedAtMs, waitMs(), now())) await refresh()
      if (keys !== tried) return keys(header, token)
      throw failure === undefined ? error : unavailable()
    }
  }

  return {
    find,
    watch(nowMs) {
      if (
        keys !== undefined &&
        hasPassed(fetchedAtMs, maxAgeMs, nowMs) &&
        hasPassed(attemptedAtMs, cooldownMs, nowMs)
      ) {
        void refresh()
      }
      return generation
    },
  }
}

/** Keys that this process holds itself and that never change. */
export function createLocalKeys(set: JSONWebKeySet): IssuerKeys {
  return { find: createLocalJWKSet(set), watch: () => 0 }
}

// A clock that was set back counts as passed: otherwise nothing would be fetched until it caught up.
function hasPassed(sinceMs: number, spanMs: number, nowMs: number): boolean {
  return nowMs < sinceMs || nowMs - sinceMs >= spanMs
}

function publishedKeys(set: RemoteJWKSet): string[] {
  return (set.jwks()?.keys ?? []).map((key) => JSON.stringify(key))
}

// A provider that writes the members of a key in another order looks like a change; that only costs a
// verification per token.
function withdrewKeys(before: RemoteJWKSet, after: RemoteJWKSet): boolean {
  const published = new Set(publishedKeys(after))
  return publishedKeys(before).some((key) => !published.has(key))
}
