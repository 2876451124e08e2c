import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ClientBase } from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import type { CopyLines } from './copy.ts'

const CHUNK_BYTES = 128 * 1024

/** Runs a `COPY … FROM STDIN` with lines that were written before; nothing is sent when there are none. */
export async function copyIn(tx: ClientBase, statement: string, { count, bytes }: CopyLines): Promise<void> {
  if (count === 0) return
  // Not `.pipe()`: a source that fails would leave the connection waiting for ever.
  await pipeline(Readable.from(chunksOf(bytes)), tx.query(copyFrom(statement)))
}

function* chunksOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES)
}
