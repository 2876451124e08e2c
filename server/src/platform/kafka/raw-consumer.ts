import {
  Consumer,
  compressionsAlgorithmsByBitmask,
  createAPI,
  fetchV13,
  fetchV17,
  IS_COMPRESSED,
  kGetApi,
  type Reader,
  ResponseError,
} from '@platformatic/kafka'

/** A batch as it lies in the log, its records unpacked and not read yet. */
export interface RawBatch {
  firstOffset: bigint
  lastOffsetDelta: number
  attributes: number
  firstTimestamp: bigint
  maxTimestamp: bigint
  producerId: bigint
  count: number
  bytes: Buffer
  /** Where the library looks for what a marker ends, which then is nothing: `records.ts` knows by itself. */
  records: { key: null }[]
}

export interface FetchedPartition {
  partitionIndex: number
  errorCode: number
  highWatermark: bigint
  lastStableOffset: bigint
  logStartOffset: bigint
  abortedTransactions: { producerId: bigint; firstOffset: bigint }[] | null
  preferredReadReplica: number
  records: RawBatch[] | null
}

export interface FetchResponse {
  throttleTimeMs: number
  errorCode: number
  sessionId: number
  nodeEndpoints: []
  responses: { topicId: string; partitions: FetchedPartition[] }[]
}

/** Of a batch, from its length on; before that is its first offset. */
const LENGTH_AT = 8
const COUNTED_FROM = 12
const RECORDS_FROM = 61

/**
 * A consumer of the library whose answers to a fetch hold whole batches. The library itself makes eight objects of each
 * record, which is most of the time of whoever reads fast.
 */
export class RawConsumer extends Consumer {
  async fetchBatches(options: Parameters<Consumer['fetch']>[0]): Promise<FetchResponse> {
    return (await this.fetch(options)) as unknown as FetchResponse
  }

  // biome-ignore lint/suspicious/noExplicitAny: the library's own declaration knows no types for it
  override [kGetApi](name: string, callback: (error: Error | null, api?: any) => void): void {
    // biome-ignore lint/suspicious/noExplicitAny: as above
    super[kGetApi](name, (error: Error | null, api: any) => {
      callback(error, name === 'Fetch' && !error ? (rawFetches.get(api.version) ?? api) : api)
    })
  }
}

/** From the version on that tells topics by their ids. */
const rawFetches = new Map(
  [13, 14, 15, 16, 17].map((version) => [
    version,
    createAPI(1, version, version < 15 ? fetchV13.createRequest : fetchV17.createRequest, parseResponse),
  ]),
)

function parseResponse(_id: number, apiKey: number, apiVersion: number, reader: Reader): FetchResponse {
  const errors: Record<string, [number, null]> = {}
  const throttleTimeMs = reader.readInt32()
  const errorCode = reader.readInt16()
  if (errorCode !== 0) errors[''] = [errorCode, null]
  const sessionId = reader.readInt32()
  const responses = reader.readArray((r, i) => ({
    topicId: r.readUUID(),
    partitions: r.readArray(
      (each, j) => {
        const partition = readPartition(each)
        if (partition.errorCode !== 0) errors[`/responses/${i}/partitions/${j}`] = [partition.errorCode, null]
        return partition
      },
      true,
      false,
    ),
  }))
  reader.readTaggedFields()
  const response: FetchResponse = { throttleTimeMs, errorCode, sessionId, nodeEndpoints: [], responses }
  if (Object.keys(errors).length > 0) throw new ResponseError(apiKey, apiVersion, errors, response)
  return response
}

function readPartition(r: Reader): FetchedPartition {
  const partition: FetchedPartition = {
    partitionIndex: r.readInt32(),
    errorCode: r.readInt16(),
    highWatermark: r.readInt64(),
    lastStableOffset: r.readInt64(),
    logStartOffset: r.readInt64(),
    abortedTransactions: r.readNullableArray((each) => ({
      producerId: each.readInt64(),
      firstOffset: each.readInt64(),
    })),
    preferredReadReplica: r.readInt32(),
    records: null,
  }
  // One more than there are bytes; none at all is null.
  const size = r.readUnsignedVarInt() - 1
  if (size > 0) partition.records = readBatches(r.buffer.slice(r.position, r.position + size))
  if (size > 0) r.skip(size)
  r.readTaggedFields()
  return partition
}

/** The last one may be cut off; it is fetched again. */
function readBatches(bytes: Buffer): RawBatch[] {
  const batches: RawBatch[] = []
  for (let at = 0; at + RECORDS_FROM <= bytes.length; ) {
    const end = at + COUNTED_FROM + bytes.readInt32BE(at + LENGTH_AT)
    if (end > bytes.length) break
    batches.push(readBatch(bytes.subarray(at, end)))
    at = end
  }
  return batches
}

function readBatch(bytes: Buffer): RawBatch {
  const attributes = bytes.readInt16BE(21)
  const packed = bytes.subarray(RECORDS_FROM)
  const compression = attributes & IS_COMPRESSED
  const unpack = compressionsAlgorithmsByBitmask[compression]
  if (unpack === undefined)
    throw new Error(`A batch is compressed in a way (${compression}) that is not known.`)
  const records = compression === 0 ? packed : unpack.decompressSync(packed)
  return {
    firstOffset: bytes.readBigInt64BE(0),
    attributes,
    lastOffsetDelta: bytes.readInt32BE(23),
    firstTimestamp: bytes.readBigInt64BE(27),
    maxTimestamp: bytes.readBigInt64BE(35),
    producerId: bytes.readBigInt64BE(43),
    count: bytes.readInt32BE(57),
    bytes: records,
    records: [{ key: null }],
  }
}
