import type { Readable } from 'node:stream'

/** An object that was written and is not there yet: nobody finds it under its name until it is kept. */
export interface StagedObject {
  sizeBytes: number
  /** Of the content, as 64 hexadecimal digits. */
  sha256: string
  /** Makes it durable and puts it in its place. */
  keep(): Promise<void>
  /** Removes every trace of it; harmless after `keep` has failed. */
  discard(): Promise<void>
}

/**
 * Where whole files live: written once as a stream, read as a stream, never changed.
 * Names are made by us: letters, digits, `-`, `_` and `.` between slashes.
 */
export interface ObjectStore {
  /** Where it is, for `openObjects` in another thread. */
  readonly location: ObjectLocation
  /**
   * Streams `source` away, hashing and counting what passes; nothing is buffered. When it ends early or grows beyond
   * `maxBytes`, nothing is left behind.
   *
   * @throws PebblesError `too_large`, or `unavailable` when there is no room
   */
  stage(name: string, source: Readable, options: { maxBytes: number }): Promise<StagedObject>
  /** Reads from a byte offset up to, not including, `end`. An object that is not there ends the stream with `ENOENT`. */
  read(name: string, range?: { start?: number; end?: number }): Readable
  /** Removes the object; it need not be there. */
  remove(name: string): Promise<void>
  /** What lies directly below a folder, in the order of the names: at most `limit` objects behind the name `after`. */
  list(folder: string, page: { after?: string | undefined; limit: number }): Promise<ObjectInfo[]>
  /** Removes what was staged and then left alone by a process that died. */
  removeStaged(before: Date): Promise<void>
}

/** A place of objects, as plain data. */
export interface ObjectLocation {
  /** Absolute path. */
  folder: string
}

export interface ObjectInfo {
  name: string
  /** When the last byte was written. */
  writtenAt: Date
}

/** Whether a read ended because the object is not there. */
export function isMissingObject(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
