/**
 * Peer of `streams-in`: the producer of @platformatic/kafka alone, idempotent, acks=all, a record per event. It sends
 * batches of ready-made page views as fast as they are acknowledged.
 *
 *   node bench/peers/kafka-producer.ts <brokers> <topic> <partitions> <events per batch> <batches at a time> <seconds>
 *
 * Prints the events that were acknowledged, their milliseconds, and those of the CPU in that time.
 */
import { ProduceAcks, Producer } from '@platformatic/kafka'
import { pageviews } from '../pageviews.ts'

const [brokers = '', topic = '', partitions = '', size = '', atOnce = '', seconds = ''] =
  process.argv.slice(2)
const batches = Array.from({ length: 8 }, (_, n) =>
  pageviews(Number(size), n).map((event) => ({
    topic,
    partition: event.user_id % Number(partitions),
    key: Buffer.from(event.postcode),
    value: Buffer.from(JSON.stringify(event)),
  })),
)
const producer = new Producer({
  clientId: 'bench',
  bootstrapBrokers: [brokers],
  idempotent: true,
  retries: 5,
})
const send = (n: number) => producer.send({ acks: ProduceAcks.ALL, messages: batches[n % batches.length]! })
// The first one connects; the next ones are compiled.
for (let n = 0; n < 20; n++) await send(n)
let events = 0
const start = performance.now()
const before = process.cpuUsage()
const endsAt = start + Number(seconds) * 1_000
await Promise.all(
  Array.from({ length: Number(atOnce) }, async (_, lane) => {
    for (let n = lane; performance.now() < endsAt; n++) {
      await send(n)
      events += Number(size)
    }
  }),
)
const ms = performance.now() - start
const { user, system } = process.cpuUsage(before)
console.log(JSON.stringify({ events, ms, cpuMs: (user + system) / 1_000 }))
await producer.close()
