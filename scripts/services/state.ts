import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { ServiceName } from './service.ts'

const LOCK_TIMEOUT_MS = 300_000

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

/** One command at a time: two that started the same server would work on the same data. */
export async function withLock<T>(root: string, work: () => Promise<T>): Promise<T> {
  await mkdir(root, { recursive: true })
  // SQLite brings the lock that Node lacks; the kernel gives it up with the process.
  using lock = new DatabaseSync(join(root, 'lock'), { timeout: LOCK_TIMEOUT_MS })
  lock.exec('PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE')
  return await work()
}
