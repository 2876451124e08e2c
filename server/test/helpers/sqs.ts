import { randomUUID } from 'node:crypto'
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  type Message,
  type MessageAttributeValue,
  type QueueAttributeName,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  type SendMessageBatchRequestEntry,
  SQSClient,
} from '@aws-sdk/client-sqs'
import { atEnd, type Scope } from './scope.ts'
import { until } from './until.ts'

/** What a producer, or whoever looks into a queue, does with one. */
export interface TestQueue {
  url: string
  arn: string
  /** In batches of ten, a few at the same time, except to a FIFO queue. */
  send(messages: readonly OutgoingTestMessage[]): Promise<void>
  /** Takes and removes what is there, until `count` were taken. */
  take(count: number): Promise<Message[]>
  /** Those to be received, and those that somebody has in hand. */
  depth(): Promise<{ visible: number; inHand: number }>
  /** Resolves when a durable server that was started again has it: ElasticMQ answers before it has restored queues. */
  untilRestored(): Promise<void>
  /** Resolves when nothing is left, or somebody holds it. */
  untilEmpty(): Promise<void>
}

export interface OutgoingTestMessage {
  body: unknown
  group?: string
  attributes?: Record<string, MessageAttributeValue>
}

export interface TestSqs {
  client: SQSClient
  createQueue(attributes?: Partial<Record<QueueAttributeName, string>>): Promise<TestQueue>
}

/** Speaks to the SQS at `env`, which is `sharedSqs()` or that of a server of one's own. */
export function openTestSqs(scope: Scope, env: Record<string, string>): TestSqs {
  const client = new SQSClient({
    region: env.AWS_REGION!,
    endpoint: env.SQS_ENDPOINT!,
    credentials: { accessKeyId: env.AWS_ACCESS_KEY_ID!, secretAccessKey: env.AWS_SECRET_ACCESS_KEY! },
    maxAttempts: 5,
  })
  atEnd(scope, () => client.destroy())
  return {
    client,
    async createQueue(attributes = {}) {
      const isFifo = attributes.FifoQueue === 'true'
      const QueueName = `q-${randomUUID()}${isFifo ? '.fifo' : ''}`
      const { QueueUrl } = await client.send(new CreateQueueCommand({ QueueName, Attributes: attributes }))
      return openTestQueue(client, QueueUrl!, isFifo)
    },
  }
}

async function openTestQueue(client: SQSClient, QueueUrl: string, isFifo: boolean): Promise<TestQueue> {
  const attributes = async (...names: QueueAttributeName[]) =>
    (await client.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: names }))).Attributes!
  const depth = async () => {
    const { ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible } = await attributes(
      'ApproximateNumberOfMessages',
      'ApproximateNumberOfMessagesNotVisible',
    )
    return {
      visible: Number(ApproximateNumberOfMessages),
      inHand: Number(ApproximateNumberOfMessagesNotVisible),
    }
  }

  async function sendBatch(messages: readonly OutgoingTestMessage[]): Promise<void> {
    const Entries = messages.map(
      ({ body, group, attributes }, index): SendMessageBatchRequestEntry => ({
        Id: String(index),
        MessageBody: typeof body === 'string' ? body : JSON.stringify(body),
        ...(attributes && { MessageAttributes: attributes }),
        ...(isFifo && { MessageGroupId: group ?? 'all', MessageDeduplicationId: randomUUID() }),
      }),
    )
    const { Failed = [] } = await client.send(new SendMessageBatchCommand({ QueueUrl, Entries }))
    if (Failed.length > 0) throw new Error(`not sent: ${JSON.stringify(Failed)}`)
  }

  return {
    url: QueueUrl,
    arn: (await attributes('QueueArn')).QueueArn!,
    async send(messages) {
      let next = 0
      const sender = async () => {
        while (next < messages.length) {
          const start = next
          next += 10
          await sendBatch(messages.slice(start, next))
        }
      }
      await Promise.all(Array.from({ length: isFifo ? 1 : 8 }, sender))
    },
    async take(count) {
      const taken: Message[] = []
      while (taken.length < count) {
        const { Messages = [] } = await client.send(
          new ReceiveMessageCommand({
            QueueUrl,
            MaxNumberOfMessages: 10,
            WaitTimeSeconds: 1,
            MessageAttributeNames: ['All'],
            MessageSystemAttributeNames: ['All'],
          }),
        )
        for (const { ReceiptHandle } of Messages)
          await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }))
        taken.push(...Messages)
      }
      return taken
    },
    depth,
    untilRestored: () => untilRestored(depth),
    async untilEmpty() {
      for (;;) {
        const { visible, inHand } = await depth()
        if (visible + inHand === 0) return
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    },
  }
}

/** @param look fails as long as the queue is not there */
export const untilRestored = (look: () => Promise<unknown>): Promise<void> =>
  until('the queue is restored', () =>
    look().then(
      () => true,
      () => false,
    ),
  )

/** An update as a message of a queue, with only what differs written out. */
export function message(filename: string, more: Record<string, unknown> = {}) {
  return {
    clientKrn: 'krn:sqs',
    email: 'worker@example.com',
    filename,
    counts: { done: 1, warn: 0, failed: 0 },
    ...more,
  }
}
