import { setTimeout as delay } from 'node:timers/promises'
import { PebblesError } from '../../platform/errors.ts'
import type { KafkaConnection } from '../../platform/kafka/connection.ts'
import { type GroupMember, joinGroup } from '../../platform/kafka/group-member.ts'
import { createTopicSender, type TopicSender } from '../../platform/kafka/sender.ts'
import { openTopicReader, type TopicReader } from '../../platform/kafka/topic-reader.ts'
import type { Log } from '../../platform/log.ts'
import { createRepeats } from '../../platform/repeats.ts'
import { createLanes, settleWithin } from '../../platform/wait.ts'
import type { LogOutcome, RecordStore } from '../store.ts'
import type { Consumer, ConsumerHealth, Tally } from './consumer.ts'
import { type ReadStretch, shortenLetter } from './kafka-messages.ts'
import { consumePartition } from './kafka-partition.ts'
import { reportOutcomes } from './kafka-report.ts'
import { MAX_MESSAGE_BYTES } from './message.ts'

export interface KafkaConsumerOptions {
  connection: KafkaConnection
  topic: string
  groupId: string
  store: Pick<RecordStore, 'applyFrom' | 'position'>
  /** Batches that are written at the same time. */
  lanes: number
  /** Hears of what was applied, for live views. */
  onApplied: (updates: ReadStretch['updates'], outcomes: LogOutcome['outcomes']) => void
  tally: Tally
  log: Log
  /** What does not go on for so long, although nothing is away, only a restart helps. Default: a minute. */
  stuckMs?: number
}

const MAX_PAUSE_MS = 5_000
/** How often the topic is looked at, and the group is told how far its partitions were read. */
const LOOK_MS = 3_000
/** A group that has not answered for so long is joined anew. */
const SILENT_MS = 30_000
const STUCK_MS = 60_000
/** How long a batch in hand may take when this is to end. */
const GRACE_MS = 3_000
const TELL_MS = 500
/** How long the end may take, all in all. */
const STOP_MS = 8_000
/** What trouble is about, when it is not about a partition. */
const BROKERS = 'brokers'

/** A reader, its group and its partitions, for as long as the topic is the same one and the brokers are there. */
interface Session {
  reader: TopicReader
  lost: AbortController
  partitions: Map<number, { stop: AbortController; done: Promise<void> }>
  /** What is to be read next, of each partition that is read. */
  positions: Map<number, number>
  /** Of these, what the group was not told yet. */
  untold: Map<number, number>
}

/**
 * Takes updates from a Kafka topic. The group of consumers only shares out the partitions. Where each is read from
 * stands in the database, moved by the transaction that applies what was read: so a partition may have two readers, be
 * read again, or change hands in the middle of a batch, and every update counts once.
 */
