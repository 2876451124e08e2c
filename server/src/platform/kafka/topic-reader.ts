import { setTimeout as delay } from 'node:timers/promises'
import { ResponseError } from '@platformatic/kafka'
import { clientOptions, closeClient, type KafkaConnection, untilStopped } from './connection.ts'
import { type FetchResponse, RawConsumer } from './raw-consumer.ts'
import { readStretch, type Stretch } from './records.ts'
import { findTopic, needTopicIds, readOffsets, readWrittenEnd, type Topic } from './topic.ts'

/**
 * What there is at a partition's position. `gone`: nothing, since the log begins above it (its retention took what
 * was there) or ends below it (it was cut off).
 */
export type Taken = ({ kind: 'stretch'; at: number } & Stretch) | { kind: 'gone'; at: number }

/**
 * There was nothing behind the position when the brokers were asked, at `askedAt` by the monotonic clock of this
 * process (milliseconds), by which a stretch has `at`, the time when it was there.
 */
export interface End {
  kind: 'end'
  askedAt: number
}

/** How long a caller waits for something to take. */
export interface Patience {
  waitMs: number
  signal: AbortSignal
}

/** Reads partitions of one topic, from wherever it is told. */
export interface TopicReader extends AsyncDisposable {
  readonly topic: Topic
  /** Reads the partition from `offset` on; what was fetched of it is dropped. */
  seek(partition: number, offset: number): void
  /** Reads it no more; who waits for it is given undefined. */
  drop(partition: number): void
  /**
   * The next of a partition; undefined when it is not read any more. Whoever takes is through with what it took
   * before: until then that counts as held.
   */
  take(partition: number): Promise<Taken | undefined>
  /**
   * The same, for somebody who does not wait for ever: it ends when nothing came within `waitMs`, asked for after the
   * call. Undefined also when the brokers did not answer, or the signal came.
   */
  takeWithin(partition: number, patience: Patience): Promise<Taken | End | undefined>
  /** The first offset that the partition has, or the one after its last. */
  offset(partition: number, end: 'earliest' | 'latest'): Promise<number>
  /** The offset after the last one that was written, transactions that are still open included. */
  writtenEnd(partition: number): Promise<number>
  /** Asks the brokers what the topic is now, and where its partitions end. */
  look(): Promise<Topic>
  /** The offset after the last one that can be read, of each partition that is read. */
  readonly ends: ReadonlyMap<number, number>
}

export interface TopicReaderOptions {
  connection: KafkaConnection
  groupId: string
  topic: string
  /** Brokers do not answer; it goes on trying. */
  onAway: (error: Error) => void
  /** A broker has answered. */
  onAnswer: () => void
  /** The topic is not the one that it was, or the brokers were away for long: it has stopped. */
  onLost: (error: Error) => void
  /** Ends waiting for the brokers when it opens. */
  stop: AbortSignal
}

/** Bytes that one answer brings; a batch of messages that is larger comes alone. */
const FETCH_BYTES = 8 * 1024 * 1024
/** Of these, of one partition. */
const PARTITION_BYTES = 256 * 1024
/** Bytes of records, unpacked, that are held at a time; nothing more is fetched above it. */
const MAX_HELD_BYTES = 32 * 1024 * 1024
const MAX_TIMER_MS = 60_000
/** How long a broker waits for something to come. Partitions that become wanted meanwhile wait as long. */
const WAIT_MS = 250
/** The same while other partitions have something: theirs must not wait behind it. */
const SHORT_WAIT_MS = 20
/** What had something is taken to have more, until it turns out not to, or nobody comes for it. */
const HOT_MS = 1_000
/** Whoever does not wait for ever waits so much longer for an answer of the brokers. */
const ANSWER_MS = 1_000
const MAX_PAUSE_MS = 2_000
/** Brokers that are away longer are looked for anew, at the configured addresses. */
const GIVE_UP_MS = 30_000

const OFFSET_OUT_OF_RANGE = 1
/** The topic was deleted, or made again. */
const TOPIC_GONE = new Set([3, 100, 103])
/** The broker has forgotten the session; the client begins another one by itself. */
const SESSION_GONE = new Set([70, 71, 106])

interface Reading {
  /** What is fetched next. */
  offset: number
  waiting: Taken | undefined
  takenBytes: number
  wake: () => void
  /** The offset after the last record, whether it can be read yet or not. */
  highWatermark: number
  /** When the brokers were last asked for what there is at `offset`, and nothing was. */
  emptyAt: number
  /** Until then somebody waits; undefined when nobody does. */
  patientUntil: number | undefined
  /** When something last came, or was sought; when the brokers were last asked without bringing anything. */
  hotAt: number
  coldAt: number
}

/**
 * Opens a reader. It fetches whole answers and keeps one stretch per partition ready. The library's stream of single
 * messages would begin, skip and commit by rules of its own, and costs several times as much.
 *
 * @throws Error when the topic does not exist, or the brokers are away
 */
