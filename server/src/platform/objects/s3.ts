import { PassThrough } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3'
import { backOff } from '../wait.ts'
import { createMeter } from './meter.ts'
import {
  isObjectName,
  type ObjectInfo,
  type ObjectStore,
  requireObjectName,
  type S3Location,
} from './objects.ts'
import { createPlaces } from './places.ts'
import { s3Away, statusOf } from './s3-errors.ts'
import { readPieces } from './s3-read.ts'
import { startUpload } from './s3-upload.ts'

const CHUNK_BYTES = 256 * 1024
/** Of two parts at most, see `s3-upload.ts`: 256 MiB when all of them are large. */
const UPLOADS_AT_ONCE = 16
const WAIT_FOR_PLACE_MS = 10_000
/** Of a request, the first one included. */
const ATTEMPTS = 3
const CONNECT_TIMEOUT_MS = 3_000
/** Without a byte in either direction. */
const IDLE_TIMEOUT_MS = 10_000
const CONFLICTS = 5
/** The most that S3 lists at a time. */
const PAGE_OBJECTS = 1_000

/**
 * Objects in a bucket of S3, or of a service that speaks its protocol. A staged object is a multipart upload that is
 * not completed, or, when it is small, waits here; S3 shows an object whole or not at all.
 * Credentials are those that the AWS SDK finds by itself.
 */
export function openS3Objects(location: S3Location, { pageObjects = PAGE_OBJECTS } = {}): ObjectStore {
  const { bucket: Bucket, prefix, region, endpoint } = location
  const client = new S3Client({
    region,
    ...(endpoint !== undefined && { endpoint, forcePathStyle: true }),
    maxAttempts: ATTEMPTS,
    // Other services do not know the checksums that the SDK would send by itself; the signature covers the content.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: CONNECT_TIMEOUT_MS, socketTimeout: IDLE_TIMEOUT_MS },
  })
  const places = createPlaces({ count: UPLOADS_AT_ONCE, waitAtMostMs: WAIT_FOR_PLACE_MS })
  const target = (name: string) => ({ Bucket, Key: `${prefix}/${requireObjectName(name)}` })

  return {
    location,
    async stage(name, source, { maxBytes }) {
      const at = target(name)
      const leave = await places.enter()
      const upload = startUpload(client, at, maxBytes)
      const discard = async () => {
        await upload.abort()
        leave()
      }
      try {
        const meter = createMeter(maxBytes)
        for await (const chunk of source as AsyncIterable<Buffer>) {
          meter.pass(chunk)
          await upload.write(chunk)
        }
        const keep = async () => {
          await upload.complete().catch(s3Away)
          leave()
        }
        return { ...meter.total(), keep, discard }
      } catch (error) {
        await discard()
        throw error
      }
    },
    async createOnly(name, pieces) {
      const at = target(name)
      const sizeBytes = pieces.reduce((bytes, piece) => bytes + piece.length, 0)
      for (let attempt = 1; ; attempt++) {
        const upload = startUpload(client, at, sizeBytes)
        try {
          for (const piece of pieces) await upload.write(piece)
          await upload.complete({ IfNoneMatch: '*' })
          return 'created'
        } catch (error) {
          await upload.abort()
          if (statusOf(error) === 412) return 'exists'
          // Somebody else is writing it: from the beginning, since the parts are of no use any more.
          if (statusOf(error) !== 409 || attempt === CONFLICTS) s3Away(error)
          await backOff(attempt, { stepMs: 100, maxMs: Number.POSITIVE_INFINITY })
        }
      }
    },
    read(name, range = {}) {
      const at = target(name)
      const out = new PassThrough({ highWaterMark: CHUNK_BYTES })
      const gone = new AbortController()
      out.once('close', () => gone.abort())
      // Whoever reads is told of a failure by the stream.
      pipeline(readPieces(client, at, range, gone.signal), out).catch(() => {})
      return out
    },
    async remove(name) {
      await client.send(new DeleteObjectCommand(target(name))).catch(s3Away)
    },
    async list(folder, { after, limit }) {
      const found: ObjectInfo[] = []
      const { Key } = target(folder)
      let ContinuationToken: string | undefined
      do {
        const page = await client
          .send(
            new ListObjectsV2Command({
              Bucket,
              Prefix: `${Key}/`,
              Delimiter: '/',
              MaxKeys: Math.min(pageObjects, limit - found.length),
              ...(after !== undefined && { StartAfter: target(after).Key }),
              ContinuationToken,
            }),
          )
          .catch(s3Away)
        for (const { Key = '', LastModified = new Date() } of page.Contents ?? []) {
          const name = Key.slice(prefix.length + 1)
          if (isObjectName(name)) found.push({ name, writtenAt: LastModified })
        }
        ContinuationToken = page.NextContinuationToken
      } while (ContinuationToken !== undefined && found.length < limit)
      return found
    },
    async removeStaged(before) {
      let markers: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } = {}
      for (;;) {
        const page = await client
          .send(new ListMultipartUploadsCommand({ Bucket, Prefix: `${prefix}/`, ...markers }))
          .catch(s3Away)
        for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
          if (Initiated === undefined || Initiated >= before) continue
          await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId })).catch(s3Away)
        }
        if (!page.IsTruncated) return
        markers = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }
      }
    },
    [Symbol.dispose]: () => client.destroy(),
  }
}
