import { IS_CONTROL, IS_TRANSACTIONAL } from '@platformatic/kafka'
import type { FetchedPartition, RawBatch } from './raw-consumer.ts'

/** A record, of which nothing is made before it is asked for: most of its fields nobody needs. */
export interface LogRecord {
  readonly offset: number
  /** Milliseconds since 1970. */
  readonly timestampMs: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: [Buffer, Buffer | null][]
  /** What it takes in memory. */
  readonly sizeBytes: number
  /** The same as bytes: where in `bytes` the value is (`valueTo` is below `valueFrom` when there is none), and headers. */
  readonly bytes: Buffer
  readonly valueFrom: number
  readonly valueTo: number
  readonly headersFrom: number
}

/** What a fetch brought of one partition: all records with `from ≤ offset < next`. Offsets may have gaps. */
export interface Stretch {
  from: number
  next: number
  records: LogRecord[]
  sizeBytes: number
}

/** Set in the attributes of a batch whose records were all appended at its newest time, by the broker's clock. */
const HAS_APPEND_TIME = 1 << 3
/** What a record costs in memory besides what it carries. */
const RECORD_BYTES = 200

/**
 * The records of a fetched partition that count: neither below the offset that was asked for (a batch is sent whole),
 * nor markers, nor those of transactions that were aborted. The library leaves out only the last aborted transaction
 * of a producer, and that only when its end came along; hence all of them here.
 *
 * @returns undefined when the fetch brought nothing
 */
export function readStretch(fetched: FetchedPartition, from: number): Stretch | undefined {
  const batches = fetched.records ?? []
  const last = batches.at(-1)
  if (last === undefined) return undefined
  const aborted = abortedTransactions(fetched)
  const records: LogRecord[] = []
  let sizeBytes = 0
  for (const batch of batches) {
    const first = Number(batch.firstOffset)
    const isAborted = aborted.has(batch.producerId, first + batch.lastOffsetDelta)
    if (batch.attributes & IS_CONTROL) {
      // Whatever ends the transaction, an abort or a commit.
      aborted.end(batch.producerId, first)
      continue
    }
    if (isAborted && batch.attributes & IS_TRANSACTIONAL) continue
    sizeBytes += readRecords(batch, from, records)
  }
  const next = Number(last.firstOffset) + last.lastOffsetDelta + 1
  return next > from ? { from, next, records, sizeBytes } : undefined
}

/**
 * Reads the records of a batch (https://kafka.apache.org/documentation/#record), those from an offset on.
 *
 * @returns the bytes that they take
 */
function readRecords(batch: RawBatch, from: number, into: LogRecord[]): number {
  const { bytes, count, attributes } = batch
  const first = Number(batch.firstOffset)
  const firstMs = Number(batch.firstTimestamp)
  const appendedMs = attributes & HAS_APPEND_TIME ? Number(batch.maxTimestamp) : undefined
  const cursor = { bytes, at: 0 }
  let sizeBytes = 0
  for (let n = 0; n < count; n++) {
    const length = readVarint(cursor)
    const end = cursor.at + length
    // Attributes, of which there are none.
    cursor.at++
    const timestampDelta = readVarint(cursor)
    const offset = first + readVarint(cursor)
    if (offset >= from) {
      const keyLength = readVarint(cursor)
      const keyFrom = cursor.at
      if (keyLength > 0) cursor.at += keyLength
      const valueLength = readVarint(cursor)
      const valueFrom = cursor.at
      const timestampMs = appendedMs ?? firstMs + timestampDelta
      const record = new FetchedRecord(
        offset,
        timestampMs,
        bytes,
        keyFrom,
        keyLength,
        valueFrom,
        valueLength,
        end,
      )
      sizeBytes += record.sizeBytes
      into.push(record)
    }
    cursor.at = end
  }
  return sizeBytes
}

class FetchedRecord implements LogRecord {
  readonly valueTo: number
  readonly headersFrom: number
  readonly sizeBytes: number