export async function openTopicReader(options: TopicReaderOptions): Promise<TopicReader> {
  const { connection, groupId, onAway, onAnswer, onLost, stop } = options
  await using opened = new AsyncDisposableStack()
  const client = new RawConsumer({ ...clientOptions(connection), groupId, autocommit: false, retries: 0 })
  client.on('error', () => {})
  opened.defer(() => closeClient(client))
  const topic = await untilStopped(client, stop, async () => {
    await needTopicIds(client)
    return findTopic(client, options.topic)
  })
  client.topics.track(topic.name)

  const readings = new Map<number, Reading>()
  const ends = new Map<number, number>()
  /** Brokers that a fetch is on its way to. A second one would only wait behind it. */
  const busyNodes = new Set<number>()
  const ended = new AbortController()
  let isLooking = false
  let failures = 0
  let awaySinceMs: number | undefined

  /** Begins a fetch from each broker that has something wanted. To be called whenever that may have changed. */
  async function fetchWanted(): Promise<void> {
    if (ended.signal.aborted || isLooking) return
    isLooking = true
    try {
      const { topics } = await client.metadata({ topics: [topic.name] })
      const now = topics.get(topic.name)
      if (now?.id !== topic.id) throw lose(`The topic ${topic.name} is another one now.`)
      if (heldBytes() >= MAX_HELD_BYTES) return
      const wanted = [...readings].filter(([, reading]) => isWanted(reading))
      for (const [node, group] of Map.groupBy(wanted, ([each]) => now.partitions[each]?.leader ?? -1)) {
        if (node < 0) client.clearMetadata()
        else if (!busyNodes.has(node)) void fetchFrom(node, group)
      }
    } catch (error) {
      await pause(error as Error)
      setImmediate(fetchWanted)
    } finally {
      isLooking = false
    }
  }

  async function fetchFrom(node: number, wanted: [number, Reading][]): Promise<void> {
    busyNodes.add(node)
    const from = new Map(wanted.map(([partition, { offset }]) => [partition, offset]))
    const askedAt = performance.now()
    const waitMs = waitFor(wanted, askedAt)
    try {
      const isWell = hand(await client.fetchBatches({ node, ...request(topic.id, from, waitMs) }), from)
      tellEnds(from, askedAt)
      if (isWell) answered()
    } catch (error) {
      const response = error instanceof ResponseError ? (error.response as FetchResponse) : undefined
      if (response && hand(response, from)) answered()
      else await pause(error as Error)
    } finally {
      busyNodes.delete(node)
    }
    void fetchWanted()
  }

  /** Puts down what an answer brought. False when it told of trouble that takes a while to pass. */
  function hand(response: FetchResponse, from: Map<number, number>): boolean {
    let isWell = response.errorCode === 0 || SESSION_GONE.has(response.errorCode)
    for (const { topicId, partitions } of response.responses) {
      if (topicId !== topic.id) continue
      for (const fetched of partitions) {
        const { partitionIndex: partition, errorCode } = fetched
        const reading = readings.get(partition)
        // Since the fetch began it was sought elsewhere, or dropped; or nobody asked for it.
        if (reading === undefined || reading.waiting || reading.offset !== from.get(partition)) continue
        if (fetched.lastStableOffset >= 0n) ends.set(partition, Number(fetched.lastStableOffset))
        if (fetched.highWatermark >= 0n) reading.highWatermark = Number(fetched.highWatermark)
        if (errorCode === OFFSET_OUT_OF_RANGE) put(reading, { kind: 'gone', at: reading.offset })
        else if (TOPIC_GONE.has(errorCode)) lose(`The topic ${topic.name} is gone, or another one now.`)
        else if (errorCode !== 0) isWell = false
        else {
          const stretch = readStretch(fetched, reading.offset)
          if (stretch) put(reading, { kind: 'stretch', at: performance.now(), ...stretch })
        }
      }
    }
    return isWell
  }

  function waitFor(wanted: readonly [number, Reading][], now: number): number {
    if (wanted.some(([, reading]) => isHot(reading, now))) return 0
    const patienceMs = Math.min(...wanted.map(([, { patientUntil = now }]) => patientUntil - now))
    const isAnyHot = [...readings.values()].some((reading) => isHot(reading, now))
    return Math.max(0, Math.min(isAnyHot ? SHORT_WAIT_MS : WAIT_MS, Math.ceil(patienceMs)))
  }

  /** To be called with an answer without errors, which does not speak of partitions where nothing is new. */
  function tellEnds(from: Map<number, number>, askedAt: number): void {
    for (const [partition, offset] of from) {
      const reading = readings.get(partition)
      if (reading === undefined || reading.waiting || reading.offset !== offset) continue
      reading.coldAt = askedAt
      if (reading.highWatermark !== offset) continue
      reading.emptyAt = askedAt
      reading.wake()
    }
  }

  function put(reading: Reading, taken: Taken): void {
    reading.waiting = taken
    reading.hotAt = performance.now()
    if (taken.kind === 'stretch') reading.offset = taken.next
    reading.wake()
  }

  function takeFrom(reading: Reading): Taken | undefined {
    const { waiting } = reading
    reading.waiting = undefined
    reading.takenBytes = sizeOf(waiting)
    if (waiting !== undefined) {
      reading.patientUntil = undefined
      reading.hotAt = performance.now()
    }
    void fetchWanted()
    return waiting
  }

  function heldBytes(): number {
    let bytes = 0
    for (const { waiting, takenBytes } of readings.values()) bytes += takenBytes + sizeOf(waiting)
    return bytes
  }

  function answered(): void {
    failures = 0
    awaySinceMs = undefined
    onAnswer()
  }

  /** Waits before the next try, longer each time. */
  async function pause(error: Error): Promise<void> {
    if (ended.signal.aborted) return
    failures++
    awaySinceMs ??= Date.now()
    onAway(error)
    if (Date.now() - awaySinceMs > GIVE_UP_MS) lose(error.message)
    client.clearMetadata()
    const ms = Math.min(MAX_PAUSE_MS, 50 * 2 ** failures)
    await delay(ms, undefined, { signal: ended.signal }).catch(() => {})
  }

  function lose(message: string): Error {
    const error = new Error(message)
    if (!ended.signal.aborted) {
      end()
      onLost(error)
    }
    return error
  }

  function end(): void {
    ended.abort()
    for (const partition of [...readings.keys()]) drop(partition)
  }

  function drop(partition: number): void {
    const reading = readings.get(partition)
    readings.delete(partition)
    reading?.wake()
    // What it held may have been all that may be held.
    void fetchWanted()
  }

  opened.defer(end)
  const owned = opened.move()
  return {
    topic,
    ends,
    drop,
    seek(partition, offset) {
      if (ended.signal.aborted) return
      const before = readings.get(partition)
      readings.set(partition, {
        offset,
        waiting: undefined,
        takenBytes: 0,
        wake: before?.wake ?? (() => {}),
        highWatermark: before?.highWatermark ?? -1,
        emptyAt: -1,
        patientUntil: before?.patientUntil,
        hotAt: performance.now(),
        coldAt: -1,
      })
      void fetchWanted()
    },
    async take(partition) {
      for (;;) {
        const reading = readings.get(partition)
        if (reading === undefined) return undefined
        reading.patientUntil = Infinity
        const taken = takeFrom(reading)
        if (taken !== undefined) return taken
        await new Promise<void>((resolve) => {
          reading.wake = resolve
        })
      }
    },
    async takeWithin(partition, { waitMs, signal }) {
      const calledAt = performance.now()
      const untilAt = calledAt + waitMs
      try {
        for (;;) {
          const reading = readings.get(partition)
          if (reading === undefined || signal.aborted) return undefined
          reading.patientUntil = untilAt
          const taken = takeFrom(reading)
          if (taken !== undefined) return taken
          const now = performance.now()
          const isOver = now >= untilAt
          if (isOver && reading.emptyAt >= calledAt) return { kind: 'end', askedAt: reading.emptyAt }
          if (now >= untilAt + ANSWER_MS) return undefined
          await wokenWithin(reading, (isOver ? untilAt + ANSWER_MS : untilAt) - now, signal)
        }
      } finally {
        const reading = readings.get(partition)
        if (reading !== undefined) reading.patientUntil = undefined
      }
    },
    async offset(partition, end) {
      return (await readOffsets(client, topic.name, [partition], end)).get(partition)!
    },
    writtenEnd: (partition) => readWrittenEnd(client, topic.name, partition),
    async look() {
      const now = await findTopic(client, topic.name)
      if (now.id === topic.id)
        for (const [partition, end] of await readOffsets(client, topic.name, [...readings.keys()], 'latest'))
          ends.set(partition, end)
      return now
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const sizeOf = (taken: Taken | undefined) => (taken?.kind === 'stretch' ? taken.sizeBytes : 0)

/** Its last answer brought something, or is to come. */
const isHot = ({ hotAt, coldAt }: Reading, now: number) => hotAt > coldAt && now - hotAt < HOT_MS

const isWanted = (reading: Reading) =>
  reading.waiting === undefined && (reading.patientUntil !== undefined || isHot(reading, performance.now()))

async function wokenWithin(reading: Reading, ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  reading.wake = resolve
  const timer = setTimeout(resolve, Math.min(ms, MAX_TIMER_MS))
  const onAbort = () => resolve()
  signal.addEventListener('abort', onAbort)
  await promise
  clearTimeout(timer)
  signal.removeEventListener('abort', onAbort)
}

function request(topicId: string, from: ReadonlyMap<number, number>, waitMs: number) {
  const partitions = Array.from(from, ([partition, offset]) => ({
    partition,
    fetchOffset: BigInt(offset),
    currentLeaderEpoch: -1,
    lastFetchedEpoch: -1,
    partitionMaxBytes: PARTITION_BYTES,
  }))
  return { minBytes: 1, maxBytes: FETCH_BYTES, maxWaitTime: waitMs, topics: [{ topicId, partitions }] }
}
