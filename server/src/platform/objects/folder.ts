import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { PebblesError } from '../errors.ts'
import type { ObjectInfo, ObjectStore, StagedObject } from './objects.ts'

const CHUNK_BYTES = 256 * 1024
const NAME = /^[\w-][\w.-]*(\/[\w-][\w.-]*)*$/

/**
 * Objects as files below one folder. A file is written to `partial/`, synced, and renamed to its place, so that it
 * appears whole or not at all, also after the machine has failed.
 */
export async function openObjectFolder(root: string): Promise<ObjectStore> {
  const partial = join(root, 'partial')
  await mkdir(partial, { recursive: true })

  async function stage(name: string, source: Readable, { maxBytes }: { maxBytes: number }) {
    const path = pathOf(root, name)
    const temporary = join(partial, randomUUID())
    const discard = () => rm(temporary, { force: true })
    try {
      const written = await writeNew(temporary, source, maxBytes)
      return { ...written, keep: () => moveInto(temporary, path), discard } satisfies StagedObject
    } catch (error) {
      await discard()
      throw isFull(error) ? noRoom(error) : error
    }
  }

  return {
    location: { folder: root },
    stage,
    read: (name, { start = 0, end } = {}) =>
      createReadStream(pathOf(root, name), {
        start,
        highWaterMark: CHUNK_BYTES,
        ...(end !== undefined && { end: end - 1 }),
      }),
    remove: (name) => rm(pathOf(root, name), { force: true }),
    list: (folder, page) => listFolder(root, folder, page),
    removeStaged: (before) => removeStale(partial, before),
  }
}

async function listFolder(
  root: string,
  folder: string,
  { after = '', limit }: { after?: string | undefined; limit: number },
): Promise<ObjectInfo[]> {
  const found: ObjectInfo[] = []
  const names = (await namesIn(pathOf(root, folder))).map((name) => `${folder}/${name}`)
  // Code units, as `sort` and `>` compare them.
  for (const name of names.filter((name) => name > after && NAME.test(name)).sort()) {
    if (found.length === limit) break
    const file = await stat(pathOf(root, name)).catch(ignoreMissing)
    if (file?.isFile()) found.push({ name, writtenAt: file.mtime })
  }
  return found
}

/** None in a folder that nobody made yet. */
async function namesIn(path: string): Promise<string[]> {
  return (await readdir(path).catch(ignoreMissing)) ?? []
}

async function writeNew(path: string, source: Readable, maxBytes: number) {
  const hash = createHash('sha256')
  let sizeBytes = 0
  await using file = await open(path, 'wx', 0o600)
  for await (const chunk of source as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length
    if (sizeBytes > maxBytes) {
      throw new PebblesError(
        'too_large',
        `The file is larger than the ${maxBytes} bytes that are taken in.`,
        {
          faults: [{ field: 'file', message: `must not have more than ${maxBytes} bytes` }],
        },
      )
    }
    hash.update(chunk)
    await writeAll(file, chunk)
  }
  await file.sync()
  return { sizeBytes, sha256: hash.digest('hex') }
}

async function writeAll(file: FileHandle, chunk: Buffer): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    const { bytesWritten } = await file.write(chunk, done)
    done += bytesWritten
  }
}

async function moveInto(temporary: string, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await rename(temporary, path)
  // The new name is durable once its folder is.
  await using folder = await open(dirname(path), 'r')
  await folder.sync()
}

async function removeStale(partial: string, before: Date): Promise<void> {
  for (const name of await readdir(partial)) {
    const path = join(partial, name)
    const found = await stat(path).catch(ignoreMissing)
    if (found && found.mtime < before) await rm(path, { force: true })
  }
}

/** Another process may have removed it first. */
function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}

function pathOf(root: string, name: string): string {
  if (!NAME.test(name)) throw new Error(`not the name of an object: ${name}`)
  return join(root, name)
}

const isFull = (error: unknown) => ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '')

const noRoom = (cause: unknown) =>
  new PebblesError('unavailable', 'There is no room for files at the moment.', {
    retryAfterSeconds: 60,
    cause,
  })
