import { PebblesApiError, PebblesConnectionError } from './errors.ts'
import type { Problem } from './openapi.ts'
import { parseRetryAfter } from './retry.ts'

/** A bearer token, or what gets one: called for the first request, and once more whenever the service answers 401. */
export type TokenSource = string | (() => string | Promise<string>)

/** Where the service is, and who calls. */
export interface Connection {
  /** Such as `http://127.0.0.1:8081`; a path prefix is kept. */
  url: string
  token?: TokenSource | undefined
  /** Default: the global `fetch`. */
  fetch?: typeof globalThis.fetch | undefined
}

export interface RequestOptions {
  method?: string
  headers?: Record<string, string>
  body?: string
  /** Aborts the request, and the reading of its answer. */
  signal?: AbortSignal | undefined
}

export interface Caller {
  /** Sends a request and waits for the head of its answer, whose body is then read by the caller. */
  open(path: string, options?: RequestOptions): Promise<Response>
  /** Sends a request and reads the whole answer, which must be JSON. */
  json(path: string, options?: RequestOptions): Promise<unknown>
  /** The same for a list, with the cursor (`?after=`) of its next page when there is one. */
  page(path: string, options?: RequestOptions): Promise<{ value: unknown; next: string | undefined }>
}

/** Only the cursor: the path is the service's own, and a proxy in between may have another. */
const NEXT_PAGE = /[?&]after=([\w-]+)[^>]*>; rel="next"/

/** An answer that takes longer than this counts as none. */
const TIMEOUT_MS = 30_000

/**
 * Makes requests with a token. Every refusal is thrown as {@link PebblesApiError}, every answer that did not come
 * whole as {@link PebblesConnectionError}.
 *
 * @throws TypeError when `url` is not one
 */
export function createCaller({ url, token, fetch = globalThis.fetch }: Connection): Caller {
  const base = new URL(url).href.replace(/\/+$/, '')
  let known = typeof token === 'string' ? token : undefined

  async function getToken(): Promise<string | undefined> {
    if (known !== undefined || typeof token !== 'function') return known
    try {
      known = await token()
      return known
    } catch (cause) {
      throw new PebblesConnectionError('No token could be had.', { cause })
    }
  }

  async function send(path: string, options: RequestOptions): Promise<Response> {
    const bearer = await getToken()
    // Outside the `try`: a token that cannot be a header will not become one by trying again.
    const headers = new Headers({ ...options.headers, ...(bearer && { authorization: `Bearer ${bearer}` }) })
    const { method = 'GET', body = null, signal = null } = options
    try {
      // Followed, a redirected POST could arrive as a GET whose answer looks like success.
      return await fetch(base + path, { method, headers, body, signal, redirect: 'manual' })
    } catch (cause) {
      throw new PebblesConnectionError(`${base} did not answer.`, { cause })
    }
  }

  async function sendWithFreshToken(path: string, options: RequestOptions): Promise<Response> {
    const response = await send(path, options)
    if (response.status !== 401 || typeof token !== 'function') return accept(response)
    await response.body?.cancel()
    known = undefined
    return accept(await send(path, options))
  }

  const page: Caller['page'] = (path, options = {}) =>
    withTimeout(options.signal, async (signal) => {
      const response = await sendWithFreshToken(path, { ...options, signal })
      const value = parseJson(await readText(response))
      // Whoever answered so was not the service.
      if (value === undefined) throw new PebblesApiError(response.status)
      return { value, next: NEXT_PAGE.exec(response.headers.get('link') ?? '')?.[1] }
    })

  return {
    open: (path, options = {}) =>
      withTimeout(options.signal, async (signal, untilHead) => {
        const response = await sendWithFreshToken(path, { ...options, signal })
        untilHead()
        return response
      }),
    page,
    json: async (path, options) => (await page(path, options)).value,
  }
}

async function accept(response: Response): Promise<Response> {
  if (response.ok) return response
  const isProblem = response.headers.get('content-type')?.startsWith('application/problem+json')
  const text = await readText(response)
  const problem = isProblem ? (parseJson(text) as Problem | undefined) : undefined
  const retryAfterMs = parseRetryAfter(response.headers.get('retry-after'))
  throw new PebblesApiError(response.status, { problem, retryAfterMs })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

async function readText(response: Response): Promise<string> {
  try {
    return await response.text()
  } catch (cause) {
    throw new PebblesConnectionError('The answer was cut off.', { cause })
  }
}

/** Runs `work` with a signal that follows `outer` and ends after the time-out, unless `disarm` was called before. */
async function withTimeout<T>(
  outer: AbortSignal | undefined,
  work: (signal: AbortSignal, disarm: () => void) => Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  const follow = () => controller.abort(outer?.reason)
  const timer = setTimeout(() => controller.abort(new Error(`no answer in ${TIMEOUT_MS} ms`)), TIMEOUT_MS)
  let isDisarmed = false
  if (outer?.aborted) follow()
  outer?.addEventListener('abort', follow)
  const disarm = () => {
    isDisarmed = true
    clearTimeout(timer)
  }
  try {
    return await work(controller.signal, disarm)
  } finally {
    clearTimeout(timer)
    // A body that is still to be read goes on following the caller's signal.
    if (!isDisarmed) outer?.removeEventListener('abort', follow)
  }
}
