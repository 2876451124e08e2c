import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import {
  Admin,
  Consumer,
  ProduceAcks,
  Producer,
  stringDeserializers,
  stringSerializers,
} from '@platformatic/kafka'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { kafkaMissing, sharedKafka, startKafka } from '../helpers/services.ts'

interface Connection {
  bootstrapBrokers: string[]
  clientId: string
  retryDelay: number
  retries?: number
  tls?: { ca: Buffer }
  sasl?: { mechanism: 'PLAIN'; username: string; password: string }
}

function connectionTo(bootstrapServers: string): Connection {
  return { bootstrapBrokers: [bootstrapServers], clientId: 'services-test', retryDelay: 100 }
}

async function createTopic(scope: Scope, connection: Connection): Promise<{ admin: Admin; topic: string }> {
  const admin = new Admin(connection)
  atEnd(scope, () => admin.close())
  const topic = `services-${randomUUID()}`
  await admin.createTopics({ topics: [topic], partitions: 2, replicas: 1 })
  return { admin, topic }
}

function createProducer(scope: Scope, connection: Connection) {
  const producer = new Producer({ ...connection, serializers: stringSerializers })
  atEnd(scope, () => producer.close())
  return producer
}

async function send(scope: Scope, connection: Connection, topic: string, values: string[]): Promise<void> {
  const messages = values.map((value) => ({ topic, key: value, value }))
  await createProducer(scope, connection).send({ messages, acks: ProduceAcks.ALL })
}

/** `count` messages of the topic, sorted. A group that is joined anew reads from the beginning: each is told once. */
async function read(
  scope: Scope,
  connection: Connection,
  topic: string,
  count: number,
  options: { groupProtocol?: 'classic' | 'consumer' } = {},
): Promise<string[]> {
  const consumer = new Consumer({
    ...connection,
    ...options,
    groupId: randomUUID(),
    deserializers: stringDeserializers,
  })
  atEnd(scope, () => consumer.close(true))
  const stream = await consumer.consume({
    topics: [topic],
    mode: 'earliest',
    autocommit: false,
    maxWaitTime: 100,
  })
  const values = new Set<string>()
  for await (const message of stream) {
    if (values.add(message.value).size === count) break
  }
  return [...values].sort()
}

const VALUES = Array.from({ length: 100 }, (_, index) => String(index)).sort()

describe('the Kafka of tests and development', { skip: kafkaMissing() }, () => {
  const shared = () => connectionTo(sharedKafka().KAFKA_BOOTSTRAP_SERVERS!)

  test('P15 both protocols of consumer groups are served', async (t) => {
    const { topic } = await createTopic(t, shared())
    await send(t, shared(), topic, VALUES)
    for (const groupProtocol of ['classic', 'consumer'] as const) {
      assert.deepEqual(await read(t, shared(), topic, VALUES.length, { groupProtocol }), VALUES)
    }
  })

  test('P15 a topic that is deleted and made again has another id', async (t) => {
    const { admin, topic } = await createTopic(t, shared())
    const idOf = async () =>
      (await admin.metadata({ topics: [topic], forceUpdate: true })).topics.get(topic)?.id
    const before = await idOf()
    await admin.deleteTopics({ topics: [topic] })
    await admin.createTopics({ topics: [topic], partitions: 1, replicas: 1 })
    assert.notEqual(await idOf(), before)
  })

  test('P15 N1 after kill -9 everything acknowledged is there again, on the same port', async (t) => {
    const kafka = await startKafka(t)
    const connection = connectionTo(kafka.bootstrapServers)
    const { topic } = await createTopic(t, connection)
    await send(t, connection, topic, VALUES)
    await kafka.kill()
    await kafka.restart()
    assert.deepEqual(await read(t, connection, topic, VALUES.length), VALUES)
  })

  test('P15 a second listener takes only the user that it knows, encrypted', async (t) => {
    const kafka = await startKafka(t, { sasl: { username: 'pebbles', password: 'right' }, tls: true })
    const tls = { ca: await readFile(kafka.caFile!) }
    const as = (password: string): Connection => ({
      ...connectionTo(kafka.securedBootstrapServers!),
      tls,
      sasl: { mechanism: 'PLAIN', username: 'pebbles', password },
    })
    await createTopic(t, as('right'))
    await assert.rejects(createTopic(t, { ...as('wrong'), retries: 0 }))
  })
})
