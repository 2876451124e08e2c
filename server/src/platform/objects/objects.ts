import type { Readable } from 'node:stream'
import { PebblesError } from '../errors.ts'

/** An object that was written and is not there yet: nobody finds it under its name until it is kept. */
export interface StagedObject {
  sizeBytes: number
  /** Of the content, as 64 hexadecimal digits. */
  sha256: string
  /**
   * Makes it durable and puts it in its place.
   *
   * @throws PebblesError `unavailable`; whether it is there is then not known
   */
  keep(): Promise<void>
  /** Removes every trace of it, or leaves that to `removeStaged`; harmless after `keep`, also when that has failed. */
  discard(): Promise<void>
}

/**
 * Where whole files live: written once as a stream, read as a stream, never changed.
 * Names are made by us: letters, digits, `-`, `_`, `.` and `=` between slashes.
 *
 * Every method throws PebblesError `unavailable` when the place is away for longer than its own attempts last.
 */
export interface ObjectStore extends Disposable {
  /** Where it is, for `openObjects` in another thread. */
  readonly location: ObjectLocation
  /**
   * Streams `source` away, hashing and counting what passes; no more is in memory than a part of fixed size. When it
   * ends early or grows beyond `maxBytes`, nothing is left behind.
   *
   * @throws PebblesError `too_large`, `overloaded`, or `unavailable`, also when there is no room
   */
  stage(name: string, source: Readable, options: { maxBytes: number }): Promise<StagedObject>
  /**
   * Writes an object that must not be there yet, whole or not at all, from the pieces of its content. One that is there
   * stays as it is; when the answer to an earlier attempt got lost, that can be one's own.
   */
  createOnly(name: string, pieces: readonly Uint8Array[]): Promise<'created' | 'exists'>
  /** Reads from a byte offset up to, not including, `end`. An object that is not there ends the stream with `ENOENT`. */
  read(name: string, range?: { start?: number; end?: number }): Readable
  /** Removes the object; it need not be there. */
  remove(name: string): Promise<void>
  /** What lies directly below a folder, in the order of the names: at most `limit` objects behind the name `after`. */
  list(folder: string, page: { after?: string | undefined; limit: number }): Promise<ObjectInfo[]>
  /** Removes what was staged and then left alone by a process that died. */
  removeStaged(before: Date): Promise<void>
}

/** A place of objects, as plain data without secrets. */
export type ObjectLocation = FolderLocation | S3Location

export interface FolderLocation {
  /** Absolute path. */
  folder: string
}

export interface S3Location {
  bucket: string
  /** Folder in the bucket below which all names lie. */
  prefix: string
  region: string
  /** Of a service other than Amazon's. */
  endpoint?: string | undefined
}

export interface ObjectInfo {
  name: string
  /** When the last byte was written. */
  writtenAt: Date
}

const NAME = /^[\w-][\w.=-]*(\/[\w-][\w.=-]*)*$/

export const isObjectName = (name: string): boolean => NAME.test(name)

export function requireObjectName(name: string): string {
  if (!isObjectName(name)) throw new Error(`not the name of an object: ${name}`)
  return name
}

/** Whether a read ended because the object is not there. */
export function isMissingObject(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

export const tooLarge = (maxBytes: number) =>
  new PebblesError('too_large', `The file is larger than the ${maxBytes} bytes that are taken in.`, {
    faults: [{ field: 'file', message: `must not have more than ${maxBytes} bytes` }],
  })
