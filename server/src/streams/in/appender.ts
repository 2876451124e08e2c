import { PebblesError } from '../../platform/errors.ts'
import type { Appended, NewEvent } from '../log/log.ts'

/**
 * The log's front: takes the events of single requests and hands them on in batches.
 *
 * Group commit: what arrives while a batch is being written is collected and becomes the next one. Memory is bounded:
 * beyond `maxPending` events or `maxPendingBytes` a caller is told to come back (503).
 */
export interface Appender extends AsyncDisposable {
  /**
   * Resolves with the place of each event once all are durable.
   *
   * @throws PebblesError `overloaded` when too much waits, `unavailable` when the log is away
   */
  submit(events: readonly NewEvent[]): Promise<Appended[]>
  /** Events that wait or are being written. */
  readonly pending: number
}

export interface AppenderOptions {
  append: (events: readonly NewEvent[]) => Promise<Appended[]>
  maxPending: number
  maxPendingBytes: number
}

/** So long, and no longer, a batch waits for callers; with so many events it does not wait. */
const GATHER_MS = 2
const WORTH_EVENTS = 1_000
const MAX_BATCH_EVENTS = 20_000
const MAX_BATCH_BYTES = 8 * 1024 * 1024
/** Roughly what an event takes in memory beside its payload. */
const EVENT_BYTES = 200

interface Waiting {
  events: readonly NewEvent[]
  sizeBytes: number
  resolve: (places: Appended[]) => void
  reject: (error: unknown) => void
}

export function createAppender({ append, maxPending, maxPendingBytes }: AppenderOptions): Appender {
  let queue: Waiting[] = []
  let pending = 0
  let pendingBytes = 0
  /** A batch is being written, or about to be. */
  let isBusy = false
  /** Half of the callers there were when the last batch was done: those that it answered, and those who waited. */
  let expected = 0
  let gathering: NodeJS.Timeout | undefined
  let isClosed = false
  let whenIdle: (() => void) | undefined

  function submit(events: readonly NewEvent[]): Promise<Appended[]> {
    if (isClosed)
      throw new PebblesError('unavailable', 'The server is shutting down.', { retryAfterSeconds: 1 })
    let sizeBytes = events.length * EVENT_BYTES
    for (const { payload } of events) sizeBytes += payload.length
    // One request alone is always taken: its size has a limit of its own.
    if (pending > 0 && (pending + events.length > maxPending || pendingBytes + sizeBytes > maxPendingBytes)) {
      throw new PebblesError('overloaded', 'Too many events are waiting to be written.', {
        retryAfterSeconds: 1,
      })
    }
    pending += events.length
    pendingBytes += sizeBytes
    return new Promise((resolve, reject) => {
      queue.push({ events, sizeBytes, resolve, reject })
      schedule()
    })
  }

  /**
   * Callers that come again as soon as they are answered make two groups that take turns. When one is small, its batch
   * costs as much as a large one, and there is nothing to do meanwhile: so a batch begins with half of the callers.
   */
  function schedule(): void {
    if (isBusy || queue.length === 0) return
    if (queue.length >= expected || pending >= WORTH_EVENTS) begin()
    else gathering ??= setTimeout(begin, GATHER_MS)
  }

  /** At the end of this turn of the event loop, so that requests that arrived together are written together. */
  function begin(): void {
    clearTimeout(gathering)
    gathering = undefined
    isBusy = true
    setImmediate(() => void writeNext())
  }

  async function writeNext(): Promise<void> {
    const batch = takeBatch()
    await writeApart(batch)
    for (const { events, sizeBytes } of batch) {
      pending -= events.length
      pendingBytes -= sizeBytes
    }
    isBusy = false
    expected = (batch.length + queue.length) / 2
    schedule()
    if (pending === 0) whenIdle?.()
  }

  function takeBatch(): Waiting[] {
    let events = 0
    let bytes = 0
    let size = 0
    for (const waiting of queue) {
      events += waiting.events.length
      bytes += waiting.sizeBytes
      if (size > 0 && (events > MAX_BATCH_EVENTS || bytes > MAX_BATCH_BYTES)) break
      size++
    }
    const batch = queue.slice(0, size)
    queue = queue.slice(size)
    return batch
  }

  /** Never rejects. A batch that the log refuses is halved until the request at fault stands alone. */
  async function writeApart(batch: Waiting[]): Promise<void> {
    try {
      const places = await append(batch.flatMap(({ events }) => events))
      let from = 0
      for (const { events, resolve } of batch) {
        resolve(places.slice(from, from + events.length))
        from += events.length
      }
    } catch (error) {
      if (batch.length === 1 || isAway(error)) {
        for (const { reject } of batch) reject(error)
        if (isAway(error)) turnAway(error)
        return
      }
      const middle = batch.length >> 1
      await writeApart(batch.slice(0, middle))
      await writeApart(batch.slice(middle))
    }
  }

  /** Those who wait: each batch would be tried as long as this one was, and the last caller wait many times that. */
  function turnAway(error: unknown): void {
    for (const { events, sizeBytes, reject } of queue) {
      pending -= events.length
      pendingBytes -= sizeBytes
      reject(error)
    }
    queue = []
  }

  return {
    submit,
    get pending() {
      return pending
    },
    /** Takes nothing more and waits until what was taken is written. */
    async [Symbol.asyncDispose]() {
      isClosed = true
      if (pending > 0) await new Promise<void>((resolve) => (whenIdle = resolve))
    },
  }
}

const isAway = (error: unknown) => error instanceof PebblesError && error.retryable
