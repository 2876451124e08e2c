import { crc32c } from '@platformatic/kafka'

/** A record on its way into a topic. */
export interface OutgoingRecord {
  key: string
  value: string
  headers: SharedHeaders
  /** The text of the last header, which is the record's own: a character for each byte, as of so few a buffer is dear. */
  ownHeader: string
}

/** Headers of many records, encoded once: all of them up to the text of the last one. */
export type SharedHeaders = Buffer & { readonly [sharedHeaders]: true }
declare const sharedHeaders: unique symbol

/** @param last name of the header whose text each record has for itself */
export function encodeHeaders(
  shared: readonly (readonly [name: Buffer, text: Buffer])[],
  last: Buffer,
): SharedHeaders {
  const parts = [...shared.flat(), last]
  const bytes = Buffer.allocUnsafe(
    parts.reduce((sum, part) => sum + sizeOf(part.length), varintSize(shared.length + 1)),
  )
  let at = putVarint(bytes, 0, shared.length + 1)
  for (const part of parts) at = putBytes(bytes, putVarint(bytes, at, part.length), part)
  return bytes as SharedHeaders
}

/** By what a broker knows a batch that it has already. */
export interface BatchNumbers {
  producerId: bigint
  producerEpoch: number
  /** Of its first record, among all that the producer has sent to the partition. */
  sequence: number
}

const MAGIC = 2
/** Bytes before those that the length counts, before those that the checksum covers, and before the records. */
const LENGTH_FROM = 12
const SUM_FROM = 21
const RECORDS_FROM = 61
/** Shorter ones are sooner copied byte by byte than by a call. */
const SHORT_BYTES = 24

/**
 * Encodes records of one partition as a batch: format 2, uncompressed, all of one time
 * (https://kafka.apache.org/documentation/#recordbatch).
 *
 * The library's encoder makes a dozen small buffers of each record, and takes several times as long.
 */
export function encodeBatch(
  records: readonly OutgoingRecord[],
  timestampMs: number,
  { producerId, producerEpoch, sequence }: BatchNumbers,
): Buffer {
  const sizes = records.map(({ key, value, headers, ownHeader }, index) => {
    const keyBytes = Buffer.byteLength(key)
    const valueBytes = Buffer.byteLength(value)
    const texts = sizeOf(keyBytes) + sizeOf(valueBytes) + sizeOf(ownHeader.length)
    return { keyBytes, valueBytes, bytes: 2 + varintSize(index) + texts + headers.length }
  })
  const bytes = Buffer.allocUnsafe(sizes.reduce((sum, size) => sum + sizeOf(size.bytes), RECORDS_FROM))
  let at = RECORDS_FROM
  for (let index = 0; index < records.length; index++) {
    const { key, value, headers, ownHeader } = records[index]!
    const size = sizes[index]!
    at = putVarint(bytes, at, size.bytes)
    // No attributes, and no time beyond that of the batch.
    bytes[at++] = 0
    bytes[at++] = 0
    at = putVarint(bytes, at, index)
    at = putText(bytes, at, key, size.keyBytes)
    at = putText(bytes, at, value, size.valueBytes)
    at = putBytes(bytes, at, headers)
    at = putText(bytes, at, ownHeader, ownHeader.length)
  }
  bytes.writeBigInt64BE(0n, 0)
  bytes.writeInt32BE(at - LENGTH_FROM, 8)
  // The leader's epoch, which the broker fills in.
  bytes.writeInt32BE(-1, 12)
  bytes[16] = MAGIC
  bytes.writeInt16BE(0, 21)
  bytes.writeInt32BE(records.length - 1, 23)
  bytes.writeBigInt64BE(BigInt(timestampMs), 27)
  bytes.writeBigInt64BE(BigInt(timestampMs), 35)
  bytes.writeBigInt64BE(producerId, 43)
  bytes.writeInt16BE(producerEpoch, 51)
  bytes.writeInt32BE(sequence, 53)
  bytes.writeInt32BE(records.length, 57)
  bytes.writeUInt32BE(crc32c(bytes.subarray(SUM_FROM)), 17)
  return bytes
}

const sizeOf = (length: number) => varintSize(length) + length

/** @param size of the text in bytes; when it has as many characters, each is one byte */
function putText(into: Buffer, at: number, text: string, size: number): number {
  const from = putVarint(into, at, size)
  return from + into.write(text, from, size, size === text.length ? 'latin1' : 'utf8')
}

function putBytes(into: Buffer, at: number, bytes: Buffer): number {
  const { length } = bytes
  if (length > SHORT_BYTES) into.set(bytes, at)
  else for (let i = 0; i < length; i++) into[at + i] = bytes[i]!
  return at + length
}

/** Whole numbers that are not negative, below 2^30: zigzag makes them twice as large. */
function putVarint(into: Buffer, at: number, value: number): number {
  let rest = value << 1
  let end = at
  while (rest > 0x7f) {
    into[end++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  into[end++] = rest
  return end
}

function varintSize(value: number): number {
  let size = 1
  for (let rest = value << 1; rest > 0x7f; rest >>>= 7) size++
  return size
}
