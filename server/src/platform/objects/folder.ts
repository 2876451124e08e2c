import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { PebblesError } from '../errors.ts'
import { createMeter } from './meter.ts'
import { isObjectName, type ObjectInfo, type ObjectStore, requireObjectName } from './objects.ts'

const CHUNK_BYTES = 256 * 1024

/**
 * Objects as files below one folder. A file is written to `partial/`, synced, and renamed to its place, so that it
 * appears whole or not at all, also after the machine has failed.
 */
export async function openObjectFolder(root: string): Promise<ObjectStore> {
  const partial = join(root, 'partial')
  await mkdir(partial, { recursive: true })

  /** What `write` leaves behind when it fails is removed. */
  async function writePartial<T>(write: (file: FileHandle) => Promise<T>) {
    const path = join(partial, randomUUID())
    const discard = () => rm(path, { force: true })
    try {
      await using file = await open(path, 'wx', 0o600)
      const written = await write(file)
      await file.sync()
      return { path, discard, written }
    } catch (error) {
      await discard()
      throw isFull(error) ? noRoom(error) : error
    }
  }

  return {
    location: { folder: root },
    async stage(name, source, { maxBytes }) {
      requireObjectName(name)
      const { path, discard, written } = await writePartial((file) => writeAll(file, source, maxBytes))
      return { ...written, keep: () => moveInto(root, name, path, rename), discard }
    },
    async createOnly(name, pieces) {
      requireObjectName(name)
      const { path, discard } = await writePartial(async (file) => {
        for (const piece of pieces) await writePiece(file, piece)
      })
      try {
        // A rename would replace what is there.
        await moveInto(root, name, path, link)
        return 'created'
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
        // Whoever wrote it may have died before its name was durable.
        await syncFolders(root, name)
        return 'exists'
      } finally {
        await discard()
      }
    },
    read: (name, { start = 0, end } = {}) =>
      createReadStream(pathOf(root, name), {
        start,
        highWaterMark: CHUNK_BYTES,
        ...(end !== undefined && { end: end - 1 }),
      }),
    remove: (name) => rm(pathOf(root, name), { force: true }),
    list: (folder, page) => listFolder(root, folder, page),
    removeStaged: (before) => removeStale(partial, before),
    [Symbol.dispose]() {},
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
  for (const name of names.filter((name) => name > after && isObjectName(name)).sort()) {
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

async function writeAll(file: FileHandle, source: Readable, maxBytes: number) {
  const meter = createMeter(maxBytes)
  for await (const chunk of source as AsyncIterable<Buffer>) {
    meter.pass(chunk)
    await writePiece(file, chunk)
  }
  return meter.total()
}

async function writePiece(file: FileHandle, piece: Uint8Array): Promise<void> {
  for (let done = 0; done < piece.length; ) {
    const { bytesWritten } = await file.write(piece, done)
    done += bytesWritten
  }
}

async function moveInto(root: string, name: string, from: string, move: typeof rename): Promise<void> {
  const path = pathOf(root, name)
  await mkdir(dirname(path), { recursive: true })
  await move(from, path)
  await syncFolders(root, name)
}

/**
 * A new name is durable once its folder is, and a new folder once the one that it lies in is. All of them: another
 * process may have made some a moment ago.
 */
async function syncFolders(root: string, name: string): Promise<void> {
  for (let at = name; at !== '.'; ) {
    at = dirname(at)
    await using folder = await open(join(root, at), 'r')
    await folder.sync()
  }
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

const pathOf = (root: string, name: string) => join(root, requireObjectName(name))

const isFull = (error: unknown) => ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '')

const noRoom = (cause: unknown) =>
  new PebblesError('unavailable', 'There is no room for files at the moment.', {
    retryAfterSeconds: 60,
    cause,
  })
