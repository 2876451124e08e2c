import { partitionOf } from '../server/src/streams/log/log.ts'
import { nameOf } from './aggregates-topic.ts'
import { endTimestamp, type Pageview, pageviewAt } from './pageviews.ts'

const BATCH = 10_000
/** Whom a development server takes a request without a token to be from. */
const CLIENT = 'krn:dev'

export interface FillOptions {
  /** Of a server that takes page views. */
  url: string
  partitions: number
  events: number
  minutes: number
  graceS: number
}

/**
 * Sends page views, and then one to each partition that is so late in time that every window before it closes.
 *
 * @returns how many there are of each postcode and minute, the last ones aside
 */
export async function fillTopic(options: FillOptions): Promise<Map<string, number>> {
  const { url, partitions, events, minutes, graceS } = options
  const counts = new Map<string, number>()
  for (let sent = 0; sent < events; sent += BATCH) {
    const batch = Array.from({ length: Math.min(BATCH, events - sent) }, (_, i) =>
      pageviewAt(sent + i, events, minutes),
    )
    for (const { postcode, timestamp } of batch) {
      const name = nameOf(postcode, startOf(timestamp))
      counts.set(name, (counts.get(name) ?? 0) + 1)
    }
    // One after the other, or they would be more out of order than they are.
    await post(url, batch)
  }
  const last = new Map<number, Pageview>()
  for (let n = 0; last.size < partitions; n++) {
    const postcode = `END ${n}`
    const timestamp = endTimestamp(minutes, graceS)
    last.set(partitionOf(CLIENT, 'pageviews', postcode, partitions), {
      user_id: n,
      postcode,
      webpage: 'end',
      timestamp,
    })
  }
  await post(url, [...last.values()])
  return counts
}

const starts = new Map<number, string>()

/** As in aggregates: the minute in UTC, without a zone. */
function startOf(timestampS: number): string {
  const startS = timestampS - (timestampS % 60)
  let text = starts.get(startS)
  if (text === undefined) {
    text = new Date(startS * 1_000).toISOString().slice(0, 19)
    starts.set(startS, text)
  }
  return text
}

async function post(url: string, events: readonly Pageview[]): Promise<void> {
  const response = await fetch(`${url}/api/pageviews/batch`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: events.map((event) => JSON.stringify(event)).join('\n'),
  })
  const { accepted } = (await response.json()) as { accepted?: number }
  if (accepted !== events.length) throw new Error(`${accepted} of ${events.length} events were taken in`)
}
