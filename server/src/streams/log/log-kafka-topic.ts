import { setTimeout as delay } from 'node:timers/promises'
import { Consumer } from '@platformatic/kafka'
import type { Pool } from 'pg'
import { PebblesError } from '../../platform/errors.ts'
import { clientOptions, closeClient, type KafkaConnection } from '../../platform/kafka/connection.ts'
import { findTopic, isUnknownTopic, needTopicIds, type Topic } from '../../platform/kafka/topic.ts'
import { makeTopic, readTopicSettings } from '../../platform/kafka/topic-admin.ts'
import type { LogWatch } from './log-kafka-watch.ts'
import { anotherTopic, bindDatabase, misconfigured } from './log-topic-postgres.ts'

/** The topic that this database's checkpoints are about. */
export interface BoundTopic {
  connection: KafkaConnection
  name: string
  id: string
  /** As keys are distributed; the topic may have more. */
  partitions: number
  /** Largest batch that it takes. */
  maxMessageBytes: number
  /** Thrown where another topic is met under its name. */
  anotherOne(): Error
}

export interface TopicOptions {
  connection: KafkaConnection
  topic: string
  /** Of a topic that has to be made. */
  partitions: number
  retentionDays: number
  pool: Pool
  watch: LogWatch
}

const DAY_MS = 24 * 3_600_000
/** An event is as large as a request, 4 MiB, at most. */
const MAX_MESSAGE_BYTES = 8 * 1024 * 1024
/** Brokers are waited for so long at a start. */
const START_MS = 30_000
const PAUSE_MS = 250
/** A topic that was just made may not be known to the broker that is asked; that is nothing to tell of. */
const QUIET_FAILURES = 4

/**
 * Finds the topic, or makes it, and binds the database to it.
 *
 * @throws PebblesError `misconfigured` when it is not the one that the checkpoints are about, or does not keep the time of
 * appending; `unavailable` when the brokers are away
 */
export async function bindTopic(options: TopicOptions): Promise<BoundTopic> {
  const { connection, topic: name, watch, pool } = options
  const found = await untilThere(options)
  const { settings, ...topic } = found
  watch.well()
  if (settings.get('message.timestamp.type') !== 'LogAppendTime')
    throw misconfigured(
      `The topic ${name} exists, and does not keep the time of appending: set its message.timestamp.type to LogAppendTime.`,
    )
  const partitions = await bindDatabase(pool, topic)
  return {
    connection,
    name,
    id: topic.id,
    partitions,
    maxMessageBytes: Number(settings.get('max.message.bytes')),
    anotherOne: () => new Error(anotherTopic(name)),
  }
}

const SETTINGS = ['message.timestamp.type', 'max.message.bytes']

async function untilThere(
  options: TopicOptions,
): Promise<Topic & { settings: ReadonlyMap<string, string | null> }> {
  const deadline = Date.now() + START_MS
  for (let failures = 1; ; failures++) {
    try {
      const topic = await findOrMake(options)
      return { ...topic, settings: await readTopicSettings(options.connection, topic.name, SETTINGS) }
    } catch (cause) {
      if (failures > QUIET_FAILURES) options.watch.trouble(cause as Error)
      if (Date.now() > deadline)
        throw new PebblesError('unavailable', 'The brokers of the event log cannot be reached.', { cause })
      await delay(PAUSE_MS)
    }
  }
}

async function findOrMake({
  connection,
  topic: name,
  partitions,
  retentionDays,
}: TopicOptions): Promise<Topic> {
  const client = new Consumer({ ...clientOptions(connection), groupId: 'pebbles-event-log', retries: 0 })
  client.on('error', () => {})
  try {
    await needTopicIds(client)
    const found = await findTopic(client, name).catch(noTopic)
    if (found !== undefined) return found
    await makeTopic(connection, {
      name,
      partitions,
      settings: {
        'message.timestamp.type': 'LogAppendTime',
        'max.message.bytes': String(MAX_MESSAGE_BYTES),
        'retention.ms': String(retentionDays * DAY_MS),
        // Only whole segments are deleted.
        'segment.ms': String(DAY_MS),
      },
    })
    return await findTopic(client, name)
  } finally {
    await closeClient(client)
  }
}

function noTopic(error: Error): undefined {
  if (!isUnknownTopic(error)) throw error
}