export function createKafkaConsumer(options: KafkaConsumerOptions): Consumer {
  const { connection, topic, groupId, store, onApplied, tally, log, stuckMs = STUCK_MS } = options
  const stopping = new AbortController()
  const inLane = createLanes(options.lanes)
  let session: Session | undefined
  /** By what it is about: the brokers, or a partition. */
  const troubles = new Map<string, { sinceMs: number; isOurs: boolean }>()
  const repeats = createRepeats()
  let lastError: ConsumerHealth['lastError']
  let lastStepMs = Date.now()
  let hasEnded = false

  const step = () => {
    lastStepMs = Date.now()
  }

  function trouble(about: string, error: Error): void {
    const nowMs = Date.now()
    // Whatever the error: brokers that are away are so in several words, in turn.
    repeats.tell(about, () =>
      log.warn({ err: error, topic, about }, 'the Kafka consumer waits, and tries again'),
    )
    const before = troubles.get(about)
    const isOurs = isFault(error)
    // What was away does not count against what comes behind it.
    troubles.set(about, { sinceMs: before?.isOurs === isOurs ? before.sinceMs : nowMs, isOurs })
    lastError = { at: new Date(nowMs), message: describe(error) }
  }

  function well(about: string): void {
    step()
    if (!troubles.delete(about)) return
    repeats.end(about)
    log.info({ topic, about }, 'the Kafka consumer goes on')
  }

  async function run(): Promise<void> {
    for (let failures = 0; !stopping.signal.aborted; ) {
      const startedMs = Date.now()
      try {
        await runSession()
      } catch (error) {
        if (!stopping.signal.aborted) trouble(BROKERS, error as Error)
      }
      failures = Date.now() - startedMs > LOOK_MS ? 0 : failures + 1
      const pauseMs = Math.min(MAX_PAUSE_MS, 100 * 2 ** failures)
      await delay(pauseMs, undefined, { signal: stopping.signal }).catch(() => {})
    }
  }

  async function runSession(): Promise<void> {
    await using opened = new AsyncDisposableStack()
    const lost = new AbortController()
    const onLost = (error: Error) => lost.abort(error)
    const reader = opened.use(
      await openTopicReader({
        connection,
        groupId,
        topic,
        onAway: (error) => trouble(BROKERS, error),
        onAnswer: () => well(BROKERS),
        onLost,
        stop: stopping.signal,
      }),
    )
    const deadLetters = opened.use(
      createTopicSender({
        connection,
        topic: `${topic}.dlq`,
        partitions: async () => (await reader.look()).partitions,
        maxMessageBytes: MAX_MESSAGE_BYTES + 1024 * 1024,
        shorten: shortenLetter,
      }),
    )
    const own: Session = { reader, lost, partitions: new Map(), positions: new Map(), untold: new Map() }
    session = own
    opened.defer(() => endPartitions(own))
    const onAssigned = (assigned: number[]) => assign(own, deadLetters, assigned)
    const stop = stopping.signal
    const member = opened.use(await joinGroup({ connection, groupId, topic, onAssigned, onLost, stop }))
    opened.defer(() => tellGroup(own, member))
    opened.defer(() => endPartitions(own))
    well(BROKERS)
    const { cluster, id, partitions } = reader.topic
    log.info({ topic, topicId: id, cluster, partitions, groupId }, 'reads updates from Kafka')
    await watch(own, member)
  }

  /** Until the session has to end. */
  async function watch(own: Session, member: GroupMember): Promise<void> {
    const { reader, lost } = own
    const signal = AbortSignal.any([stopping.signal, lost.signal])
    const aborted = new Promise<undefined>((resolve) => {
      signal.addEventListener('abort', () => resolve(undefined))
    })
    let { partitions } = reader.topic
    while (!signal.aborted) {
      await delay(LOOK_MS, undefined, { signal }).catch(() => {})
      if (signal.aborted) break
      await tellGroup(own, member)
      const silentMs = Date.now() - member.lastHeardAtMs()
      if (silentMs > SILENT_MS) throw new Error(`The group ${groupId} has not answered for ${silentMs} ms.`)
      const now = await Promise.race([reader.look().catch(() => undefined), aborted])
      if (now === undefined) continue
      if (now.id !== reader.topic.id) throw new Error(`The topic ${topic} is another one now.`)
      if (now.partitions !== partitions) await Promise.race([member.rejoin(), aborted])
      partitions = now.partitions
      step()
    }
    if (lost.signal.aborted) throw lost.signal.reason
  }

  /** Begins what is new among the partitions, and lets go of what is not there any more. */
  function assign(own: Session, deadLetters: TopicSender, assigned: number[]): void {
    step()
    log.info({ topic, partitions: assigned }, 'partitions assigned')
    for (const [partition, { stop }] of own.partitions) {
      if (assigned.includes(partition)) continue
      stop.abort()
      own.reader.drop(partition)
    }
    for (const partition of assigned) {
      const before = own.partitions.get(partition)
      if (before && !before.stop.signal.aborted) continue
      const stop = new AbortController()
      const done = (before?.done ?? Promise.resolve()).then(() => consume(own, deadLetters, partition, stop))
      own.partitions.set(partition, { stop, done })
    }
  }

  async function consume(
    own: Session,
    deadLetters: TopicSender,
    partition: number,
    stop: AbortController,
  ): Promise<void> {
    const { reader } = own
    const about = `${topic}/${partition}`
    const source = { cluster: reader.topic.cluster, topicId: reader.topic.id, partition, group: groupId }
    try {
      await consumePartition({
        reader,
        source,
        store,
        deadLetters,
        inLane,
        stop: AbortSignal.any([stop.signal, stopping.signal, own.lost.signal]),
        onApplied(batch, outcome) {
          well(about)
          reportOutcomes({ topic, partition }, batch, outcome, { tally, log })
          onApplied(batch.updates, outcome.outcomes)
        },
        onPosition(position) {
          own.positions.set(partition, position)
          own.untold.set(partition, position)
        },
        onGone(messages) {
          lastError = { at: new Date(), message: `Retention took ${messages} messages of ${about} unread.` }
        },
        onTrouble: (error) => trouble(about, error),
        onWell: () => well(about),
        log,
      })
    } catch (error) {
      own.lost.abort(error)
    } finally {
      troubles.delete(about)
      if (own.partitions.get(partition)?.stop === stop) {
        reader.drop(partition)
        own.positions.delete(partition)
        own.partitions.delete(partition)
      }
    }
  }

  /** Waits for the batches in hand. One that does not come to its end is left to whoever reads the partition next. */
  async function endPartitions({ reader, partitions }: Session): Promise<void> {
    const all = [...partitions.values()]
    for (const partition of partitions.keys()) reader.drop(partition)
    for (const { stop } of all) stop.abort()
    await settleWithin(GRACE_MS, Promise.allSettled(all.map(({ done }) => done)))
  }

  async function tellGroup({ untold }: Session, member: GroupMember): Promise<void> {
    if (untold.size === 0) return
    const offsets = new Map(untold)
    untold.clear()
    // Only a hint, for those who look at the group's lag.
    await settleWithin(TELL_MS, member.commit(offsets))
  }

  function lag(): ConsumerHealth['lag'] {
    if (!session) return []
    const { positions, reader } = session
    return [...positions].flatMap(([partition, position]) => {
      const end = reader.ends.get(partition)
      return end === undefined
        ? []
        : [{ source: `${topic}/${partition}`, messages: Math.max(0, end - position) }]
    })
  }

  const running = run().finally(() => {
    hasEnded = true
  })
  return {
    channel: 'kafka',
    health() {
      const isStuck = (sinceMs: number) => Date.now() - sinceMs > stuckMs
      const isAtFault = [...troubles.values()].some(({ sinceMs, isOurs }) => isOurs && isStuck(sinceMs))
      const isDead = hasEnded || isAtFault || (troubles.size === 0 && isStuck(lastStepMs))
      return { status: isDead ? 'dead' : troubles.size > 0 ? 'waiting' : 'running', lag: lag(), lastError }
    },
    async [Symbol.asyncDispose]() {
      stopping.abort()
      await settleWithin(STOP_MS, running)
      // Nor does it go on when something of it is still waited for.
      hasEnded = true
    },
  }
}

/** What no waiting mends: a fault in this program, or in the schema of the database. */
function isFault(error: Error): boolean {
  if (error instanceof PebblesError) return !error.retryable
  return error instanceof TypeError || error instanceof RangeError
}

/** The library tells what happened in errors within errors. */
function describe(error: Error): string {
  const inner = error instanceof AggregateError ? error.errors.at(-1) : error.cause
  return inner instanceof Error ? `${error.message} ${describe(inner)}` : error.message
}
