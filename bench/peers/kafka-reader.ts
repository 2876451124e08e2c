/**
 * Peers of `ledger-kafka` and `streams-archive`: read all messages of a topic with @platformatic/kafka, parse each as
 * JSON (or with `bytes` only count), and nothing more.
 *   stream   the library's stream of messages, as its documentation shows it
 *   fetch    whole answers to fetch requests, which costs the library least
 *
 *   node bench/peers/kafka-reader.ts <brokers> <topic> <messages> stream|fetch [bytes]
 *
 * Prints the milliseconds from its first request for messages to the last message, and those of the CPU in all.
 */
import { Consumer } from '@platformatic/kafka'

const [brokers = '', topic = '', messages = '', way, what] = process.argv.slice(2)
const total = Number(messages)
const consumer = new Consumer({
  clientId: 'bench',
  groupId: `bench-${process.pid}`,
  bootstrapBrokers: [brokers],
  autocommit: false,
})
let parsed = 0
let rows = 0
const ms = await (way === 'stream' ? readStream() : readFetches())
if (parsed !== total || rows === 0) throw new Error(`${parsed} of ${total} messages were read`)
const { user, system } = process.cpuUsage()
console.log(JSON.stringify({ ms, cpuMs: (user + system) / 1_000 }))
process.exit(0)

function parse(value: Buffer | null): void {
  if (what === 'bytes') {
    rows += value?.length ?? 0
    parsed++
    return
  }
  const { counts } = JSON.parse((value ?? Buffer.alloc(0)).toString()) as { counts: { done: number } }
  rows += counts.done
  parsed++
}

async function readStream(): Promise<number> {
  const stream = await consumer.consume({ topics: [topic], mode: 'earliest', maxBytes: 8 << 20 })
  let start: number | undefined
  // The group's first meeting is not reading. The first message was asked for just before it came.
  for await (const message of stream) {
    start ??= performance.now()
    parse(message.value)
    if (parsed === total) break
  }
  return performance.now() - start!
}

async function readFetches(): Promise<number> {
  const metadata = await consumer.metadata({ topics: [topic], forceUpdate: true })
  const { id: topicId, partitions } = metadata.topics.get(topic)!
  const next = partitions.map(() => 0n)
  const start = performance.now()
  while (parsed < total) {
    const { responses } = await consumer.fetch({
      node: partitions[0]!.leader,
      minBytes: 1,
      maxBytes: 8 << 20,
      maxWaitTime: 250,
      topics: [
        {
          topicId,
          partitions: next.map((fetchOffset, partition) => ({
            partition,
            fetchOffset,
            currentLeaderEpoch: -1,
            lastFetchedEpoch: -1,
            partitionMaxBytes: 1 << 20,
          })),
        },
      ],
    })
    for (const fetched of responses.flatMap((response) => response.partitions)) {
      for (const batch of fetched.records ?? []) {
        for (const { offsetDelta, value } of batch.records)
          if (batch.firstOffset + BigInt(offsetDelta) >= next[fetched.partitionIndex]!) parse(value)
        next[fetched.partitionIndex] = batch.firstOffset + BigInt(batch.lastOffsetDelta) + 1n
      }
    }
  }
  return performance.now() - start
}
