/** What lies in the topics, as anybody would read it who reads what is committed. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Consumer, IS_CONTROL, IS_TRANSACTIONAL } from '@platformatic/kafka'
import { javaArguments } from '../../../scripts/services/java.ts'
import { folderOf } from '../../../scripts/services/kafka.ts'
import { programsDir } from '../../../scripts/services/service.ts'
import { PAGEVIEWS } from '../../src/streams/declaration.ts'
import { assertSame, type Count, checkTold, eventOf, streamOf, type Told } from './streams-books.ts'
import type { Plan } from './streams-plan.ts'

export interface TopicRecord {
  partition: number
  offset: number
  key: Buffer | null
  value: Buffer | null
  headers: readonly (readonly [Buffer, Buffer])[]
}

export type ReadTopic = (bootstrapServers: string, topic: string) => AsyncGenerator<TopicRecord>

/** All that is committed in a topic now, partition by partition. */
export async function* readCommitted(bootstrapServers: string, topic: string): AsyncGenerator<TopicRecord> {
  const consumer = new Consumer({
    clientId: 'pebbles-verify',
    bootstrapBrokers: bootstrapServers.split(','),
    groupId: `look-${randomBytes(4).toString('hex')}`,
  })
  consumer.on('error', () => {})
  try {
    const metadata = await consumer.metadata({ topics: [topic], forceUpdate: true })
    const { id, partitions } = metadata.topics.get(topic)!
    const ends = (await consumer.listOffsets({ topics: [topic] })).get(topic)!
    for (const [partition, { leader }] of partitions.entries()) {
      for (let next = 0; next < Number(ends[partition]!); ) {
        const where = { partition, currentLeaderEpoch: -1, lastFetchedEpoch: -1, partitionMaxBytes: 1 << 23 }
        const { responses } = await consumer.fetch({
          node: leader,
          topics: [{ topicId: id, partitions: [{ ...where, fetchOffset: BigInt(next) }] }],
        })
        const { records, abortedTransactions } = responses[0]!.partitions[0]!
        assert.ok(records?.length, `${topic} ends before its end, at ${partition}/${next}`)
        const aborted = (abortedTransactions ?? []).toSorted((a, b) => Number(a.firstOffset - b.firstOffset))
        for (const batch of records) {
          const first = Number(batch.firstOffset)
          const place = aborted.findIndex(
            ({ producerId, firstOffset }) => producerId === batch.producerId && firstOffset <= first,
          )
          if (batch.attributes & IS_CONTROL) {
            if (place !== -1) aborted.splice(place, 1)
          } else if (place === -1 || !(batch.attributes & IS_TRANSACTIONAL))
            for (const { offsetDelta, key, value, headers } of batch.records) {
              const offset = first + offsetDelta
              if (offset >= next)
                yield { partition, offset, key, value, headers: headers as TopicRecord['headers'] }
            }
        }
        const last = records.at(-1)!
        next = Number(last.firstOffset) + last.lastOffsetDelta + 1
      }
    }
  } finally {
    await consumer.close(true)
  }
}

/** The same by Kafka's own client, which takes some seconds to start. */
export async function* readByJava(bootstrapServers: string, topic: string): AsyncGenerator<TopicRecord> {
  const program = fileURLToPath(new URL('./ReadCommitted.java', import.meta.url))
  const args = [...(await javaArguments(folderOf(programsDir()), 256)), program, bootstrapServers, topic]
  const child = spawn('java', args, { stdio: ['ignore', 'pipe', 'ignore'] })
  const ended = once(child, 'close')
  for await (const line of createInterface({ input: child.stdout })) {
    const [partition, offset, ...texts] = line.split(' ')
    const [key, value, ...named] = texts.map((text) => Buffer.from(text, 'base64')) as [Buffer, Buffer]
    const headers = named.flatMap((_, i) =>
      i % 2 === 0 ? [[named[i]!, named[i + 1]!] as [Buffer, Buffer]] : [],
    )
    yield { partition: Number(partition), offset: Number(offset), key, value, headers }
  }
  const [code] = await ended
  assert.equal(code, 0, 'Kafka’s own client read the topic to its end')
}

const headersOf = ({ headers }: TopicRecord): Record<string, string> =>
  Object.fromEntries(headers.map(([name, value]) => [String(name), String(value)]))

/**
 * Of page views, each window and each of its revisions once in one topic, each late event once in the other, as they
 * are in the tables; nothing else.
 */
export async function checkTopics(
  read: ReadTopic,
  bootstrapServers: string,
  plan: Plan,
  count: Count,
): Promise<{ revisions: number }> {
  const told: Told[] = []
  for await (const record of read(bootstrapServers, 'pageview-aggregates')) {
    const text = String(record.value)
    const aggregate = JSON.parse(text)
    const { postcode, window_start, pageview_count, revision, delta } = aggregate
    assert.equal(text, JSON.stringify({ postcode, window_start, pageview_count, revision, delta }))
    assert.equal(String(record.key), postcode)
    const headers = headersOf(record)
    assert.equal(headers.revision, revision?.toString())
    told.push({ clientKrn: headers.client!, stream: PAGEVIEWS, aggregate })
  }
  const isPageviews = (line: string) => streamOf(line) === PAGEVIEWS
  const [closed, windows] = [count.closed.filter(isPageviews), count.windows.filter(isPageviews)]
  const revisions = checkTold('published aggregates', told, { closed, windows })

  const late: string[] = []
  for await (const record of read(bootstrapServers, 'pageview-late')) {
    const { user_id: index } = eventOf(String(record.value), plan)
    const { client, partition, offset } = headersOf(record)
    assert.equal(client, plan.requestOf(index).clientKrn)
    assert.deepEqual([Number(partition), Number(offset)], [count.partitions[index], count.offsets[index]])
    late.push(`${partition}/${offset}`)
  }
  const expected = [...count.late].flatMap(([place, { stream }]) => (stream === PAGEVIEWS ? [place] : []))
  assertSame('published late events', late.sort(), expected.sort())
  return { revisions }
}

/** What the log reads is what lies in its topic: of an event that is there more than once, the first one. */
export async function checkTopic(bootstrapServers: string, topic: string, plan: Plan, count: Count) {
  const seen = new Uint8Array(plan.events)
  let records = 0
  for await (const { partition, offset, value } of readCommitted(bootstrapServers, topic)) {
    records++
    const { user_id: index } = eventOf(String(value), plan)
    if (seen[index] === 1) continue
    seen[index] = 1
    assert.deepEqual([count.partitions[index], count.offsets[index]], [partition, offset])
  }
  const inLog = count.offsets.reduce((sum, offset) => sum + Number(offset !== -1), 0)
  assert.equal(
    seen.reduce((sum, each) => sum + each, 0),
    inLog,
  )
  return { records, repeated: records - inLog }
}
