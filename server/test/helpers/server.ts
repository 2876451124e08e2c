import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { readConfig } from '../../src/config.ts'
import { openDevIssuer } from '../../src/platform/tokens/dev-issuer.ts'
import { serve } from '../../src/roles/serve.ts'
import { createTestDatabase } from './database.ts'
import { makeFolder } from './folder.ts'
import { atEnd, type Scope } from './scope.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

export interface TestServer {
  url: string
  databaseUrl: string
  dataDir: string
  token(email?: string, client?: string): Promise<string>
  /** A request with JSON in and out, and a token unless `token` is null. */
  call(method: string, path: string, options?: CallOptions): Promise<Answer>
  stop(): Promise<void>
}

export interface CallOptions {
  body?: unknown
  token?: string | null
  headers?: Record<string, string>
}

export interface Answer {
  status: number
  headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: tests look at whatever came back
  body: any
}

/** Environment of a server under test, on a database and a data folder that are made when not given. */
async function testEnvironment(scope: Scope, env: Record<string, string>): Promise<Record<string, string>> {
  return {
    PORT: '0',
    LOG_LEVEL: 'silent',
    AUTH: 'dev',
    DATABASE_URL: env.DATABASE_URL ?? (await createTestDatabase(scope)),
    PEBBLES_DATA: env.PEBBLES_DATA ?? (await createTestDir(scope)),
    ...env,
  }
}

/** A folder of its own, removed afterwards. */
export async function createTestDir(scope: Scope): Promise<string> {
  const dir = await makeFolder()
  atEnd(scope, () => rm(dir, { recursive: true, force: true }))
  return dir
}

/** Runs a whole server inside this process. */
export async function startServer(scope: Scope, env: Record<string, string> = {}): Promise<TestServer> {
  const full = await testEnvironment(scope, env)
  const running = await serve(readConfig(full))
  let stopped: Promise<void> | undefined
  const stop = () => {
    stopped ??= Promise.resolve(running[Symbol.asyncDispose]())
    return stopped
  }
  atEnd(scope, stop)
  return describe(running.url, full, stop)
}

export interface SpawnedServer extends TestServer {
  process: ChildProcess
  /** `kill -9`, and waits until it is gone. */
  kill(): Promise<void>
}

/** Runs a whole server as a process of its own, which can be killed. */
export async function spawnServer(scope: Scope, env: Record<string, string> = {}): Promise<SpawnedServer> {
  const full = await testEnvironment(scope, env)
  const child = spawn(process.execPath, [MAIN, 'serve'], {
    env: { ...process.env, ...full },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const exited = once(child, 'exit')
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal)
    await exited
  }
  atEnd(scope, () => end('SIGTERM'))
  const url = await readAddress(child)
  return {
    ...describe(url, full, () => end('SIGTERM')),
    process: child,
    kill: () => end('SIGKILL'),
  }
}

/** Runs a process without the role `api`. Nobody waits until it is ready, and it may end by itself when the database is away. */
export function spawnWorker(
  scope: Scope,
  env: Record<string, string> & { DATABASE_URL: string; PEBBLES_DATA: string },
): Pick<SpawnedServer, 'process' | 'kill' | 'stop'> {
  const child = spawn(process.execPath, [MAIN, 'serve'], {
    env: { ...process.env, PORT: '0', LOG_LEVEL: 'silent', AUTH: 'dev', PEBBLES_ROLES: 'imports', ...env },
    stdio: 'ignore',
  })
  const exited = once(child, 'exit')
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal)
    await exited
  }
  atEnd(scope, () => end('SIGTERM'))
  return { process: child, kill: () => end('SIGKILL'), stop: () => end('SIGTERM') }
}

/** The address that a starting server tells on standard error. */
async function readAddress(child: ChildProcess): Promise<string> {
  const lines: string[] = []
  for await (const line of createInterface({ input: child.stderr! })) {
    lines.push(line)
    const url = /listens on (http:\S+)/.exec(line)?.[1]
    if (url) {
      child.stderr!.resume()
      return url
    }
  }
  throw new Error(`the server did not start:\n${lines.join('\n')}`)
}

function describe(url: string, env: Record<string, string>, stop: () => Promise<void>): TestServer {
  const dataDir = env.PEBBLES_DATA!
  const issuer = openDevIssuer({ dataDir })
  const token = async (email = 'alice@example.com', client?: string) =>
    (await issuer).issue({ email, client })
  const defaultToken = token()

  async function call(method: string, path: string, options: CallOptions = {}): Promise<Answer> {
    const bearer = options.token === undefined ? await defaultToken : options.token
    const isRaw = typeof options.body === 'string' || options.body instanceof Uint8Array
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        ...(bearer !== null && { authorization: `Bearer ${bearer}` }),
        ...(options.body !== undefined && { 'content-type': 'application/json' }),
        ...options.headers,
      },
      ...(options.body !== undefined && {
        body: (isRaw ? options.body : JSON.stringify(options.body)) as string | Uint8Array<ArrayBuffer>,
      }),
    })
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.includes('json')
    return {
      status: response.status,
      headers: response.headers,
      body: isJson && text ? JSON.parse(text) : text,
    }
  }

  return { url, databaseUrl: env.DATABASE_URL!, dataDir, token, call, stop }
}

/** An update with only what differs written out. */
export function update(filename: string, more: Record<string, unknown> = {}) {
  return { filename, counts: { done: 1, warn: 0, failed: 0 }, ...more }
}
