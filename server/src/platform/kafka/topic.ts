import { setTimeout as delay } from 'node:timers/promises'
import {
  type Base,
  type Consumer,
  FetchIsolationLevels,
  findErrorBy,
  ListOffsetTimestamps,
} from '@platformatic/kafka'

/** A topic as it is now. Made again under its name, it has another id. */
export interface Topic {
  /** Id of the cluster. */
  cluster: string
  name: string
  id: string
  partitions: number
}

/** Fetches tell the topic by its id from this version of the request on. */
const FETCH_BY_ID = 13

/**
 * Asks the brokers for a topic.
 *
 * @throws Error when it does not exist, or the brokers are away
 */
export async function findTopic(client: Pick<Base, 'metadata'>, name: string): Promise<Topic> {
  const metadata = await client.metadata({ topics: [name], forceUpdate: true })
  const topic = metadata.topics.get(name)
  if (!topic) throw new Error(`There is no topic ${name}.`)
  return { cluster: metadata.id, name, id: topic.id, partitions: topic.partitionsCount }
}

/** Brokers that know topics by name only would serve one that was made again in place of the first. */
export async function needTopicIds(client: Pick<Base, 'listApis'>): Promise<void> {
  const fetch = (await client.listApis()).find(({ name }) => name === 'Fetch')
  if (fetch === undefined || fetch.maxVersion < FETCH_BY_ID)
    throw new Error('Kafka 3.1 or newer is needed: these brokers do not know topics by their ids.')
}

const ENDS = { earliest: ListOffsetTimestamps.EARLIEST, latest: ListOffsetTimestamps.LATEST }

/**
 * The first offset of each partition, or the one after the last that can be read, or the first one whose record is not
 * older than a time (milliseconds since 1970; -1 when none is).
 */
export async function readOffsets(
  client: Consumer,
  topic: string,
  partitions: number[],
  where: 'earliest' | 'latest' | bigint,
): Promise<Map<number, number>> {
  // To the client, none is all.
  if (partitions.length === 0) return new Map()
  const timestamp = typeof where === 'bigint' ? where : ENDS[where]
  const answer = await client.listOffsets({ topics: [topic], partitions: { [topic]: partitions }, timestamp })
  const offsets = answer.get(topic) ?? []
  return new Map(partitions.map((partition) => [partition, Number(offsets[partition])]))
}

/** The library has no code for it. */
export const isUnknownTopic = (error: Error) => error.message.startsWith('Unknown topic')

/** True when the broker answered with this error, be it within others. */
export const isKafkaError = (error: unknown, id: string) =>
  error instanceof Error && findErrorBy(error, 'apiId', id) !== null

/** The offset after the last one that was written to a partition, transactions that are still open included. */
export async function readWrittenEnd(client: Consumer, topic: string, partition: number): Promise<number> {
  const answer = await client.listOffsets({
    topics: [topic],
    partitions: { [topic]: [partition] },
    timestamp: ListOffsetTimestamps.LATEST,
    isolationLevel: FetchIsolationLevels.READ_UNCOMMITTED,
  })
  return Number(answer.get(topic)![partition])
}

const MAX_TRIES = 20
const TRY_AGAIN_MS = 100

/** Brokers do not know a topic everywhere at once when it was just made, or has moved. */
export async function onceKnown<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work()
    } catch (error) {
      if (tries === MAX_TRIES || !(isUnknownTopic(error as Error) || isStale(error as Error))) throw error
      await delay(TRY_AGAIN_MS)
    }
  }
}

const isStale = (error: Error) => findErrorBy(error, 'hasStaleMetadata', true) !== null
