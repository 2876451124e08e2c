import pino from 'pino'
import { createTopicSender } from '../../src/platform/kafka/sender.ts'
import { openTopicReader } from '../../src/platform/kafka/topic-reader.ts'
import { openDatabase } from '../../src/platform/postgres/database.ts'
import { shortenLetter } from '../../src/progress/consumers/kafka-messages.ts'
import { consumePartition } from '../../src/progress/consumers/kafka-partition.ts'
import { createPostgresStore } from '../../src/progress/postgres/store-postgres.ts'
import type { RecordStore } from '../../src/progress/store.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import type { TestLog } from './kafka-helpers.ts'

export type Store = Pick<RecordStore, 'applyFrom' | 'position'>

/** The store of a server's database, for readers that no group knows of. */
export function openTestStore(scope: Scope, url: string): RecordStore {
  const database = openDatabase({ url, maxConnections: 4, maxLanes: 4, maxJobConnections: 1, log: () => {} })
  atEnd(scope, () => database[Symbol.asyncDispose]())
  return createPostgresStore(database)
}

export interface Outsider {
  /** What the database said is to be read next, each time that it was asked. */
  positions: number[]
  stop(): Promise<void>
}

/** Reads a partition in the name of the log's group, whoever else the group believes to be its reader. */
export async function readOutside(
  scope: Scope,
  log: TestLog,
  store: Store,
  partition = 0,
): Promise<Outsider> {
  const connection = { bootstrapBrokers: [log.env.KAFKA_BOOTSTRAP_SERVERS!] }
  const stop = new AbortController()
  const { signal } = stop
  const nothing = () => {}
  const { topic, group } = log
  const reader = await openTopicReader({
    connection,
    groupId: group,
    topic,
    onAway: nothing,
    onAnswer: nothing,
    onLost: nothing,
    stop: signal,
  })
  const deadLetters = createTopicSender({
    connection,
    topic: `${topic}.dlq`,
    partitions: async () => 1,
    maxMessageBytes: 1 << 23,
    shorten: shortenLetter,
  })
  const { cluster, id: topicId } = reader.topic
  const positions: number[] = []
  const done = consumePartition({
    reader,
    source: { cluster, topicId, partition, group },
    store,
    deadLetters,
    inLane: (work) => work(),
    stop: signal,
    onApplied: nothing,
    onPosition: (position) => positions.push(position),
    onGone: nothing,
    onTrouble: nothing,
    onWell: nothing,
    log: pino({ level: 'silent' }),
  })
  const end = async () => {
    stop.abort()
    reader.drop(partition)
    await done
    await deadLetters[Symbol.asyncDispose]()
    await reader[Symbol.asyncDispose]()
  }
  let ended: Promise<void> | undefined
  const outsider = {
    positions,
    stop: () => {
      ended ??= end()
      return ended
    },
  }
  atEnd(scope, outsider.stop)
  return outsider
}
