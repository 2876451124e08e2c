import { crc32 } from 'node:zlib'
import { encodeHeaders, type OutgoingRecord, type SharedHeaders } from '../../platform/kafka/record-batch.ts'
import type { LogRecord } from '../../platform/kafka/records.ts'
import type { NewEvent } from './log.ts'

/** Headers of a record: whose event it is, of which stream, and the seal of the Pebbles that appended it. */
const CLIENT = Buffer.from('client')
const STREAM = Buffer.from('stream')
const SEAL = Buffer.from('pebbles')
const SUM_BYTES = 4

/** What a record's headers and seal say of it. */
export interface Sealed {
  clientKrn: string
  stream: string
  /** 32 hexadecimal digits. */
  id: string | undefined
}

/**
 * Writes and knows the records of one log.
 *
 * The seal is a checksum over everything that a reader takes for granted: that the event was checked, whose it is, and
 * that it lies in the partition of its key. It begins with the id of the database, so the records of others, and
 * copies in another partition or topic, are not taken for ours by mistake. It is no signature: whoever may write to
 * the topic is trusted.
 */
export interface RecordSeals {
  write(event: NewEvent, partition: number): OutgoingRecord
  /** @returns undefined when the record is not one of ours */
  read(record: LogRecord, partition: number): Sealed | undefined
}

/** Scopes whose header and seed are kept. */
const MAX_KEPT = 10_000

interface Scope {
  headers: SharedHeaders
  seed: number
}

interface NamedScope extends Scope {
  clientKrn: string
  stream: string
}

/** @param installation id of the database; @param topicId of the topic */
export function createRecordSeals(installation: string, topicId: string): RecordSeals {
  let scopes = new Map<string, Scope>()
  /** What the last record said: most are followed by one of the same client and stream. */
  let last: (NamedScope & { partition: number }) | undefined
  /** The same of what was written last, per partition. */
  const recent: NamedScope[] = []

  const seedOf = (clientKrn: string, stream: string, partition: number) =>
    crc32([installation, topicId, partition, clientKrn, stream].join('\0'))

  function scopeOf(clientKrn: string, stream: string, partition: number): Scope {
    const name = `${partition}\0${stream}\0${clientKrn}`
    const known = scopes.get(name)
    if (known !== undefined) return known
    if (scopes.size >= MAX_KEPT) scopes = new Map()
    const pairs = [
      [CLIENT, Buffer.from(clientKrn)],
      [STREAM, Buffer.from(stream)],
    ] as const
    const made = { headers: encodeHeaders(pairs, SEAL), seed: seedOf(clientKrn, stream, partition) }
    scopes.set(name, made)
    return made
  }

  return {
    write({ clientKrn, stream, key, payload, id }, partition) {
      let scope = recent[partition]
      if (scope?.stream !== stream || scope.clientKrn !== clientKrn) {
        scope = { clientKrn, stream, ...scopeOf(clientKrn, stream, partition) }
        recent[partition] = scope
      }
      const { headers, seed } = scope
      if (id === undefined)
        return { key, value: payload, headers, ownHeader: fourBytes(crc32(payload, seed)) }
      const idBytes = Buffer.from(id.replaceAll('-', ''), 'hex')
      const ownHeader = fourBytes(crc32(payload, crc32(idBytes, seed))) + idBytes.toString('latin1')
      return { key, value: payload, headers, ownHeader }
    },
    read(record, partition) {
      const { bytes, headersFrom, valueFrom, valueTo } = record
      if (valueTo < valueFrom) return undefined
      if (
        last === undefined ||
        last.partition !== partition ||
        !startsWith(bytes, headersFrom, last.headers)
      ) {
        const named = readNames(record)
        if (named === undefined) return undefined
        const { headers, seed } = scopeOf(named.clientKrn, named.stream, partition)
        if (!startsWith(bytes, headersFrom, headers)) return undefined
        last = { ...named, partition, headers, seed }
      }
      const sealAt = headersFrom + last.headers.length
      // Its length, in zigzag.
      const hasId = bytes[sealAt] === 2 * (SUM_BYTES + 16)
      if (!hasId && bytes[sealAt] !== 2 * SUM_BYTES) return undefined
      const from = sealAt + 1
      const to = from + SUM_BYTES + (hasId ? 16 : 0)
      const seed = hasId ? crc32(bytes.subarray(from + SUM_BYTES, to), last.seed) : last.seed
      if (bytes.readUInt32BE(from) !== crc32(bytes.subarray(valueFrom, valueTo), seed)) return undefined
      const id = hasId ? bytes.toString('hex', from + SUM_BYTES, to) : undefined
      return { clientKrn: last.clientKrn, stream: last.stream, id }
    },
  }
}

/** Of a record with three headers, as ours have. */
function readNames({ headers }: LogRecord): { clientKrn: string; stream: string } | undefined {
  const [client, stream, seal] = headers
  if (headers.length !== 3 || !client?.[1] || !stream?.[1] || !seal?.[1]) return undefined
  return { clientKrn: client[1].toString(), stream: stream[1].toString() }
}

/** Shorter than a call takes. */
function startsWith(bytes: Buffer, from: number, start: Buffer): boolean {
  for (let i = 0; i < start.length; i++) if (bytes[from + i] !== start[i]) return false
  return true
}

/** A number of 32 bits as text of a character per byte. */
const fourBytes = (sum: number) =>
  String.fromCharCode(sum >>> 24, (sum >>> 16) & 0xff, (sum >>> 8) & 0xff, sum & 0xff)