  readonly offset: number
  readonly timestampMs: number
  readonly bytes: Buffer
  readonly keyFrom: number
  readonly keyLength: number
  readonly valueFrom: number

  constructor(
    offset: number,
    timestampMs: number,
    bytes: Buffer,
    keyFrom: number,
    keyLength: number,
    valueFrom: number,
    valueLength: number,
    end: number,
  ) {
    this.offset = offset
    this.timestampMs = timestampMs
    this.bytes = bytes
    this.keyFrom = keyFrom
    this.keyLength = keyLength
    this.valueFrom = valueFrom
    this.valueTo = valueFrom + valueLength
    this.headersFrom = valueFrom + Math.max(0, valueLength)
    this.sizeBytes = RECORD_BYTES + end - keyFrom
  }

  get key(): Buffer | null {
    return this.keyLength < 0 ? null : this.bytes.subarray(this.keyFrom, this.keyFrom + this.keyLength)
  }

  get value(): Buffer | null {
    return this.valueTo < this.valueFrom ? null : this.bytes.subarray(this.valueFrom, this.valueTo)
  }

  get headers(): [Buffer, Buffer | null][] {
    const cursor = { bytes: this.bytes, at: this.headersFrom }
    return Array.from({ length: readVarint(cursor) }, () => [readBytes(cursor) ?? EMPTY, readBytes(cursor)])
  }
}

const EMPTY = Buffer.alloc(0)

interface Cursor {
  bytes: Buffer
  at: number
}

function readBytes(cursor: Cursor): Buffer | null {
  const length = readVarint(cursor)
  if (length < 0) return null
  const from = cursor.at
  cursor.at += length
  return cursor.bytes.subarray(from, cursor.at)
}

/** A whole number in zigzag, up to 2^53: seven bits of a byte, the lowest first. */
function readVarint(cursor: Cursor): number {
  const { bytes } = cursor
  let byte = bytes[cursor.at++]!
  if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1)
  let value = byte & 0x7f
  for (let unit = 0x80; byte >= 0x80; unit *= 0x80) {
    byte = bytes[cursor.at++]!
    value += (byte & 0x7f) * unit
  }
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2
}

/** Which producers are within a transaction that was aborted, at a place in the log. A producer has one at a time. */
function abortedTransactions({ abortedTransactions: listed }: FetchedPartition) {
  const begins = new Map<bigint, number[]>()
  for (const { producerId, firstOffset } of listed ?? []) {
    const offsets = begins.get(producerId) ?? []
    begins.set(producerId, offsets)
    offsets.push(Number(firstOffset))
  }
  for (const offsets of begins.values()) offsets.sort((a, b) => a - b)
  return {
    has: (producerId: bigint, lastOffset: number) => (begins.get(producerId)?.[0] ?? Infinity) <= lastOffset,
    end(producerId: bigint, offset: number) {
      const offsets = begins.get(producerId)
      if (offsets && offsets[0]! <= offset) offsets.shift()
    },
  }
}

/** Cuts a stretch into pieces that each hold so many records and bytes at most, or one record. */
export function cutStretch(stretch: Stretch, most: { records: number; bytes: number }): Stretch[] {
  if (stretch.records.length <= most.records && stretch.sizeBytes <= most.bytes) return [stretch]
  const pieces: Stretch[] = []
  let piece: Stretch = { from: stretch.from, next: stretch.from, records: [], sizeBytes: 0 }
  for (const record of stretch.records) {
    const { sizeBytes } = record
    const isFull = piece.records.length === most.records || piece.sizeBytes + sizeBytes > most.bytes
    if (isFull && piece.records.length > 0) {
      pieces.push({ ...piece, next: record.offset })
      piece = { from: record.offset, next: record.offset, records: [], sizeBytes: 0 }
    }
    piece.records.push(record)
    piece.sizeBytes += sizeBytes
  }
  pieces.push({ ...piece, next: stretch.next })
  return pieces
}
