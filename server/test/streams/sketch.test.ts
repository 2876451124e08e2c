import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  addHash,
  createSketch,
  decodeSketch,
  encodeSketch,
  estimate,
  hashOf,
  mergeSketch,
  type Sketch,
  STANDARD_ERROR,
} from '../../src/streams/windows/sketch.ts'

function sketchOf(values: Iterable<string | number | boolean>): Sketch {
  const sketch = createSketch()
  for (const value of values) addHash(sketch, hashOf(value))
  return sketch
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

/** All numbers below one of them. */
const anyOrder = fc
  .nat(400)
  .chain((count) => fc.shuffledSubarray(range(0, count), { minLength: count, maxLength: count }))

describe('sketches', () => {
  test('S9 the same values in any order, any number of times, in any parts, stored and read or not: the same bytes', () => {
    fc.assert(
      fc.property(anyOrder, fc.array(fc.nat(399), { maxLength: 50 }), fc.nat(399), (values, again, cut) => {
        const repeated = [...values, ...again.filter((n) => n < values.length)]
        const whole = encodeSketch(sketchOf(range(0, values.length)))
        const merged = sketchOf(repeated.slice(0, cut))
        mergeSketch(merged, decodeSketch(encodeSketch(sketchOf(repeated.slice(cut)))))
        assert.deepEqual(encodeSketch(merged), whole)
        assert.deepEqual(encodeSketch(decodeSketch(whole)), whole)
      }),
      { numRuns: 150 },
    )
  })

  test('S9 up to 128 different values are counted exactly, and take four bytes each', () => {
    for (const count of [0, 1, 2, 77, 128]) {
      const sketch = sketchOf([...range(0, count), ...range(0, count)])
      assert.equal(estimate(sketch), count)
      assert.equal(encodeSketch(sketch).length, 1 + 4 * count)
    }
    assert.equal(encodeSketch(sketchOf(range(0, 1_000_000))).length, 4_097)
  })

  test('S9 the estimate errs as documented: 1.6 %, for numbers, texts and addresses of every count', () => {
    const makers: ((n: number) => string | number)[] = [
      (n) => n,
      (n) => `/shop/item/${n}?ref=mail`,
      (n) => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`,
    ]
    const errors: number[] = []
    for (const make of makers)
      for (const count of [500, 2_000, 8_000, 30_000])
        for (let round = 0; round < 8; round++)
          errors.push(
            estimate(sketchOf(range(round * 50_000, round * 50_000 + count).map((n) => make(n)))) / count - 1,
          )
    const rms = Math.sqrt(errors.reduce((sum, error) => sum + error * error, 0) / errors.length)
    assert.ok(rms < STANDARD_ERROR * 1.2, `${rms}`)
    assert.ok(Math.max(...errors.map(Math.abs)) < STANDARD_ERROR * 4)
  })

  test('S9 a sketch of another format is refused, not misread', () => {
    assert.throws(() => decodeSketch(Buffer.from([2, 0, 0, 0, 1])), /unknown format 2/)
  })
})
