import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatRelative,
  formatShortCount,
  percentOf,
  plural,
} from '../src/format.ts'

describe('numbers, sizes and times', () => {
  test('W2 100 percent means all of it, and nothing else does', () => {
    fc.assert(
      fc.property(fc.nat(1e9), fc.integer({ min: 1, max: 1e9 }), (done, total) => {
        const percent = percentOf(done, total)
        assert.ok(Number.isInteger(percent) && percent >= 0 && percent <= 100)
        assert.equal(percent === 100, done >= total)
      }),
    )
    assert.equal(percentOf(0, 0), 100)
    assert.equal(percentOf(999_999, 1_000_000), 99)
  })

  test('W2 counts have separators, and are short where there is no room', () => {
    assert.equal(formatCount(1_234_567), '1,234,567')
    assert.equal(formatShortCount(999_999), '999,999')
    assert.equal(formatShortCount(12_345_678), '12.3M')
    assert.deepEqual(
      [plural(1, 'row'), plural(0, 'row'), plural(1_000, 'row')],
      ['1 row', '0 rows', '1,000 rows'],
    )
  })

  test('W1 sizes are told in the largest unit that leaves a number before the point', () => {
    const told = [0, 999, 1_000, 4_200_000, 123_456_789, 5_368_709_120].map(formatBytes)
    assert.deepEqual(told, ['0 B', '999 B', '1 kB', '4.2 MB', '123 MB', '5.4 GB'])
  })

  test('W2 times are told in words for a week, then as a day', () => {
    const now = Date.UTC(2026, 0, 31, 12)
    const told = [0, 59_000, 60_000, 3_599_000, 3_600_000, 86_400_000, 6 * 86_400_000, 8 * 86_400_000].map(
      (age) => formatRelative(now - age, now),
    )
    assert.deepEqual(told, [
      'just now',
      'just now',
      '1 minute ago',
      '59 minutes ago',
      '1 hour ago',
      'yesterday',
      '6 days ago',
      'Jan 23, 2026',
    ])
  })

  test('W2 a clock that is behind the server’s tells no time to come', () => {
    assert.equal(formatRelative(10_000, 0), 'just now')
  })

  test('W2 durations are told as people say them', () => {
    const told = [-5, 400, 12_000, 200_000, 7_500_000].map(formatDuration)
    assert.deepEqual(told, ['0.0 s', '0.4 s', '12 s', '3 min 20 s', '2 h 5 min'])
  })
})
