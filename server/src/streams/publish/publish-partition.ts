import type { Pool } from 'pg'
import type { KafkaConnection } from '../../platform/kafka/connection.ts'
import type { Letter } from '../../platform/kafka/sender.ts'
import { findLast, findLastFrom } from '../../platform/kafka/tail.ts'
import { isUnknownTopic, onceKnown } from '../../platform/kafka/topic.ts'
import { makeTopic } from '../../platform/kafka/topic-admin.ts'
import { openTopicReader, type TopicReader } from '../../platform/kafka/topic-reader.ts'
import { openTransactionalSender } from '../../platform/kafka/transactional-sender.ts'
import type { Log } from '../../platform/log.ts'
import { PAGEVIEWS } from '../declaration.ts'
import { afterEntry, readClosings } from '../windows/closings-postgres.ts'
import {
  loadPublication,
  type Place,
  type Publication,
  type PublicationKind,
  readLate,
  readPublicationHeads,
  savePublication,
} from './publications-postgres.ts'
import { aggregateLetters, lateLetter, type Origin, placeOf } from './published.ts'

/** Most messages of one transaction. */
const MAX_AGGREGATES = 5_000
const MAX_LATE = 1_000

export interface PublishOptions {
  connection: KafkaConnection
  pool: Pool
  /** The database's own id: others may publish to the same topics. */
  installation: string
  /** Of the log; a topic that has to be made has as many. */
  partitions: number
  topics: Record<PublicationKind, string>
  logger: Log
  /** Opens not too many at a time. */
  inLane: <T>(work: () => Promise<T>) => Promise<T>
  /** Waits until there is something behind a place; false when there was nothing for long, or it is to stop. */
  news: (place: Place) => Promise<boolean>
  /** So far it is published, as far as is noted. */
  onPlace: (place: Place) => void
  /** So many messages more; none when it has only begun. */
  onPublished: (messages: number) => void
}

interface Page {
  letters: Letter[]
  /** Behind the page; undefined when there was nothing. */
  next: Place | undefined
}

/** What is behind a place, in its order. */
const READ: Record<PublicationKind, (pool: Pool, origin: Origin, place: Place) => Promise<Page>> = {
  async aggregates(pool, origin, place) {
    const entries = await readClosings(pool, origin.partition, place, MAX_AGGREGATES)
    const letters = entries
      .filter(({ stream }) => stream === PAGEVIEWS)
      .flatMap((entry) => aggregateLetters(origin, entry))
    const last = entries.at(-1)
    return { letters, next: last && afterEntry(last) }
  },
  async late(pool, origin, { sequence: after }) {
    const entries = await readLate(pool, PAGEVIEWS, { partition: origin.partition, after, limit: MAX_LATE })
    const letters = entries
      .filter(({ payload }) => payload !== null)
      .map((entry) => lateLetter(origin, entry))
    const last = entries.at(-1)
    return { letters, next: last && { sequence: last.offset } }
  },
}

/**
 * Publishes what there is of one partition of the log, until it is told to stop, there was nothing for long, or another
 * process has gone on with it.
 *
 * Three steps make it once for readers with read_committed, whoever dies or wakes up when. The transactional id is that
 * of the partition: when the sender is open, nothing of an earlier one is still to come. Then the topic's own end tells
 * what was published last, noted or not. What is sent from there is committed whole, and noted afterwards.
 */
