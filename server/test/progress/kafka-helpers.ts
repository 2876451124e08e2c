import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import {
  Admin,
  type BaseOptions,
  Consumer,
  type MessageToProduce,
  ProduceAcks,
  Producer,
} from '@platformatic/kafka'
import { atEnd, type Scope } from '../helpers/scope.ts'
import type { TestServer } from '../helpers/server.ts'

export interface TestLog {
  /** Environment of a consumer of this topic, in a group of its own. */
  env: Record<string, string>
  topic: string
  group: string
  admin: Admin
  producer: Producer
  create(partitions?: number, configs?: { name: string; value: string }[]): Promise<void>
  remove(): Promise<void>
  send(messages: readonly Sent[]): Promise<void>
  /** The offset after the last one of each partition. */
  ends(): Promise<number[]>
  /** Everything that a topic holds, partition by partition. */
  readAll(topic: string): Promise<Held[]>
}

export interface Sent {
  partition: number
  /** An object is sent as JSON. */
  value: unknown
  key?: string
  headers?: Record<string, string>
}

export interface Held {
  partition: number
  offset: number
  key: string | undefined
  value: Buffer | null
  headers: Record<string, string>
}

/** A topic of its own for a test, made by {@link TestLog.create}. */
export function openTestLog(
  scope: Scope,
  bootstrapServers: string,
  options: Partial<BaseOptions> = {},
): TestLog {
  const base = { ...options, clientId: 'pebbles-test', bootstrapBrokers: bootstrapServers.split(',') }
  const topic = `updates-${randomBytes(4).toString('hex')}`
  const group = `group-${topic}`
  const admin = new Admin(base)
  // Without an id of its own for each request, one that is sent again may be there twice.
  const producer = new Producer({ ...base, idempotent: true, retries: 100, retryDelay: 200 })
  for (const client of [admin, producer]) {
    client.on('error', () => {})
    atEnd(scope, () => client.close())
  }
  return {
    env: {
      KAFKA_ENABLED: 'true',
      KAFKA_BOOTSTRAP_SERVERS: bootstrapServers,
      KAFKA_TOPIC_NAME: topic,
      KAFKA_GROUP_ID: group,
    },
    topic,
    group,
    admin,
    producer,
    async create(partitions = 1, configs = []) {
      await admin.createTopics({ topics: [topic], partitions, replicas: 1, configs })
      await eventually('the topic is there', async () => {
        const { topics } = await admin.metadata({ topics: [topic], forceUpdate: true })
        return topics.get(topic)!.partitions.every(({ leader }) => leader >= 0)
      })
    },
    async remove() {
      await admin.deleteTopics({ topics: [topic] })
    },
    async send(messages) {
      await producer.send({
        acks: ProduceAcks.ALL,
        messages: messages.map(({ partition, value, key, headers }) => ({
          topic,
          partition,
          ...(key !== undefined && { key: Buffer.from(key) }),
          value: bytesOf(value),
          ...(headers && {
            headers: new Map(
              Object.entries(headers).map(([name, text]) => [Buffer.from(name), Buffer.from(text)]),
            ),
          }),
        })) as MessageToProduce[],
      })
    },
    async ends() {
      const partitions = (await admin.metadata({ topics: [topic], forceUpdate: true })).topics.get(
        topic,
      )!.partitionsCount
      const asked = Array.from({ length: partitions }, (_, partitionIndex) => ({
        partitionIndex,
        timestamp: -1n,
      }))
      const [listed] = await admin.listOffsets({ topics: [{ name: topic, partitions: asked }] })
      return listed!.partitions.map(({ offset }) => Number(offset))
    },
    async readAll(name) {
      const consumer = new Consumer({ ...base, groupId: `look-${randomBytes(4).toString('hex')}` })
      try {
        return await readTopic(consumer, name)
      } finally {
        await consumer.close(true)
      }
    },
  }
}

export const bytesOf = (value: unknown) =>
  value === null || Buffer.isBuffer(value)
    ? value
    : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))

async function readTopic(consumer: Consumer, topic: string): Promise<Held[]> {
  const metadata = await consumer.metadata({ topics: [topic], forceUpdate: true })
  const { id, partitions } = metadata.topics.get(topic)!
  const ends = (await consumer.listOffsets({ topics: [topic] })).get(topic)!
  const held: Held[] = []
  for (const [partition, { leader }] of partitions.entries()) {
    for (let next = 0n; next < ends[partition]!; ) {
      const where = { partition, fetchOffset: next, currentLeaderEpoch: -1, lastFetchedEpoch: -1 }
      const { responses } = await consumer.fetch({
        node: leader,
        topics: [{ topicId: id, partitions: [{ ...where, partitionMaxBytes: 1 << 23 }] }],
      })
      for (const { firstOffset, lastOffsetDelta, records } of responses[0]?.partitions[0]?.records ?? []) {
        for (const { offsetDelta, key, value, headers } of records) {
          const texts = headers.map(([name, text]) => [String(name), String(text)])
          const offset = Number(firstOffset) + offsetDelta
          held.push({ partition, offset, key: key?.toString(), value, headers: Object.fromEntries(texts) })
        }
        next = firstOffset + BigInt(lastOffsetDelta) + 1n
      }
    }
  }
  return held
}

/** One that is valid, about a file of `krn:kafka`. */
export const message = (filename: string, more: Record<string, unknown> = {}) => ({
  clientKrn: 'krn:kafka',
  email: 'worker@example.com',
  filename,
  counts: { done: 1, warn: 0, failed: 0 },
  ...more,
})

/** Waits until a condition holds; it must within `ms`. */
export async function eventually(
  what: string,
  condition: () => Promise<unknown>,
  ms = 60_000,
): Promise<void> {
  const endsAt = Date.now() + ms
  let last: unknown
  for (;;) {
    try {
      if (await condition()) return
      last = undefined
    } catch (error) {
      last = error
    }
    if (Date.now() > endsAt) throw new Error(`it did not come about that ${what}`, { cause: last })
    await delay(50)
  }
}

/** The record of a file of `krn:kafka`; undefined when there is none. */
export async function recordOf(server: TestServer, filename: string) {
  const { status, body } = await server.call('GET', `/clients/krn:kafka/progress?filename=${filename}`)
  if (status === 404) return undefined
  assert.equal(status, 200)
  return body
}

/** All of a list that comes in pages. */
// biome-ignore lint/suspicious/noExplicitAny: lists of several kinds
export async function readPages(server: TestServer, path: string): Promise<any[]> {
  const items = []
  for (let url: string | undefined = path; url; ) {
    const page = await server.call('GET', url)
    assert.equal(page.status, 200)
    items.push(...page.body)
    url = /<([^>]+)>; rel="next"/.exec(page.headers.get('link') ?? '')?.[1]
  }
  return items
}
