import { setTimeout as delay } from 'node:timers/promises'
import type { Pool } from 'pg'
import { PebblesError } from '../../platform/errors.ts'
import { cutStretch, type Stretch } from '../../platform/kafka/records.ts'
import { openTopicReader, type TopicReader } from '../../platform/kafka/topic-reader.ts'
import { orAway } from '../../platform/postgres/database.ts'
import { findDuplicates } from './event-index-postgres.ts'
import type { EventReader, ReadLimits, Slice } from './log.ts'
import type { RecordSeals } from './log-kafka-records.ts'
import { readRecords, toRuns } from './log-kafka-slice.ts'
import type { BoundTopic } from './log-kafka-topic.ts'
import type { LogWatch } from './log-kafka-watch.ts'

/** Brokers that do not answer are looked for again after so long. */
const PAUSE_MS = 1_000
const MAX_RECORDS = 20_000
/** Two clocks may run apart by so much: what was learnt of the broker's is worth less with time. */
const DRIFT = 0.001

export interface KafkaReaderOptions {
  topic: BoundTopic
  seals: RecordSeals
  pool: Pool
  watch: LogWatch
  /** Sees to it that page views of others get to the partition of their key, once. */
  adopt: (partition: number, misplaced: ReturnType<typeof readRecords>['misplaced']) => Promise<void>
}

/** Where a partition is read. */
interface Place {
  session: TopicReader
  next: number
  /** Fetched, and not handed on. */
  pieces: Stretch[]
}

/**
 * Reads the topic. Duplicates are left out here, by an index in PostgreSQL; records of others are judged here, and
 * what is no event is left out, counted and told.
 *
 * While the brokers are away `read` brings slices with nothing in them and without `endedMs`, and goes on by itself.
 */
export function createKafkaReader(options: KafkaReaderOptions): EventReader {
  const { topic, seals, pool, watch, adopt } = options
  const closing = new AbortController()
  const places = new Map<number, Place>()
  const clocks = createBrokerClocks()
  let session: { opening: Promise<TopicReader | undefined>; reader?: TopicReader } | undefined

  /** One for all partitions, until it is lost. */
  function openSession() {
    const own: NonNullable<typeof session> = { opening: open() }
    session = own

    async function open(): Promise<TopicReader | undefined> {
      try {
        const reader = await openTopicReader({
          connection: topic.connection,
          groupId: 'pebbles-event-log',
          topic: topic.name,
          onAway: watch.hitch,
          onAnswer: watch.well,
          onLost(error) {
            watch.trouble(error)
            lose()
            void own.reader?.[Symbol.asyncDispose]()
          },
          stop: closing.signal,
        })
        own.reader = reader
        if (reader.topic.id === topic.id && !closing.signal.aborted) return reader
        await reader[Symbol.asyncDispose]()
        if (!closing.signal.aborted) throw topic.anotherOne()
      } catch (error) {
        if (!closing.signal.aborted) watch.trouble(error as Error)
        lose()
      }
      return undefined
    }
    function lose(): void {
      if (session === own) session = undefined
    }
    return own
  }

  async function read(partition: number, from: number, limits: ReadLimits): Promise<Slice> {
    const nothing: Slice = { runs: [], next: from, endedMs: undefined }
    const { waitMs, maxBytes, signal } = limits
    const { opening, reader = await Promise.race([opening, ended(signal)]) } = session ?? openSession()
    if (reader === undefined) {
      await pause(Math.min(waitMs, PAUSE_MS), signal)
      return nothing
    }
    let place = places.get(partition)
    if (place === undefined || place.session !== reader || place.next !== from) {
      place = { session: reader, next: from, pieces: [] }
      places.set(partition, place)
      reader.seek(partition, from)
    }
    // What fails below is read again from `from` on.
    places.delete(partition)
    if (place.pieces.length === 0) {
      const taken = await reader.takeWithin(partition, { waitMs, signal })
      if (signal.aborted) {
        reader.drop(partition)
        return nothing
      }
      if (taken?.kind === 'gone') return findWay(reader, partition, from, limits)
      if (taken?.kind === 'stretch') {
        const newest = taken.records.at(-1)
        if (newest !== undefined) clocks.learn(partition, newest.timestampMs, taken.at)
        place.pieces = cutStretch(taken, { records: MAX_RECORDS, bytes: maxBytes })
      } else {
        places.set(partition, place)
        return { ...nothing, endedMs: taken && clocks.tell(partition, taken.askedAt) }
      }
    }
    const piece = place.pieces.shift()!
    const slice = await toSlice(partition, piece)
    place.next = slice.next
    places.set(partition, place)
    return slice
  }

  async function toSlice(partition: number, piece: Stretch): Promise<Slice> {
    const { events, ids, misplaced, refused } = readRecords(piece, partition, topic.partitions, seals)
    for (const { offset, reason } of refused) watch.refused(partition, offset, reason)
    if (misplaced.length > 0) await adopt(partition, misplaced)
    const duplicates = ids.length > 0 ? await orAway(findDuplicates(pool, partition, ids)) : NONE
    return { runs: toRuns(events, duplicates), next: piece.next, endedMs: undefined }
  }

  /** Where there is nothing to be read at the position. */
  async function findWay(
    reader: TopicReader,
    partition: number,
    at: number,
    { waitMs, signal }: ReadLimits,
  ): Promise<Slice> {
    const earliest = await reader.offset(partition, 'earliest')
    if (at < earliest) {
      watch.gone(partition, at, earliest)
      return { runs: [], next: earliest, endedMs: undefined, isGap: true }
    }
    const end = await reader.offset(partition, 'latest')
    if (at <= end) return { runs: [], next: at, endedMs: undefined }
    await pause(Math.min(waitMs, PAUSE_MS), signal)
    const text = `${topic.name}/${partition} ends at ${end}, below the position ${at}: the brokers have lost its end.`
    watch.trouble(new Error(text))
    throw new PebblesError('unavailable', text)
  }

  return {
    read,
    async [Symbol.asyncDispose]() {
      closing.abort()
      const reader = await session?.opening
      await reader?.[Symbol.asyncDispose]()
    },
  }
}

const NONE: ReadonlySet<number> = new Set()

/**
 * The brokers' clocks, as far as they are known for certain: a record that was here at an instant had been appended by
 * then, so their clock showed at least its time. What is told is never ahead of the broker's clock. At worst, when
 * nothing but old records were read, it is behind by their age, and a quiet stream is moved on later.
 */
function createBrokerClocks() {
  /** By the monotonic clock of this process; an age is what that clock is ahead of the broker's at most. */
  const known = new Map<number, { ahead: number; at: number }>()
  const aheadAt = ({ ahead, at }: { ahead: number; at: number }, now: number) => ahead + (now - at) * DRIFT
  return {
    learn(partition: number, appendedMs: number, at: number): void {
      const before = known.get(partition)
      const ahead = at - appendedMs
      if (before === undefined || ahead < aheadAt(before, at)) known.set(partition, { ahead, at })
    },
    /** Zero when nothing was read yet. */
    tell(partition: number, at: number): number {
      const clock = known.get(partition)
      return clock === undefined ? 0 : Math.floor(at - aheadAt(clock, at))
    },
  }
}

const pause = (ms: number, signal: AbortSignal) => delay(ms, undefined, { signal }).catch(() => {})

const ended = (signal: AbortSignal) =>
  new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined)
    signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
