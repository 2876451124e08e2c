import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { PebblesError } from '../errors.ts'
import { findOrphan, markOf } from './embedded-orphan.ts'
import { dataArgument, programPath, runProgram, spawnOptions, type Toolbox } from './embedded-program.ts'

/** A recovery after a crash replays at most about `max_wal_size`. */
const READY_TIMEOUT_MS = 300_000
/** A fast shutdown writes everything that is not yet on the disk. */
const FAST_STOP_TIMEOUT_MS = 60_000
/** An immediate one writes nothing, and the next start recovers. */
const IMMEDIATE_STOP_TIMEOUT_MS = 15_000
/** After the postmaster was killed, its children take a moment to notice. */
const REMAINS_TIMEOUT_MS = 15_000
const KEPT_LINES = 30
const REVIVE_MS = 1_000

/** Can be changed through `settings`, except what is said on the command line after them. */
const SETTINGS: Record<string, string> = {
  fsync: 'on',
  full_page_writes: 'on',
  synchronous_commit: 'on',
  max_connections: '100',
  shared_buffers: '128MB',
  max_wal_size: '1GB',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_checkpoints: 'off',
  // No statement and no detail line: both hold tenants' values.
  log_error_verbosity: 'terse',
  log_min_error_statement: 'panic',
}

export interface Server {
  readonly port: number
  /** Ends the server and waits for it. */
  stop(): Promise<void>
}

export interface ServerOptions {
  toolbox: Toolbox
  clusterDir: string
  log: (message: string) => void
  settings: Record<string, string>
}

/**
 * Ends the postmaster that an earlier Pebbles left behind, if there is one. It is not adopted: it would keep
 * the settings, the release and the open transactions of a Pebbles that is gone, and its log goes nowhere.
 */
export async function stopOrphan(
  toolbox: Toolbox,
  clusterDir: string,
  log: (message: string) => void,
): Promise<void> {
  const orphan = await findOrphan(clusterDir, log)
  if (orphan === undefined) return
  log(`Stopping PostgreSQL (process ${orphan.pid}), which an earlier Pebbles left behind`)
  await stopProcess(toolbox, orphan.pid, (timeoutMs) => orphan.waitForEnd(timeoutMs), log)
}

/**
 * Starts the server on a free port and waits until it takes connections. Should it die, it is started again, on the
 * same port and as often as it takes: whoever uses it sees a database that was away and has recovered.
 *
 * @throws PebblesError `unavailable` with the last lines of its log in the cause
 */
export async function startServer(options: ServerOptions): Promise<Server> {
  const port = await findFreePort()
  let current = await startAttempt(options, port)
  let stopping = false
  watch()

  function watch(): void {
    current.child.once('exit', (code, signal) => {
      if (stopping) return
      options.log(`The embedded PostgreSQL ended unexpectedly (${signal ?? code}); it is started again`)
      void revive()
    })
  }

  async function revive(): Promise<void> {
    while (!stopping) {
      try {
        current = await startAttempt(options, port)
        watch()
        // Asked to stop while it started.
        if (stopping) await current.stop()
        return
      } catch (error) {
        options.log(`The embedded PostgreSQL did not start again: ${(error as Error).message}`)
        await sleep(REVIVE_MS, undefined, { ref: false })
      }
    }
  }

  return {
    port,
    stop: async () => {
      stopping = true
      await current.stop()
    },
  }
}

async function startAttempt(options: ServerOptions, port: number): Promise<Attempt> {
  const givenUpAt = Date.now() + REMAINS_TIMEOUT_MS
  for (;;) {
    const attempt = await launch(options, port)
    let ready = false
    try {
      ready = await waitUntilReady(attempt, options.clusterDir)
      if (ready) return attempt
    } finally {
      if (!ready) await attempt.stop()
    }
    const lines = attempt.lines.join('\n')
    const passing = /could not create any TCP\/IP sockets|shared memory block .* is still in use/.test(lines)
    if (!passing || Date.now() > givenUpAt) {
      throw new PebblesError('unavailable', 'The embedded PostgreSQL did not start.', {
        cause: new Error(`The last lines of its log:\n${lines || attempt.failure || '(none)'}`),
      })
    }
    await sleep(100)
  }
}

