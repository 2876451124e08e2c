/**
 * Reads what an issuer publishes: its discovery document and, as jose's fetch, its key set.
 *
 * Redirects are not followed (an issuer's address is configuration, not something a response may change),
 * only 200 counts, and a body beyond the cap is dropped while it is read.
 */
import type { FetchImplementation } from 'jose'
import { PebblesError } from '../errors.ts'

// Google's set is about 1.5 KB, the largest seen at other issuers some 30 KB.
const MAX_DOCUMENT_BYTES = 256 * 1024

/**
 * `fetch` for documents of an issuer, in the shape of jose's `customFetch`. The signal covers the body too.
 *
 * @throws PebblesError `unavailable` for a status other than 200 or a body over 256 KiB; else what fetch throws
 */
export const fetchDocument: FetchImplementation = async (url, init) => {
  const response = await fetch(url, init)
  if (response.status !== 200) {
    await response.body?.cancel()
    throw new PebblesError('unavailable', `The token issuer answered with status ${response.status}`)
  }
  const chunks: Uint8Array[] = []
  let sizeBytes = 0
  for await (const chunk of response.body ?? []) {
    sizeBytes += chunk.byteLength
    // Leaving the loop cancels the stream, and with it the download.
    if (sizeBytes > MAX_DOCUMENT_BYTES) {
      throw new PebblesError('unavailable', 'A document of the token issuer is too large')
    }
    chunks.push(chunk)
  }
  return new Response(Buffer.concat(chunks))
}

/**
 * Where an OpenID provider publishes its keys (OpenID Connect Discovery 1.0 §4).
 *
 * @param issuer the `iss` its tokens carry, e.g. `https://login.example.org/realms/main`
 * @param timeoutMs for the whole exchange
 * @throws PebblesError `misconfigured` when the document belongs to another issuer or gives no usable address
 *   of keys; `unavailable` or fetch's own error when it cannot be read
 */
export async function discoverKeySet(issuer: string, timeoutMs: number): Promise<URL> {
  // §4.1: a terminating slash of the issuer is removed before the path is appended.
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  const response = await fetchDocument(url, {
    method: 'GET',
    headers: new Headers({ accept: 'application/json' }),
    redirect: 'manual',
    signal: AbortSignal.timeout(timeoutMs),
  })
  const document: unknown = await response.json()
  if (!isRecord(document)) throw misconfigured('The discovery document of the token issuer is not an object')
  // §4.3: it must be the very issuer that was asked, or one tenant of a host could speak for another.
  if (document.issuer !== issuer) throw misconfigured('The discovery document names another token issuer')
  const address = typeof document.jwks_uri === 'string' ? URL.parse(document.jwks_uri) : null
  if (address === null) throw misconfigured('The discovery document gives no address of keys')
  // Plain http only where the operator chose it for the issuer itself (a test, a cluster's own network).
  const isAllowed = address.protocol === 'https:' || address.protocol === new URL(issuer).protocol
  if (!isAllowed) throw misconfigured('The discovery document gives an address of keys that is not https')
  return address
}

function misconfigured(message: string): PebblesError {
  return new PebblesError('misconfigured', message)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
