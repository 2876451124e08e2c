import { spawn } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Account } from './embedded-account.ts'

/**
 * How PostgreSQL's programs are run: from which folder, as whom, and how they are told where their data is.
 */
export interface Toolbox {
  /** Folder with `bin`, `lib` and `share`, which `account` can read. */
  readonly nativeDir: string
  /** The user that the programs run as; undefined: the user of this process. */
  readonly account: Account | undefined
  /** `18.4` */
  readonly version: string
}

/** What a program wrote, when it ended well. */
export interface ProgramOutput {
  stdout: string
  stderr: string
}

/**
 * Root may hand over a folder that the server's user cannot reach by its path, for instance below a home of
 * mode 0700. The child enters the folder while it is still root (libuv changes the directory before the user),
 * and from then on its own `/proc/self/cwd` leads there without passing the folders above. `-D .` would not
 * do: PostgreSQL makes that an absolute path again.
 */
export function dataArgument(toolbox: Toolbox, clusterDir: string): string {
  return toolbox.account === undefined ? clusterDir : '/proc/self/cwd'
}

/** Options of `spawn` for a program that works in `workingDir` as the server's user. */
export function spawnOptions(account: Account | undefined, workingDir: string) {
  return {
    cwd: workingDir,
    env: programEnvironment(),
    windowsHide: true,
    ...(account === undefined ? {} : { uid: account.uid, gid: account.gid }),
  }
}

/** `initdb`, `postgres` or `pg_ctl` in a folder of binaries. */
export function programPath(nativeDir: string, name: 'initdb' | 'postgres' | 'pg_ctl'): string {
  return join(nativeDir, 'bin', process.platform === 'win32' ? `${name}.exe` : name)
}

/**
 * Runs a program to its end.
 * @throws Error whose message holds the last lines that the program wrote, when it does not end well.
 */
export async function runProgram(
  path: string,
  args: string[],
  options: { account: Account | undefined; workingDir: string; input?: string },
): Promise<ProgramOutput> {
  const child = spawn(path, args, { ...spawnOptions(options.account, options.workingDir), stdio: 'pipe' })
  const output: ProgramOutput = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output.stderr += text
  })
  // A program that ends before it has read its input breaks the pipe; its exit code tells what went wrong.
  child.stdin.on('error', () => {})
  child.stdin.end(options.input ?? '')

  const { promise, resolve, reject } = Promise.withResolvers<void>()
  child.on('error', reject)
  child.on('close', (code, signal) => {
    if (code === 0) resolve()
    else
      reject(new Error(`${path} ended with ${signal ?? code}:\n${lastLines(output.stderr || output.stdout)}`))
  })
  await promise
  return output
}

/** Removes a folder that nobody needs any more; what hinders that is told, and is no reason to fail. */
export async function discardFolder(path: string, log: (message: string) => void): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true, maxRetries: 3 })
  } catch (error) {
    log(`Could not remove ${path}: ${String(error)}`)
  }
}

function lastLines(text: string): string {
  return text.trimEnd().split('\n').slice(-20).join('\n')
}

/**
 * Only what programs need to run: PG* variables of the user's shell would change what PostgreSQL does, and the
 * secrets that Pebbles is configured with are none of its business.
 */
function programEnvironment(): NodeJS.ProcessEnv {
  const kept = ['PATH', 'LD_LIBRARY_PATH', 'TMPDIR', 'TEMP', 'TMP', 'SystemRoot', 'windir']
  const env: NodeJS.ProcessEnv = { LC_ALL: 'C', TZ: 'UTC' }
  for (const name of kept) {
    const value = process.env[name]
    if (value !== undefined) env[name] = value
  }
  return env
}
