import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import pg, { type ClientBase } from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import type { CopyLines } from './copy.ts'

const CHUNK_BYTES = 128 * 1024

/** Runs a `COPY … FROM STDIN` with lines that were written before; nothing is sent when there are none. */
export async function copyIn(tx: ClientBase, statement: string, { count, bytes }: CopyLines): Promise<void> {
  if (count === 0) return
  // Not `.pipe()`: a source that fails would leave the connection waiting for ever.
  await pipeline(Readable.from(chunksOf(bytes)), tx.query(copyFrom(statement)))
}

/**
 * The same where other statements are in flight: the lines are sent behind the statement at once. A server that refuses
 * it passes over them, as the protocol has it.
 */
export function copyInPipeline(tx: ClientBase, statement: string, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    tx.query(new Copy(statement, bytes, (error) => (error ? reject(error) : resolve())))
  })
}

/** In pipeline mode the driver takes no statement but its own. */
class Copy extends pg.Query {
  constructor(statement: string, bytes: Uint8Array, callback: (error: Error | undefined) => void) {
    super(statement, callback)
    this.submit = (connection) => {
      const copying = connection as CopyingConnection
      copying.query(statement)
      for (const chunk of chunksOf(bytes)) copying.sendCopyFromChunk(chunk)
      copying.endCopyFrom()
    }
  }

  /** The server is ready for what was sent already. */
  handleCopyInResponse(): void {}
}

type CopyingConnection = pg.Connection & {
  sendCopyFromChunk(chunk: Uint8Array): void
  endCopyFrom(): void
}

function* chunksOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES)
}
