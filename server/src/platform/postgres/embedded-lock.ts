import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { PebblesError } from '../errors.ts'

const SQLITE_BUSY = 5

/** How long a refused process looks for the name of the one that holds the folder. */
const HOLDER_WAIT_MS = 1_000

/** What `running.json` says about the Pebbles that uses a folder. */
export interface Running {
  pid: number
  host: string
  /** Present as soon as the database answers. */
  url?: string
}

export interface FolderLock {
  /** Tells others where the database is, in `running.json`. */
  publish(url: string): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Keeps the handles from being collected, which would release their locks. */
const held = new Set<DatabaseSync>()

/**
 * Makes this process the one that uses `folder`, until it releases the folder or ends, however it ends.
 *
 * Node has no flock, but SQLite, which Node brings, takes the same kind of lock: an exclusive transaction on
 * the empty file `lock` that is never committed. The kernel gives it up with the process, so there is no stale
 * lock to judge, no number of a process that another one may have by now, and no race between two that start
 * together; it also holds between containers that share the folder, where process numbers mean nothing. The
 * children of this process do not inherit it, so an orphaned postmaster does not hold it.
 *
 * Nothing else in this process may open `lock`: closing it would release the lock (POSIX).
 *
 * @throws PebblesError `in_use` naming the folder and the process; `misconfigured` when the folder cannot be locked
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const database = await takeLock(folder)
  held.add(database)
  const release = async () => {
    await rm(join(folder, 'running.json'), { force: true })
    held.delete(database)
    database.close()
  }
  const running: Running = { pid: process.pid, host: hostname() }
  try {
    await writeRunning(folder, running)
  } catch (error) {
    await release()
    throw error
  }
  return {
    publish: (url) => writeRunning(folder, { ...running, url }),
    [Symbol.asyncDispose]: release,
  }
}

async function takeLock(folder: string): Promise<DatabaseSync> {
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(join(folder, 'lock'))
    // No journal file: nothing is ever written.
    database.exec('PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE')
    return database
  } catch (cause) {
    database?.close()
    if ((cause as { errcode?: number }).errcode === SQLITE_BUSY) throw await describeRefusal(folder)
    throw new PebblesError('misconfigured', `The data folder ${folder} cannot be locked.`, { cause })
  }
}

async function describeRefusal(folder: string): Promise<PebblesError> {
  const holder = await findHolder(folder)
  const name = holder === undefined ? 'another process' : describeHolder(holder)
  return new PebblesError(
    'in_use',
    `The data folder ${folder} is in use by ${name}. Stop that Pebbles first, or give this one another PEBBLES_DATA.`,
  )
}

/** The holder writes its name just after it took the lock, and may have found an older name there. */
async function findHolder(folder: string): Promise<Running | undefined> {
  const deadline = Date.now() + HOLDER_WAIT_MS
  for (;;) {
    const running = await readRunning(folder)
    if (running !== undefined && (running.host !== hostname() || isAlive(running.pid))) return running
    if (Date.now() > deadline) return undefined
    await sleep(25)
  }
}

function describeHolder(holder: Running): string {
  return `process ${holder.pid}${holder.host === hostname() ? '' : ` on ${holder.host}`}`
}

/** Whether a process with that number exists, whoever's it is. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

async function writeRunning(folder: string, running: Running): Promise<void> {
  const path = join(folder, 'running.json')
  await writeFile(`${path}.new`, `${JSON.stringify(running, null, 2)}\n`, { mode: 0o600 })
  await rename(`${path}.new`, path)
}

async function readRunning(folder: string): Promise<Running | undefined> {
  try {
    return JSON.parse(await readFile(join(folder, 'running.json'), 'utf8')) as Running
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
