import type { WindowCount } from '../api/types.ts'

export const MINUTE_MS = 60_000
/** How many minutes are shown. */
export const SHOWN = 60

export interface Minutes {
  /** Start of the first one. */
  startMs: number
  /** One for each minute, 0 where there was nothing. */
  counts: readonly number[]
  total: number
}

/** The hour that ends with the last whole minute. */
export function shownRange(nowMs: number): { fromMs: number; toMs: number } {
  const toMs = nowMs - (nowMs % MINUTE_MS)
  return { fromMs: toMs - SHOWN * MINUTE_MS, toMs }
}

export function toMinutes(windows: readonly WindowCount[], fromMs: number): Minutes {
  const counts = Array<number>(SHOWN).fill(0)
  let total = 0
  for (const { window_start, pageview_count } of windows) {
    const place = Math.floor((Date.parse(`${window_start}Z`) - fromMs) / MINUTE_MS)
    if (!(place in counts)) continue
    counts[place]! += pageview_count
    total += pageview_count
  }
  return { startMs: fromMs, counts, total }
}

/** The next of 1, 2, 5, 10, 20 … that is not below `count`, so that the scale does not change with every minute. */
export function roundUp(count: number): number {
  if (count <= 1) return 1
  const power = 10 ** Math.floor(Math.log10(count))
  return [1, 2, 5, 10].map((step) => step * power).find((bound) => bound >= count)!
}
