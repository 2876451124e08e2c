import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Address, RunningService, StartOptions } from './service.ts'

const READY_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 15_000

export interface ServerCommand extends Address {
  command: string
  args: string[]
  port: number
  /** Whether it answers; asked again and again until it does. A failure is a no. */
  answers(): Promise<boolean>
}

/** Starts a server in a process group of its own, its output going to `server.log`, and waits until it answers. */
export async function startProcess(options: StartOptions, server: ServerCommand): Promise<RunningService> {
  await mkdir(options.dataDir, { recursive: true })
  let child: ChildProcess | undefined

  async function start(): Promise<void> {
    child = launch(options, server)
    // Half started it is of no use to anybody.
    const undo = options.outlives ? onInterruption(() => signalGroup(child?.pid, 'SIGKILL')) : () => {}
    try {
      if (child.pid !== undefined) await options.onSpawn?.(child.pid)
      await waitUntilItAnswers(child, options, server)
    } catch (error) {
      await end('SIGKILL')
      throw error
    } finally {
      undo()
    }
  }

  async function end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const running = child
    child = undefined
    if (running?.pid === undefined || hasEnded(running)) return
    const ended = once(running, 'exit')
    signalGroup(running.pid, signal)
    // A frozen process takes no SIGTERM.
    if (signal === 'SIGTERM') signalGroup(running.pid, 'SIGCONT')
    if (await Promise.race([ended, delay(STOP_TIMEOUT_MS, undefined, { ref: false })])) return
    signalGroup(running.pid, 'SIGKILL')
    await ended
  }

  await start()
  const stop = () => end('SIGTERM')
  return {
    url: server.url,
    env: server.env,
    port: server.port,
    get pid() {
      return child?.pid
    },
    stop,
    kill: () => end('SIGKILL'),
    freeze: () => signalGroup(child?.pid, 'SIGSTOP'),
    thaw: () => signalGroup(child?.pid, 'SIGCONT'),
    async restart() {
      await stop()
      await start()
    },
    [Symbol.asyncDispose]: stop,
  }
}

function launch(options: StartOptions, server: ServerCommand): ChildProcess {
  const log = openSync(logOf(options.dataDir), 'a')
  try {
    const [command, ...args] = [...(options.outlives ? [] : diesWithUs()), server.command, ...server.args]
    const child = spawn(command!, args, {
      cwd: options.dataDir,
      stdio: ['ignore', log, log],
      detached: true,
    })
    if (options.outlives) child.unref()
    return child
  } finally {
    closeSync(log)
  }
}

/** A test that is killed cannot stop its servers; the kernel can. Elsewhere than on Linux they would stay. */
let deathSignal: string[] | undefined
function diesWithUs(): string[] {
  const asked = ['setpriv', '--pdeathsig', 'KILL'] as const
  deathSignal ??= spawnSync(asked[0], [...asked.slice(1), 'true']).status === 0 ? [...asked] : []
  return deathSignal
}

/** @returns takes it back */
function onInterruption(work: () => void): () => void {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  const onSignal = () => {
    work()
    process.exit(1)
  }
  for (const signal of signals) process.on(signal, onSignal)
  return () => {
    for (const signal of signals) process.off(signal, onSignal)
  }
}

async function waitUntilItAnswers(
  child: ChildProcess,
  options: StartOptions,
  server: ServerCommand,
): Promise<void> {
  let failure: Error | undefined
  child.once('error', (error) => {
    failure = error
  })
  const deadline = Date.now() + READY_TIMEOUT_MS
  while (!(await server.answers().catch(() => false))) {
    if (failure === undefined && !hasEnded(child) && Date.now() < deadline) {
      await delay(20)
      continue
    }
    const path = logOf(options.dataDir)
    const log = await readFile(path, 'utf8').catch(() => '')
    const last = log.trimEnd().split('\n').slice(-20).join('\n')
    throw new Error(`${server.command} did not start. The end of ${path}:\n${last}`, { cause: failure })
  }
}

/** Where a server on that data writes what it has to say. */
export function logOf(dataDir: string): string {
  return join(dataDir, 'server.log')
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

export function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/**
 * A port that was free a moment ago. Not one of those that the kernel gives to outgoing connections (from 32768 on, or
 * higher): while a server is away, a client that tries to reach it again would in the end be given the server's own.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const candidate = randomInt(10_000, 32_768)
    if (given.has(candidate)) continue
    const server = createServer().listen(candidate, '127.0.0.1')
    try {
      await once(server, 'listening')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') continue
      throw error
    }
    given.add(candidate)
    await once(server.close(), 'close')
    return candidate
  }
}

const given = new Set<number>()
