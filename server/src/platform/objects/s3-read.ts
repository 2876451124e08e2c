import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { GetObjectCommand, NoSuchKey, type S3Client } from '@aws-sdk/client-s3'
import { s3Away, statusOf } from './s3-errors.ts'

/** So long without a byte a read is tried again; an attempt that hangs may take longer. */
const GIVE_UP_MS = 5_000
const MAX_PAUSE_MS = 1_000

/**
 * The content of an object. An answer that breaks off is asked for again from where it broke off: reading goes at the
 * pace of an import, and S3 ends connections that stand still.
 *
 * @throws PebblesError `unavailable`, or an error with the code `ENOENT`
 */
export async function* readPieces(
  client: S3Client,
  target: { Bucket: string; Key: string },
  { start = 0, end }: { start?: number; end?: number },
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  let position = start
  let failures = 0
  for (let lastMs = performance.now(); ; ) {
    try {
      if (position === end) return
      const Range = `bytes=${position}-${end === undefined ? '' : end - 1}`
      const command = new GetObjectCommand({ ...target, Range })
      const { Body, ContentRange } = await client.send(command, { abortSignal: signal })
      if (!ContentRange?.startsWith(`bytes ${position}-`))
        throw new Error(`asked for ${Range}, got ${ContentRange}`)
      for await (const chunk of Body as Readable as AsyncIterable<Buffer>) {
        position += chunk.length
        failures = 0
        yield chunk
        // The reader may have taken its time.
        lastMs = performance.now()
      }
      return
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof NoSuchKey) {
        throw Object.assign(new Error(`there is no object ${target.Key}`, { cause: error }), {
          code: 'ENOENT',
        })
      }
      // It begins behind the last byte.
      if (statusOf(error) === 416) return
      if (performance.now() - lastMs > GIVE_UP_MS) s3Away(error)
      await delay(Math.min(MAX_PAUSE_MS, 100 * 2 ** failures++), undefined, { signal })
    }
  }
}