interface Attempt {
  readonly child: ChildProcess
  /** The newest lines of its log. */
  readonly lines: string[]
  /** Why it could not be started at all. */
  failure: string | undefined
  stop(): Promise<void>
}

async function launch(options: ServerOptions, port: number): Promise<Attempt> {
  const { toolbox, clusterDir, log } = options
  const settings = Object.entries({ ...SETTINGS, ...options.settings }).map(
    ([name, value]) => `${name}=${value}`,
  )
  settings.push(
    `port=${port}`,
    'listen_addresses=127.0.0.1',
    // A socket file would have to be in a folder that both users reach, with a path of at most 107 bytes.
    'unix_socket_directories=',
    'logging_collector=off',
    'log_destination=stderr',
    await markOf(clusterDir),
  )
  const child = spawn(
    programPath(toolbox.nativeDir, 'postgres'),
    ['-D', dataArgument(toolbox, clusterDir), ...settings.flatMap((setting) => ['-c', setting])],
    {
      ...spawnOptions(toolbox.account, clusterDir),
      stdio: ['ignore', 'ignore', 'pipe'],
      // Its own process group: the terminal's Ctrl-C is for Pebbles, which drains first.
      detached: true,
    },
  )
  const ended = Promise.withResolvers<void>()
  const attempt: Attempt = {
    child,
    lines: [],
    failure: undefined,
    stop: async () => {
      if (child.pid === undefined || hasEnded(child)) return
      const waitForEnd = (timeoutMs: number) =>
        Promise.race([ended.promise.then(() => true), sleep(timeoutMs, false, { ref: false })])
      await stopProcess(toolbox, child.pid, waitForEnd, log)
    },
  }
  child.on('error', (error) => {
    attempt.failure = error.message
    ended.resolve()
  })
  child.on('exit', () => ended.resolve())
  createInterface({ input: child.stderr }).on('line', (line) => {
    attempt.lines.push(line)
    if (attempt.lines.length > KEPT_LINES) attempt.lines.shift()
    log(line)
  })
  return attempt
}

/** False when it ended, or did not become ready in time. */
async function waitUntilReady(attempt: Attempt, clusterDir: string): Promise<boolean> {
  const deadline = Date.now() + READY_TIMEOUT_MS
  const closed = once(attempt.child, 'close').then(
    () => true,
    () => true,
  )
  for (;;) {
    if (await isReady(attempt, clusterDir)) return true
    // Waiting for 'close', not 'exit', leaves the last lines of its log time to arrive.
    if (await Promise.race([closed, sleep(20, false)])) return false
    if (Date.now() > deadline) {
      attempt.lines.push(`(not ready after ${READY_TIMEOUT_MS / 1000} s)`)
      return false
    }
  }
}

/** The postmaster tells its state on the eighth line of its file. */
async function isReady(attempt: Attempt, clusterDir: string): Promise<boolean> {
  const text = await readFile(join(clusterDir, 'postmaster.pid'), 'utf8').catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return ''
      throw error
    },
  )
  const lines = text.split('\n')
  return Number(lines[0]) === attempt.child.pid && lines[7]?.trim() === 'ready'
}

/** Fast shutdown, and the immediate one when that does not end. */
async function stopProcess(
  toolbox: Toolbox,
  pid: number,
  waitForEnd: (timeoutMs: number) => Promise<boolean>,
  log: (message: string) => void,
): Promise<void> {
  await signal(toolbox, pid, 'INT')
  if (await waitForEnd(FAST_STOP_TIMEOUT_MS)) return
  log(`PostgreSQL (process ${pid}) does not end; ending it at once`)
  await signal(toolbox, pid, 'QUIT')
  if (await waitForEnd(IMMEDIATE_STOP_TIMEOUT_MS)) return
  throw new PebblesError('unavailable', `PostgreSQL (process ${pid}) does not end.`)
}

/** On Windows PostgreSQL gets its signals through a pipe that pg_ctl knows. */
async function signal(toolbox: Toolbox, pid: number, name: 'INT' | 'QUIT'): Promise<void> {
  if (process.platform === 'win32') {
    await runProgram(programPath(toolbox.nativeDir, 'pg_ctl'), ['kill', name, String(pid)], {
      account: toolbox.account,
      workingDir: toolbox.nativeDir,
    })
    return
  }
  try {
    process.kill(pid, `SIG${name}`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('No TCP address')
  return address.port
}
