import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32c, Reader, readRecordsBatches } from '@platformatic/kafka'
import fc from 'fast-check'
import { encodeBatch, encodeHeaders } from '../../src/platform/kafka/record-batch.ts'

const bytes = fc
  .oneof(
    fc.uint8Array({ maxLength: 80 }),
    // Lengths at which a number needs one byte more.
    fc.constantFrom(63, 64, 8_191, 8_192).map((length) => new Uint8Array(length)),
  )
  .map((array) => Buffer.from(array))
const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 80 }),
  bytes.map((array) => array.toString('latin1')),
)
const record = fc.record({
  key: text,
  value: text,
  shared: fc.array(fc.tuple(bytes, bytes), { maxLength: 3 }),
  name: bytes,
  ownHeader: bytes.map((array) => array.toString('latin1')),
})

test('P15 S2 a batch is read as it was written, by its length and checksum too', () => {
  fc.assert(
    fc.property(
      fc.array(record, { minLength: 1, maxLength: 100 }),
      fc.integer({ min: 0, max: 2 ** 31 - 1 }),
      (records, sequence) => {
        const numbers = { producerId: 2n ** 40n, producerEpoch: 3, sequence }
        const encoded = encodeBatch(
          records.map(({ shared, name, ...rest }) => ({ ...rest, headers: encodeHeaders(shared, name) })),
          1_772_323_200_123,
          numbers,
        )
        const [batch, ...others] = readRecordsBatches(Reader.from(encoded))
        assert.equal(others.length, 0)
        assert.equal(batch!.length, encoded.length - 12)
        assert.equal(batch!.crc, crc32c(encoded.subarray(21)))
        assert.deepEqual(
          [
            batch!.magic,
            batch!.producerId,
            batch!.producerEpoch,
            batch!.firstSequence,
            batch!.lastOffsetDelta,
          ],
          [2, 2n ** 40n, 3, sequence, records.length - 1],
        )
        assert.deepEqual(
          [batch!.firstTimestamp, batch!.maxTimestamp],
          [1_772_323_200_123n, 1_772_323_200_123n],
        )
        assert.deepEqual(
          batch!.records.map(({ offsetDelta, key, value, headers }) => ({
            offsetDelta,
            key,
            value,
            headers,
          })),
          records.map(({ key, value, shared, name, ownHeader }, offsetDelta) => ({
            offsetDelta,
            key: Buffer.from(key),
            value: Buffer.from(value),
            headers: [...shared, [name, Buffer.from(ownHeader, 'latin1')]],
          })),
        )
      },
    ),
    { numRuns: 200 },
  )
})
