import { randomBytes } from 'node:crypto'
import { Admin } from '@platformatic/kafka'
import type { Pool } from 'pg'
import pino from 'pino'
import { findLastFrom } from '../../src/platform/kafka/tail.ts'
import { onceKnown } from '../../src/platform/kafka/topic.ts'
import { openTopicReader } from '../../src/platform/kafka/topic-reader.ts'
import { openDatabase } from '../../src/platform/postgres/database.ts'
import type { PublicationKind } from '../../src/streams/publish/publications-postgres.ts'
import { beginPublications } from '../../src/streams/publish/publications-postgres.ts'
import { type PublishOptions, publishPartition } from '../../src/streams/publish/publish-partition.ts'
import { commitProgress, loadCheckpoint, scopeIdOf } from '../../src/streams/windows/aggregates-postgres.ts'
import { createTestDatabase } from '../helpers/database.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { sharedKafka } from '../helpers/services.ts'

/** A message as a reader with read_committed sees it. */
export interface Seen {
  partition: number
  key: string
  value: string
  headers: Record<string, string>
}

export const INSTALLATION = '00000000-0000-4000-8000-000000000001'
const MINUTE_MS = 60_000
const FIRST_MS = Date.parse('2021-01-26T14:44:00Z')

/** What is committed for the publisher to publish, and what comes of it; topics are made by the publisher. */
export async function openPublishing(scope: Scope, partitions: number) {
  const bootstrapBrokers = [sharedKafka().KAFKA_BOOTSTRAP_SERVERS!]
  const connection = { bootstrapBrokers }
  const databaseUrl = await createTestDatabase(scope)
  const database = openDatabase({
    url: databaseUrl,
    maxConnections: 1,
    maxLanes: 1,
    maxJobConnections: 1,
    log: () => {},
  })
  atEnd(scope, () => database[Symbol.asyncDispose]())
  const admin = new Admin({ clientId: 'pebbles-test', bootstrapBrokers })
  admin.on('error', () => {})
  atEnd(scope, () => admin.close())
  const name = randomBytes(4).toString('hex')
  const topics = { aggregates: `pageview-aggregates-${name}`, late: `pageview-late-${name}` }
  const pool = database.streams
  await beginPublications(pool, 0, partitions - 1)
  const told: string[] = []
  const logger = pino({ level: 'info' }, { write: (line: string) => void told.push(line) })

  /**
   * Commits windows, one after the other in event time, each with the keys that are told, as often as they are told;
   * late events; and keys of the first window that a late event each revises.
   */
  async function commit(
    partition: number,
    windows: readonly Iterable<string>[],
    more: { stream?: string; late?: readonly string[]; revised?: readonly string[] } = {},
  ): Promise<void> {
    const { stream = 'pageviews', late = [], revised = [] } = more
    const { version, position, scopes: known } = await loadCheckpoint(pool, partition)
    // A key lies in one partition; here each has a client of its own.
    const scopeId = await scopeIdOf(pool, `krn:${partition}`, stream)
    const begun = Math.max(0, known.find((each) => each.scopeId === scopeId)?.closedMs ?? 0)
    const startMs = (n: number) => (begun || FIRST_MS) + n * MINUTE_MS
    const rule = { windowMs: MINUTE_MS, graceMs: 0, measures: [] }
    const totals = (events: number) => ({ events, values: [], sketches: undefined })
    const closings = windows.map((window, n) => {
      const all = [...window]
      const keys = Map.groupBy(all, (key) => key)
      return {
        scopeId,
        rule,
        window: {
          startMs: startMs(n),
          events: all.length,
          isParked: false,
          keys: new Map([...keys].map(([key, { length }]) => [key, totals(length)])),
        },
      }
    })
    const revisions = revised.map((key) => ({
      scopeId,
      rule,
      key,
      windowStartMs: FIRST_MS,
      totals: totals(1),
    }))
    const progress = {
      position: position + late.length,
      resumeOffset: position + late.length,
      scopes: [
        {
          scopeId,
          watermarkMs: 1,
          closedMs: startMs(windows.length),
          appendedMs: 1,
          counted: 0,
          late: 0,
          revised: 0,
          open: 0,
        },
      ],
      closings,
      revisions,
      parked: [],
      late: late.map((payload, n) => {
        const { postcode: key } = JSON.parse(payload)
        return {
          scopeId,
          offset: position + n,
          key,
          windowStartMs: FIRST_MS - MINUTE_MS,
          payload,
          isRevision: false,
        }
      }),
    }
    if (!(await commitProgress(pool, partition, version, progress))) throw new Error('somebody else commits')
  }

  /** Publishes what there is of a partition, and returns when there is nothing more. */
  function publish(
    kind: PublicationKind,
    partition: number,
    own: Partial<PublishOptions> = {},
    signal = new AbortController().signal,
  ): Promise<void> {
    const options: PublishOptions = {
      connection,
      pool,
      installation: INSTALLATION,
      partitions,
      topics,
      logger,
      inLane: (work) => work(),
      news: hasNews(pool, kind, partition),
      onPlace: () => {},
      onPublished: () => {},
      ...own,
    }
    return publishPartition(options, kind, partition, signal)
  }

  /** Everything in a topic that was committed, partition by partition. */
  const read = (topic = topics.aggregates) => onceKnown(() => readTopic(topic))

  async function readTopic(topic: string): Promise<Seen[]> {
    const nothing = () => {}
    const stop = new AbortController().signal
    const reader = await openTopicReader({
      connection,
      groupId: 'look',
      topic,
      onAway: nothing,
      onAnswer: nothing,
      onLost: nothing,
      stop,
    })
    await using _ = reader
    const seen: Seen[] = []
    const readPartition = async (partition: number) => {
      const from = await reader.offset(partition, 'earliest')
      const to = await reader.writtenEnd(partition)
      await findLastFrom(reader, from, {
        partition,
        to,
        pick({ key, value, headers }) {
          const texts = headers.map(([name, text]) => [String(name), String(text)])
          seen.push({ partition, key: String(key), value: String(value), headers: Object.fromEntries(texts) })
          return undefined
        },
      })
    }
    await Promise.all(
      Array.from({ length: reader.topic.partitions }, (_, partition) => readPartition(partition)),
    )
    return seen.sort((a, b) => a.partition - b.partition)
  }

  return { connection, databaseUrl, pool, admin, topics, logger, told, commit, publish, read }
}

/** There is news as long as something is behind the place; nobody waits for more. */
function hasNews(pool: Pool, kind: PublicationKind, partition: number): PublishOptions['news'] {
  return async ({ sequence, key }) => {
    const { rows } = await pool.query(
      kind === 'aggregates'
        ? 'SELECT max(sequence) AS head FROM closings WHERE partition = $1'
        : 'SELECT max(log_offset) AS head FROM late_events WHERE partition = $1',
      [partition],
    )
    return rows[0].head !== null && rows[0].head > (key === undefined ? sequence : sequence - 1)
  }
}

/** `sequence key=count` of each message of a partition. */
export const show = (seen: readonly Seen[], partition: number): string[] =>
  seen
    .filter((each) => each.headers.partition === String(partition))
    .map(({ key, value, headers }) => `${headers.sequence} ${key}=${JSON.parse(value).pageview_count}`)
