import { type MessageToProduce, ProduceAcks, Producer } from '@platformatic/kafka'
import { clientOptions, closeClient, type KafkaConnection } from './connection.ts'
import { findTopic, isKafkaError, isUnknownTopic } from './topic.ts'
import { makeTopic } from './topic-admin.ts'

export interface Letter {
  partition: number
  key: Buffer | null
  value: Buffer | null
  headers: [Buffer, Buffer | null][]
}

/** The library's types know no message without a key or a value. */
export const toMessage = (topic: string, { headers, ...rest }: Letter) =>
  ({ ...rest, topic, headers: new Map(headers) }) as MessageToProduce

/** Appends to one topic, which it makes when there is none. */
export interface TopicSender extends AsyncDisposable {
  /**
   * Resolves when all of them are on every in-sync replica. A letter goes to the partition of its number, counted
   * round when the topic has fewer.
   *
   * @throws Error when they are not there, or not all of them; sent again, some may be there twice
   */
  send(letters: readonly Letter[]): Promise<void>
}

export interface TopicSenderOptions {
  connection: KafkaConnection
  topic: string
  /** For a topic that has to be made: its number of partitions, and the largest message that it takes. */
  partitions: () => Promise<number>
  maxMessageBytes: number
  /** What is sent of a letter that is too large for the topic as it is. */
  shorten: (letter: Letter) => Letter
}

/** A request's messages of one partition are one batch, which brokers take up to 1 MB by default. */
const BATCH_BYTES = 512 * 1024

/** It connects when something is first sent. */
export function createTopicSender(options: TopicSenderOptions): TopicSender {
  const { connection, topic, shorten } = options
  const client = new Producer({ ...clientOptions(connection), retries: 2, retryDelay: 250 })
  client.on('error', () => {})
  let known: Promise<number> | undefined
  const isShort = new WeakSet<Letter>()

  async function findOrMake(): Promise<number> {
    const exists = await findTopic(client, topic).catch(noTopic)
    if (exists) return exists.partitions
    await makeTopic(connection, {
      name: topic,
      partitions: await options.partitions(),
      settings: { 'max.message.bytes': String(options.maxMessageBytes) },
    })
    return (await findTopic(client, topic)).partitions
  }

  /** Alone when they are too large together; shortened when even that is too large. */
  async function sendBatch(letters: readonly Letter[], partitions: number): Promise<void> {
    try {
      const messages = letters.map((letter) =>
        toMessage(topic, { ...letter, partition: letter.partition % partitions }),
      )
      await client.send({ messages, acks: ProduceAcks.ALL })
    } catch (error) {
      const [first] = letters
      if (!isTooLarge(error) || first === undefined || isShort.has(first)) throw error
      if (letters.length > 1) for (const letter of letters) await sendBatch([letter], partitions)
      else {
        const short = shorten(first)
        isShort.add(short)
        await sendBatch([short], partitions)
      }
    }
  }

  return {
    async send(letters) {
      known ??= findOrMake()
      try {
        const partitions = await known
        for (const batch of cutLetters(letters)) await sendBatch(batch, partitions)
      } catch (error) {
        // It may have been deleted, or its partitions may have become others.
        known = undefined
        throw error
      }
    },
    [Symbol.asyncDispose]: () => closeClient(client),
  }
}

const isTooLarge = (error: unknown) =>
  isKafkaError(error, 'MESSAGE_TOO_LARGE') || isKafkaError(error, 'RECORD_LIST_TOO_LARGE')

/** Whoever may not see a topic is not told either that there is none. */
function noTopic(error: Error): undefined {
  if (!isUnknownTopic(error) && !isKafkaError(error, 'TOPIC_AUTHORIZATION_FAILED')) throw error
}

const sizeOf = ({ key, value, headers }: Letter) =>
  headers.reduce((sum, [name, text]) => sum + name.length + (text?.length ?? 0), 0) +
  (key?.length ?? 0) +
  (value?.length ?? 0)

/** Cuts letters, in their order, into what brokers take at once. */
export function cutLetters(letters: readonly Letter[]): Letter[][] {
  const batches: Letter[][] = []
  let bytes = BATCH_BYTES
  for (const letter of letters) {
    bytes += sizeOf(letter)
    if (bytes >= BATCH_BYTES) {
      batches.push([])
      bytes = sizeOf(letter)
    }
    batches.at(-1)!.push(letter)
  }
  return batches
}
