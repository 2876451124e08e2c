import type { paths } from './openapi.ts'
import { type Persistence, persistUntil } from './persist.ts'
import { type Connection, createCaller } from './request.ts'

type AnswerOf<Path extends keyof paths> = paths[Path] extends {
  get: { responses: { 200: { content: { 'application/json': infer Body } } } }
}
  ? Body
  : never

/** Page views of a postcode in a window that closed, or in `step` seconds. */
export type PageviewAggregate = AnswerOf<'/api/pageviews/aggregates'>[number]

/** An aggregate of a declared stream: the fields of its key, `window_start`, and its measures. */
export type Aggregate = AnswerOf<'/clients/{clientKrn}/streams/{stream}/aggregates'>[number]

export type PostcodeCount = AnswerOf<'/api/pageviews/top'>[number]
export type WindowTotal = AnswerOf<'/api/pageviews/totals'>[number]
export type StreamBalance = AnswerOf<'/api/streams/{stream}/balance'>

export interface ReadOptions extends Connection, Persistence {}

/** Windows that begin in a range of time. */
export interface RangeOptions extends ReadOptions {
  /** The first one; a text is UTC unless it says otherwise. Default: an hour before `to`. */
  from?: Date | string | undefined
  /** Behind the last one. Default: now. */
  to?: Date | string | undefined
}

export interface ReadPageviewsOptions extends RangeOptions {
  /** This one only. */
  postcode?: string | undefined
  /** Puts the windows of so many seconds together; with a postcode. */
  step?: number | undefined
}

/**
 * Iterates over the page views of closed windows, in the order of time, and asks for them page by page.
 *
 * @throws PebblesApiError when the service refuses
 * @throws PebblesTimeoutError
 */
export function readPageviews(options: ReadPageviewsOptions): AsyncGenerator<PageviewAggregate, void> {
  const { postcode, step } = options
  return readPages('/api/pageviews/aggregates', { ...rangeOf(options), postcode, step }, options)
}

export interface ReadAggregatesOptions extends RangeOptions {
  clientKrn: string
  /** A stream that the client has declared. */
  stream: string
  /** One key only: the text of its one field; of several fields, or of other types, the list of their values. */
  key?: string | readonly (string | number | boolean)[] | undefined
  /** Puts the windows of so many seconds together; with a key. */
  step?: number | undefined
}

/** The same for the aggregates of a stream that a client has declared; it needs a token. */
export function readAggregates(options: ReadAggregatesOptions): AsyncGenerator<Aggregate, void> {
  const { clientKrn, stream, key, step } = options
  const path = `/clients/${encodeURIComponent(clientKrn)}/streams/${encodeURIComponent(stream)}/aggregates`
  const text = typeof key === 'object' ? JSON.stringify(key) : key
  return readPages(path, { ...rangeOf(options), key: text, step }, options)
}

/** The postcodes with the most page views, the most first: `limit` (10) of them, over at most 24 hours. */
export function readTopPostcodes(options: RangeOptions & { limit?: number | undefined }) {
  const query = { ...rangeOf(options), limit: options.limit }
  return readAnswer<PostcodeCount[]>('/api/pageviews/top', query, options)
}

/** Page views over all postcodes, by window or by `step` seconds; those without any are left out. */
export function readTotals(options: RangeOptions & { step?: number | undefined }) {
  const query = { ...rangeOf(options), step: options.step }
  return readAnswer<WindowTotal[]>('/api/pageviews/totals', query, options)
}

export interface ReadBalanceOptions extends ReadOptions {
  /** Default: that of the token. */
  clientKrn?: string | undefined
  /** Default: `pageviews`. */
  stream?: string | undefined
  /** Counts each aggregate. */
  recount?: boolean | undefined
}

/** The books of a stream: what was taken in, and what became of it. */
export function readBalance(options: ReadBalanceOptions): Promise<StreamBalance> {
  const { clientKrn, stream = 'pageviews', recount } = options
  const scope = clientKrn === undefined ? '/api' : `/clients/${encodeURIComponent(clientKrn)}`
  return readAnswer(`${scope}/streams/${encodeURIComponent(stream)}/balance`, { recount }, options)
}

type Query = Record<string, string | number | boolean | undefined>

const rangeOf = ({ from, to }: RangeOptions): Query => ({ from: textOf(from), to: textOf(to) })
const textOf = (time: Date | string | undefined) => (time instanceof Date ? time.toISOString() : time)

async function readAnswer<T>(path: string, query: Query, options: ReadOptions): Promise<T> {
  const { value } = await createAsk(path, options)(query)
  return value as T
}

async function* readPages<T>(path: string, query: Query, options: ReadOptions): AsyncGenerator<T, void> {
  const ask = createAsk(path, options)
  for (let after: string | undefined; ; ) {
    const { value, next } = await ask({ ...query, after })
    yield* value as T[]
    if (next === undefined) return
    after = next
  }
}

/** Each question has its own time; all have the token that was had for the first. */
function createAsk(path: string, options: ReadOptions) {
  const caller = createCaller(options)
  const { signal } = options
  return (query: Query) => {
    const params = new URLSearchParams()
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) params.set(name, String(value))
    return persistUntil(options)(() => caller.page(`${path}?${params}`, { signal }))
  }
}
