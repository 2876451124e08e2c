import { randomBytes } from 'node:crypto'
import pino from 'pino'
import { openDatabase } from '../../src/platform/postgres/database.ts'
import type { EventLog } from '../../src/streams/log/log.ts'
import { openKafkaLog } from '../../src/streams/log/log-kafka.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'

export interface Where {
  servers: string
  topic: string
  url: string
  partitions?: number
}

export const newTopic = () => `pageviews-${randomBytes(4).toString('hex')}`

/** Opens the log as a process of its own would. */
export async function openTestEventLog(
  scope: Scope,
  { servers, topic, url, partitions = 4 }: Where,
): Promise<EventLog> {
  const database = openDatabase({ url, maxConnections: 2, maxLanes: 1, maxJobConnections: 1, log: () => {} })
  atEnd(scope, () => database[Symbol.asyncDispose]())
  const opened = await openKafkaLog({
    connection: { bootstrapBrokers: servers.split(',') },
    topic,
    partitions,
    retentionDays: 7,
    pool: database.streams,
    log: pino({ level: process.env.TEST_LOG_LEVEL ?? 'silent' }),
  })
  atEnd(scope, () => opened[Symbol.asyncDispose]())
  return opened
}
