import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { MINUTE_MS, roundUp, SHOWN, shownRange, toMinutes } from '../src/pageviews/minutes.ts'

describe('page views by minute', () => {
  test('S10 whatever is in the hour is in its minute, and nothing else is counted', () => {
    const minute = fc.integer({ min: -5, max: SHOWN + 5 })
    const windows = fc.uniqueArray(fc.tuple(minute, fc.nat(1_000)), { selector: ([place]) => place })
    fc.assert(
      fc.property(fc.integer({ min: 1e12, max: 2e12 }), windows, (nowMs, found) => {
        const { fromMs, toMs } = shownRange(nowMs)
        assert.ok(toMs <= nowMs && nowMs - toMs < MINUTE_MS && toMs - fromMs === SHOWN * MINUTE_MS)
        const told = found.map(([place, pageview_count]) => ({
          window_start: new Date(fromMs + place * MINUTE_MS).toISOString().slice(0, 19),
          pageview_count,
        }))
        const { counts, total } = toMinutes(told, fromMs)
        const inside = new Map(found.filter(([place]) => place >= 0 && place < SHOWN))
        assert.deepEqual(
          counts,
          Array.from({ length: SHOWN }, (_, place) => inside.get(place) ?? 0),
        )
        assert.equal(
          total,
          counts.reduce((sum, count) => sum + count, 0),
        )
      }),
    )
  })

  test('S10 the scale has room for the most, and is never more than two and a half times as high', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e12 }), (count) => {
        const bound = roundUp(count)
        assert.ok(bound >= count && bound <= 2.5 * count)
        assert.match(String(bound), /^[125]0*$/)
      }),
    )
    assert.equal(roundUp(0), 1)
  })
})