export async function publishPartition(
  options: PublishOptions,
  kind: PublicationKind,
  partition: number,
  signal: AbortSignal,
): Promise<void> {
  const { connection, pool, installation, topics, news, onPlace, onPublished } = options
  let noted = await loadPublication(pool, kind, partition)
  onPlace(noted.place)
  // While there is nothing to say, no broker is asked.
  if (noted.at !== undefined && !(await news(noted.place))) return
  await using sender = await openTransactionalSender({
    connection,
    topic: topics[kind],
    transactionalId: `pebbles-${installation}-${kind}-${partition}`,
    stop: signal,
  })
  noted = await options.inLane(() => onceKnown(() => learn(options, kind, partition, noted, signal)))
  if (!(await note(noted))) return
  const origin = { installation, partition, topicPartition: noted.at!.partition }
  while (!signal.aborted) {
    const { letters, next } = await READ[kind](pool, origin, noted.place)
    if (next === undefined) {
      if (!(await news(noted.place))) return
      continue
    }
    const offset = letters.length > 0 ? await sender.send(letters) : undefined
    const at = offset === undefined ? noted.at! : { ...noted.at!, offset }
    if (!(await note({ version: noted.version, place: next, at }, letters.length))) return
  }

  async function note(publication: Publication, messages = 0): Promise<boolean> {
    const isOurs = await savePublication(pool, kind, partition, publication)
    noted = { ...publication, version: publication.version + 1 }
    if (!isOurs) return false
    onPlace(noted.place)
    onPublished(messages)
    return true
  }
}

/** What was published last, be it noted or not, and where to go on in the topic. */
async function learn(
  options: PublishOptions,
  kind: PublicationKind,
  partition: number,
  noted: Publication,
  signal: AbortSignal,
): Promise<Publication> {
  const { installation, logger, pool, partitions } = options
  await using reader = await openTopic(options, kind, signal)
  // What is open in the topic is waited for, but not by who has to stop.
  using _ = whenAborted(signal, () => void reader[Symbol.asyncDispose]())
  const { id: topicId, name: topic } = reader.topic
  const about = { topic, partition, published: noted.place }
  const pick = placeOf.bind(undefined, kind, { installation, partition })
  const { at } = noted
  const isSameTopic = at?.topicId === topicId
  let found: Place | undefined
  if (isSameTopic) {
    const to = await reader.writtenEnd(at.partition)
    const first = await reader.offset(at.partition, 'earliest')
    // A transaction ends with a mark, which is one offset more.
    if (first > at.offset + 1)
      logger.warn(about, 'what the topic had behind the last published message is gone; going on behind it')
    found = await findLastFrom(reader, at.offset, { partition: at.partition, to, pick })
  }
  const own = partition % reader.topic.partitions
  const end = await reader.writtenEnd(own)
  if (!isSameTopic) {
    found = await findLast(reader, { partition: own, to: end, pick })
    if (at !== undefined)
      logger.warn(about, 'the topic is another one than before; going on where the first one ended')
    else logger.info({ ...about, found }, 'publishes to the topic')
  }
  const place = found ?? noted.place
  const head = (await readPublicationHeads(pool, partitions))[kind][partition]!
  // Offsets of the log stay what they are; sequences are given again.
  if (kind === 'aggregates' && place.sequence > head) {
    logger.warn(
      { ...about, found, head },
      'more was published than there is, as after the restore of a backup',
    )
    return { version: noted.version, place: { sequence: head }, at: { topicId, partition: own, offset: end } }
  }
  return { version: noted.version, place, at: { topicId, partition: own, offset: end } }
}

/** Opens the topic, and makes it when there is none. */
async function openTopic(
  { connection, topics, partitions }: PublishOptions,
  kind: PublicationKind,
  stop: AbortSignal,
): Promise<TopicReader> {
  const topic = topics[kind]
  const lost = () => {}
  const open = () =>
    openTopicReader({
      connection,
      groupId: 'pebbles-publisher',
      topic,
      onAway: lost,
      onAnswer: lost,
      onLost: lost,
      stop,
    })
  try {
    return await open()
  } catch (error) {
    if (!isUnknownTopic(error as Error)) throw error
    await makeTopic(connection, { name: topic, partitions, settings: {} })
    return onceKnown(open)
  }
}

function whenAborted(signal: AbortSignal, listener: () => void): Disposable {
  signal.addEventListener('abort', listener)
  return { [Symbol.dispose]: () => signal.removeEventListener('abort', listener) }
}
