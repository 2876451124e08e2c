import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  type CompleteMultipartUploadCommandInput,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { createByteWriter } from '../byte-writer.ts'
import { s3Away, statusOf } from './s3-errors.ts'

/** S3 wants 5 MiB at the least, in all parts but the last. */
const PART_BYTES = 8 * 1024 * 1024
const MAX_PARTS = 10_000

type Condition = Pick<CompleteMultipartUploadCommandInput, 'IfNoneMatch'>

/** One object on its way. */
export interface Upload {
  /**
   * Takes bytes in and sends them in parts, one on its way while the next one fills.
   *
   * @throws PebblesError `unavailable`
   */
  write(bytes: Uint8Array): Promise<void>
  /** Makes what was written an object. Throws what the SDK threw, since it depends on the condition what that means. */
  complete(condition?: Condition): Promise<void>
  /** Gives up whatever is not complete. What S3 does not remove now is found by `removeStaged`. */
  abort(): Promise<void>
}

/**
 * Begins to write an object, in one request when a part has room for it, else as a multipart upload. Parts are buffers,
 * since the SDK cannot send a stream a second time; all but the last have one size, which some services insist on.
 */
export function startUpload(
  client: S3Client,
  target: { Bucket: string; Key: string },
  maxBytes: number,
): Upload {
  const partBytes = Math.max(PART_BYTES, Math.ceil(maxBytes / MAX_PARTS))
  const etags: string[] = []
  let uploadId: string | undefined
  let part = createByteWriter()
  let sending = Promise.resolve<ArrayBufferLike | undefined>(undefined)

  async function write(bytes: Uint8Array): Promise<void> {
    for (let from = 0; from < bytes.length; ) {
      if (part.end === partBytes) await sendPart().catch(s3Away)
      const piece = bytes.subarray(from, from + partBytes - part.end)
      part.reserve(piece.length).set(piece, part.end)
      part.end += piece.length
      from += piece.length
    }
  }

  /** Waits for the part before, whose buffer is filled next, and sends this one off. */
  async function sendPart(): Promise<void> {
    uploadId ??= (await client.send(new CreateMultipartUploadCommand(target))).UploadId!
    const used = await sending
    const Body = part.bytes()
    const PartNumber = etags.push('')
    sending = client
      .send(new UploadPartCommand({ ...target, UploadId: uploadId, PartNumber, Body }))
      .then(({ ETag }) => {
        etags[PartNumber - 1] = ETag!
        return Body.buffer
      })
    // It is told to whoever sends the next part, or completes.
    sending.catch(() => {})
    part = createByteWriter(used as ArrayBuffer | undefined)
  }

  async function complete(condition: Condition = {}): Promise<void> {
    if (uploadId === undefined) {
      await client.send(new PutObjectCommand({ ...target, ...condition, Body: part.bytes() }))
      return
    }
    if (part.end > 0) await sendPart()
    await sending
    const Parts = etags.map((ETag, at) => ({ ETag, PartNumber: at + 1 }))
    const MultipartUpload = { Parts }
    const command = { ...target, ...condition, UploadId: uploadId, MultipartUpload }
    try {
      await client.send(new CompleteMultipartUploadCommand(command))
    } catch (error) {
      // `NoSuchUpload`, or with S3Proxy `NoSuchKey` for a part, which the attempt before is putting together this instant.
      if (statusOf(error) !== 404) throw error
      // Completed by an attempt whose answer got lost: then the object is there.
      await client.send(new HeadObjectCommand(target))
    }
    uploadId = undefined
  }

  async function abort(): Promise<void> {
    const UploadId = uploadId
    if (UploadId === undefined) return
    uploadId = undefined
    await sending.catch(() => {})
    await client.send(new AbortMultipartUploadCommand({ ...target, UploadId })).catch(() => {})
  }

  return { write, complete, abort }
}
