import { existsSync } from 'node:fs'
import { join } from 'node:path'
import {
  type Connection,
  PebblesApiError,
  PebblesConnectionError,
  PebblesTimeoutError,
  type Problem,
  type TokenSource,
} from '@pebbles/client'
import type { Command } from 'commander'
import { readConfig } from '../config.ts'
import { PebblesError } from '../platform/errors.ts'
import { openDevIssuer } from '../platform/tokens/dev-issuer.ts'

export interface ConnectionOptions {
  url?: string
  token?: string
}

/** Who a development token stands for: the same as a caller of a development server without a token. */
const DEV_EMAIL = 'dev@localhost'

/** The options of every command that speaks to a running service. */
export function addConnectionOptions(command: Command): Command {
  return command
    .option('--url <url>', 'where the service is (default: PEBBLES_URL, or this machine at PORT)')
    .option('--token <token>', 'bearer token (default: PEBBLES_TOKEN; on this machine a development token)')
}

/** @param client the only client that a development token is to speak for */
export function openConnection(options: ConnectionOptions, client?: string): Connection {
  const { PORT } = process.env
  const url = options.url ?? process.env.PEBBLES_URL ?? `http://127.0.0.1:${PORT || 8081}`
  if (!URL.canParse(url)) throw new PebblesError('invalid_request', `"${url}" is not an address.`)
  const token = options.token ?? process.env.PEBBLES_TOKEN
  return { url, token: token || findDevToken(url, client) }
}

/** One request to the service; `makeInit` is asked again when the request is repeated with a fresh token. */
export type Request = (path: string, makeInit?: () => Promise<RequestInit>) => Promise<Response>

/** For what the SDK has no call for. @throws PebblesError for every answer that is not a success */
export function createRequest(connection: Connection): Request {
  const { url, token } = connection

  async function send(path: string, makeInit?: () => Promise<RequestInit>): Promise<Response> {
    const bearer = typeof token === 'function' ? await token() : token
    const { headers, ...init } = (await makeInit?.()) ?? {}
    const all = new Headers(headers)
    if (bearer) all.set('authorization', `Bearer ${bearer}`)
    try {
      return await fetch(url.replace(/\/+$/, '') + path, { ...init, headers: all })
    } catch (cause) {
      throw asCommandError(new PebblesConnectionError('no answer', { cause }), connection)
    }
  }

  return async (path, makeInit) => {
    let response = await send(path, makeInit)
    if (response.status === 401 && typeof token === 'function') response = await send(path, makeInit)
    if (response.ok) return response
    const problem = (await response.json().catch(() => undefined)) as Problem | undefined
    throw asCommandError(new PebblesApiError(response.status, { problem }), connection)
  }
}

/** Turns what the SDK throws into what a person at a terminal can act on. */
export function asCommandError(error: unknown, { url }: Connection): unknown {
  if (error instanceof PebblesApiError) {
    const isAuth = error.status === 401
    const hint = isAuth ? '\nGive a token with --token or PEBBLES_TOKEN; see "pebbles token --help".' : ''
    return new PebblesError(isAuth ? 'unauthorized' : 'invalid_request', error.message + hint)
  }
  if (error instanceof PebblesConnectionError || error instanceof PebblesTimeoutError) {
    const message = `Nothing answers at ${url}. Is the service running there? Start it with "npm start", or name another one with --url.`
    return new PebblesError('unavailable', message, { cause: rootCause(error) })
  }
  return error
}

/** The innermost cause is the one that says something: `connect ECONNREFUSED …`. */
function rootCause(error: Error): unknown {
  return error.cause instanceof Error ? rootCause(error.cause) : error
}

function findDevToken(url: string, client?: string): TokenSource | undefined {
  const { auth, dataDir, JWT_CLIENT_CLAIM: clientClaim } = readConfig(process.env)
  if (auth !== 'dev' || !isLoopback(url) || !existsSync(join(dataDir, 'dev-issuer.json'))) return undefined
  const issue = async () =>
    (await openDevIssuer({ dataDir, clientClaim })).issue({ email: DEV_EMAIL, client })
  if (client !== undefined) return issue
  // None at first: a development server needs none to read and to import, and one that uses another data folder
  // would refuse ours. It is asked for again after a 401.
  let isFirst = true
  return () => {
    if (!isFirst) return issue()
    isFirst = false
    return ''
  }
}

function isLoopback(url: string): boolean {
  return /^(localhost|127(\.\d+){3}|\[::1\])$/.test(new URL(url).hostname)
}
