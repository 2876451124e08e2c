import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import type { ServiceName } from './service.ts'

const LOCK_TIMEOUT_MS = 300_000
const SQLITE_BUSY = 5

/** A server that `up` has started, as `running/<name>.json` tells it. */
export interface Started {
  port: number
  /** `undefined` for a container. */
  process?: { pid: number; birth: string }
}

export async function readStarted(root: string, name: ServiceName): Promise<Started | undefined> {
  try {
    return JSON.parse(await readFile(fileOf(root, name), 'utf8')) as Started
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

export async function writeStarted(root: string, name: ServiceName, started: Started): Promise<void> {
  const file = fileOf(root, name)
  await mkdir(join(root, 'running'), { recursive: true })
  await writeFile(`${file}.new`, `${JSON.stringify(started, null, 2)}\n`)
  await rename(`${file}.new`, file)
}

export function forgetStarted(root: string, name: ServiceName): Promise<void> {
  return rm(fileOf(root, name), { force: true })
}

const fileOf = (root: string, name: ServiceName) => join(root, 'running', `${name}.json`)

/**
 * One command at a time: two that started the same server would work on the same data.
 *
 * @param onWait  is called once when another one is at work
 */
export async function withLock<T>(root: string, work: () => Promise<T>, onWait: () => void): Promise<T> {
  await mkdir(root, { recursive: true })
  // SQLite brings the lock that Node lacks; the kernel gives it up with the process.
  using lock = new DatabaseSync(join(root, 'lock'))
  const deadline = Date.now() + LOCK_TIMEOUT_MS
  for (let tries = 0; !tryLock(lock); tries++) {
    if (tries === 0) onWait()
    if (Date.now() > deadline)
      throw new Error(`another command has been at work for ${LOCK_TIMEOUT_MS / 60_000} minutes`)
    await delay(100)
  }
  return await work()
}

function tryLock(lock: DatabaseSync): boolean {
  try {
    lock.exec('PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE')
    return true
  } catch (error) {
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return false
    throw error
  }
}
