/** Page views for benchmarks, the same ones each time. */
export interface Pageview {
  user_id: number
  postcode: string
  webpage: string
  timestamp: number
}

export const POSTCODES = 5_000
const START_S = Date.parse('2026-03-01T00:00:00Z') / 1_000

/** @param batch of the same size, all of which differ */
export function pageviews(size: number, batch: number): Pageview[] {
  return Array.from({ length: size }, (_, i) => {
    const n = batch * size + i
    return {
      user_id: n,
      postcode: `P${(n * 7_919) % POSTCODES}`,
      webpage: `www.website.com/page-${n % 97}.html`,
      timestamp: START_S + Math.floor(n / 500),
    }
  })
}

/** Times of events that come one after the other differ by less: nobody is late with a grace of as much. */
const DISORDER_S = 60

/** The event at a place among `total`, whose times go over so many minutes, out of order by up to a minute. */
export function pageviewAt(n: number, total: number, minutes: number): Pageview {
  const random = Math.imul(n ^ 0x9e3779b9, 0x85ebca6b) >>> 0
  const mixed = Math.imul(random ^ (random >>> 13), 0xc2b2ae35) >>> 0
  return {
    user_id: n,
    postcode: `P${mixed % POSTCODES}`,
    webpage: `www.website.com/page-${n % 97}.html`,
    timestamp: START_S + Math.floor((n * minutes * 60) / total) + ((mixed >>> 16) % DISORDER_S),
  }
}

/** Later than all those, by so much that every window of theirs closes. */
export const endTimestamp = (minutes: number, graceS: number): number =>
  START_S + minutes * 60 + DISORDER_S + graceS + 120
