import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { PAGEVIEWS } from '../../src/streams/declaration.ts'
import type { SpawnedServer } from '../helpers/server.ts'
import type { Plan, Request } from './streams-plan.ts'

/** What became of the events that were sent. */
export interface Sent {
  /** Of the plan, up to now: accepted, or given up since nobody may send them again. */
  events: number
  requests: number
  /** Requests that were sent again, as the answer was 503 or none. */
  retried: number
  refused503: number
  /** Events that were told to be there already. */
  duplicates: number
  /** Per event: whether it was accepted. What is not may be in the log or not. */
  accepted: Uint8Array
  /** The longest time that a living instance took to answer. */
  slowestMs: number
}

export interface SenderOptions {
  plan: Plan
  senders: number
  random: () => number
  /** Those that live, or are believed to. */
  servers: readonly SpawnedServer[]
  /** Waits as long as events should not be sent. */
  mayGoOn: (sent: Sent) => Promise<void>
  /** Whether a duplicate is told to be one: only a log that knows when it appends can. */
  tellsDuplicates: boolean
}

/** No answer comes later than this. */
const TIMEOUT_MS = 60_000
const SINGLES_AT_ONCE = 8
/** So long is a request tried; a broker may be away for a minute meanwhile. */
const PATIENCE_MS = 240_000

export interface Sender {
  sent: Sent
  done: Promise<void>
}

/** Sends what is planned, each request until it is answered, to any of the instances. */
export function startSending(options: SenderOptions): Sender {
  const { plan, random, servers, tellsDuplicates } = options
  const sent: Sent = {
    events: 0,
    requests: 0,
    retried: 0,
    refused503: 0,
    duplicates: 0,
    accepted: new Uint8Array(plan.events),
    slowestMs: 0,
  }
  const waiting = plan.requests.values()

  async function sendSome(): Promise<void> {
    for (const request of waiting) {
      await options.mayGoOn(sent)
      await (request.kind === 'singles' ? sendSingles(request) : sendBatch(request))
      sent.events += request.to - request.from
    }
  }

  async function sendBatch(request: Request): Promise<void> {
    const { kind, name, from, to, again } = request
    const events = Array.from({ length: to - from }, (_, i) => plan.pageview(from + i))
    const message = {
      ...batchOf(request),
      type: kind === 'ndjson' ? 'application/x-ndjson' : 'application/json',
      body:
        kind === 'ndjson' ? events.map((event) => JSON.stringify(event)).join('\n') : JSON.stringify(events),
      key: kind === 'ndjson' || kind === 'keyed' ? name : undefined,
      events: to - from,
    }
    if (kind === 'bare') {
      let answer = await post(message)
      // Where nobody listened nothing can have been appended.
      for (; answer === 'not sent'; answer = await post(message)) await sleep(random() * 300)
      if (typeof answer === 'number') accept(from, to)
      return
    }
    const twin = again === 'at once' ? untilAnswered(message) : undefined
    const first = await untilAnswered(message)
    accept(from, to)
    const twins = twin && first + (await twin)
    const later = again === 'later' ? await untilAnswered(message) : undefined
    sent.duplicates += first + (later ?? 0) + (twins === undefined ? 0 : twins - first)
    if (!tellsDuplicates) return
    // The first one may be one, too, when the answer before it got lost.
    if (twins !== undefined) assert.ok(twins >= to - from, 'of two at once, one finds them there')
    if (later !== undefined) assert.equal(later, to - from, 'what is sent again is there already')
  }

  async function sendSingles(request: Request): Promise<void> {
    const { clientKrn, stream, name, from, to, again } = request
    const waitingSingles = Array.from({ length: to - from }, (_, i) => from + i).values()
    const sendOnes = async () => {
      for (const index of waitingSingles) {
        const event = plan.pageview(index)
        const message = {
          // A declared stream takes only batches.
          ...(stream === PAGEVIEWS ? { path: '/api/pageviews', clientKrn } : batchOf(request)),
          type: 'application/json',
          body: JSON.stringify(stream === PAGEVIEWS ? event : [event]),
          key: event.event_id === undefined ? `${name}-${index}` : undefined,
          events: 1,
        }
        sent.duplicates += await untilAnswered(message)
        accept(index, index + 1)
        if (again !== 'no') sent.duplicates += await untilAnswered(message)
      }
    }
    await Promise.all(Array.from({ length: SINGLES_AT_ONCE }, sendOnes))
  }

  const accept = (from: number, to: number) => sent.accepted.fill(1, from, to)

  /** @returns how many were there already */
  async function untilAnswered(message: Message): Promise<number> {
    for (const endsAt = Date.now() + PATIENCE_MS; Date.now() < endsAt; ) {
      const duplicates = await post(message)
      if (typeof duplicates === 'number') return duplicates
      sent.retried++
      await sleep(random() * 300)
    }
    throw new Error('a request was never answered')
  }

  interface Message {
    path: string
    clientKrn: string
    type: string
    body: string
    key: string | undefined
    events: number
  }

  /** @returns how many were there already; or that nobody listened, or that nobody knows what became of them */
  async function post(message: Message): Promise<number | 'not sent' | 'unknown'> {
    const { path, clientKrn, type, body, key, events } = message
    const server = servers[Math.floor(random() * servers.length)]!
    const startedMs = Date.now()
    sent.requests++
    let response: Response
    let answer: { accepted: number; duplicates: number }
    try {
      response = await fetch(`${server.url}${path}`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${await tokenOf(server, clientKrn)}`,
          'content-type': type,
          ...(key !== undefined && { 'idempotency-key': key }),
        },
        body,
        signal: AbortSignal.timeout(TIMEOUT_MS),
      })
      answer = (await response.json()) as typeof answer
    } catch (error) {
      assert.notEqual((error as Error).name, 'TimeoutError', 'every request is answered in time')
      const { cause } = error as Error & { cause?: { code?: string } }
      // Of a broken connection it is not known whether the events were appended. That is the point.
      return cause?.code === 'ECONNREFUSED' ? 'not sent' : 'unknown'
    }
    sent.slowestMs = Math.max(sent.slowestMs, Date.now() - startedMs)
    if (response.status === 202) {
      assert.equal(answer.accepted, events)
      return answer.duplicates
    }
    assert.equal(response.status, 503, `an unexpected answer: ${JSON.stringify(answer)}`)
    assert.match(response.headers.get('retry-after') ?? '', /^\d+$/)
    sent.refused503++
    return 'unknown'
  }

  return {
    sent,
    done: Promise.all(Array.from({ length: options.senders }, sendSome)).then(() => {}),
  }
}

const batchOf = ({ clientKrn, stream }: Request) => ({
  path: stream === PAGEVIEWS ? '/api/pageviews/batch' : `/clients/${clientKrn}/streams/${stream}/events`,
  clientKrn,
})

const tokens = new Map<string, Promise<string>>()

export function tokenOf(server: SpawnedServer, clientKrn: string): Promise<string> {
  const name = `${server.dataDir} ${clientKrn}`
  const token = tokens.get(name) ?? server.token('sender@example.com', clientKrn)
  tokens.set(name, token)
  return token
}
