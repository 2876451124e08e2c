/** What a storm sends: page views and the requests that carry them, all of it following from a seed. */
import { PAGEVIEWS, PAGEVIEWS_DECLARATION, type StreamDeclaration } from '../../src/streams/declaration.ts'

export interface Pageview {
  user_id: number
  postcode: string
  webpage: string
  timestamp: number
  event_id?: string
}

/** How events are sent, and by what they are known when they come again. */
export type Kind = 'ids' | 'ndjson' | 'keyed' | 'singles' | 'bare'

/** The events `from` up to, not including, `to`, in one request; of `singles`, each in one of its own. */
export interface Request {
  name: string
  kind: Kind
  clientKrn: string
  stream: string
  from: number
  to: number
  /** Sent once more when it was answered, or twice at the same time, to two instances. */
  again: 'no' | 'later' | 'at once'
}

export interface Plan {
  events: number
  /** Those that events are of. */
  streams: readonly string[]
  requests: readonly Request[]
  requestOf(index: number): Request
  pageview(index: number): Pageview
}

export const CLIENTS = ['krn:acme', 'krn:globex', 'krn:initech']
export const WINDOW_S = 60
export const GRACE_S = 60
/** Page views under another name, of which more is made: how many, by how many users, and the sum of their ids. */
export const VISITS = 'visits'
export const VISITS_DECLARATION: StreamDeclaration = {
  ...PAGEVIEWS_DECLARATION,
  measures: [
    { name: 'visits', kind: 'count' },
    { name: 'users', kind: 'distinct', field: 'user_id' },
    { name: 'ids', kind: 'sum', field: 'user_id' },
  ],
}
/** Long ago, so that no clock but theirs moves the stream on. */
const START_S = 1_611_662_684
const SPAN_S = 3_000

/** Up to which share of requests. What is bare has no id, so it is never sent again. */
const KINDS: readonly [Kind, number][] = [
  ['ids', 0.4],
  ['ndjson', 0.7],
  ['keyed', 0.89],
  ['bare', 0.94],
  ['singles', 1],
]
const MAX_SINGLES = 10

export interface PlanOptions {
  events: number
  postcodes: number
  /** Events of a request, on the average. */
  batchSize: number
  /** Default: page views alone. */
  streams?: readonly string[]
  seed: number
}

export function planEvents(options: PlanOptions): Plan {
  const { events, postcodes, batchSize, streams = [PAGEVIEWS], seed } = options
  const requests: Request[] = []
  const owners = new Uint32Array(events)
  for (let from = 0; from < events; ) {
    const place = requests.length
    const kind = kindAt(chance(seed, place, 1))
    const most = kind === 'singles' ? Math.min(MAX_SINGLES, batchSize) : batchSize
    const to = Math.min(events, from + 1 + Math.floor(chance(seed, place, 2) * 2 * most))
    const fate = kind === 'bare' ? 1 : chance(seed, place, 3)
    requests.push({
      name: `request-${place}`,
      kind,
      clientKrn: CLIENTS[Math.floor(chance(seed, place, 4) * CLIENTS.length)]!,
      stream: streams[Math.floor(chance(seed, place, 7) * streams.length)]!,
      from,
      to,
      again: fate < 0.04 ? 'later' : fate < 0.06 ? 'at once' : 'no',
    })
    owners.fill(place, from, to)
    from = to
  }

  /** Times that go on, out of order within the grace; one in a hundred far behind it. */
  function pageview(index: number): Pageview {
    const { kind } = requests[owners[index]!]!
    const how = chance(seed, index, 5)
    const isFarBehind = how < 0.01
    const delay = isFarBehind ? WINDOW_S + GRACE_S + 100 + how * 90_000 : ((how - 0.01) / 0.99) ** 2 * 50
    const hasId = kind === 'ids' || (kind === 'singles' && index % 2 === 0)
    return {
      user_id: index,
      postcode: `P${Math.floor(chance(seed, index, 6) ** 2 * postcodes)}`,
      webpage: `www.website.com/${index % 7}.html`,
      timestamp: Math.floor(START_S + (index / events) * SPAN_S - delay),
      ...(hasId && { event_id: `event-${index}` }),
    }
  }

  return { events, streams, requests, requestOf: (index) => requests[owners[index]!]!, pageview }
}

const kindAt = (share: number): Kind => KINDS.find(([, upTo]) => share < upTo)![0]

/** A number from 0 up to 1 that follows from three others. */
function chance(seed: number, index: number, salt: number): number {
  let mixed = (Math.imul(index, 0x9e3779b1) ^ Math.imul(seed + salt, 0x85ebca6b)) | 0
  for (let round = 0; round < 2; round++) {
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x7feb352d)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x846ca68b)
  }
  return ((mixed ^ (mixed >>> 16)) >>> 0) / 4294967296
}
