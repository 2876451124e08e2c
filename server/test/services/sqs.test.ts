import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, test } from 'node:test'
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { sharedSqs, sqsMissing, startSqs } from '../helpers/services.ts'
import { untilRestored } from '../helpers/sqs.ts'

/** A client, and what the tests do with it. */
function connect(scope: Scope, env: Record<string, string>) {
  const client = new SQSClient({
    endpoint: env.SQS_ENDPOINT!,
    region: env.AWS_REGION!,
    credentials: { accessKeyId: env.AWS_ACCESS_KEY_ID!, secretAccessKey: env.AWS_SECRET_ACCESS_KEY! },
  })
  atEnd(scope, () => client.destroy())
  return {
    async createQueue(attributes: Record<string, string> = {}): Promise<string> {
      const name = `services-${randomUUID()}${attributes.FifoQueue ? '.fifo' : ''}`
      const made = await client.send(new CreateQueueCommand({ QueueName: name, Attributes: attributes }))
      return made.QueueUrl!
    },
    async attributesOf(queue: string): Promise<Record<string, string>> {
      const command = new GetQueueAttributesCommand({ QueueUrl: queue, AttributeNames: ['All'] })
      return (await client.send(command)).Attributes!
    },
    async send(queue: string, body: string, group?: string): Promise<void> {
      const fifo = group && { MessageGroupId: group, MessageDeduplicationId: body }
      await client.send(new SendMessageCommand({ QueueUrl: queue, MessageBody: body, ...fifo }))
    },
    /** As many as there are, after a wait when there are none. */
    async receive(queue: string, max = 10, waitSeconds = 5): Promise<Message[]> {
      const command = new ReceiveMessageCommand({
        QueueUrl: queue,
        MaxNumberOfMessages: max,
        WaitTimeSeconds: waitSeconds,
        MessageSystemAttributeNames: ['All'],
      })
      return (await client.send(command)).Messages ?? []
    },
    async delete(queue: string, message: Message): Promise<void> {
      const { ReceiptHandle } = message
      await client.send(new DeleteMessageCommand({ QueueUrl: queue, ReceiptHandle }))
    },
  }
}

const bodies = (messages: Message[]) => messages.map(({ Body }) => Body)

describe('the SQS of tests and development', { skip: sqsMissing(), concurrency: true }, () => {
  test('P14 a message that is not deleted comes back after its visibility time-out, with the same id', async (t) => {
    const sqs = connect(t, sharedSqs())
    const queue = await sqs.createQueue({ VisibilityTimeout: '1' })
    await sqs.send(queue, 'update')
    const [first] = await sqs.receive(queue)
    const [second] = await sqs.receive(queue)
    assert.equal(second?.MessageId, first?.MessageId)
    assert.equal(second?.Attributes?.ApproximateReceiveCount, '2')
    await sqs.delete(queue, second!)
    assert.deepEqual(await sqs.receive(queue, 10, 2), [])
  })

  test('P14 a FIFO queue keeps the order of a group, and holds the group back while one of it is away', async (t) => {
    const sqs = connect(t, sharedSqs())
    const queue = await sqs.createQueue({ FifoQueue: 'true' })
    for (const body of ['1', '2']) await sqs.send(queue, body, 'a')
    await sqs.send(queue, '3', 'b')
    const [first] = await sqs.receive(queue, 1)
    assert.equal(first?.Body, '1')
    assert.deepEqual(bodies(await sqs.receive(queue)), ['3'])
    await sqs.delete(queue, first!)
    assert.deepEqual(bodies(await sqs.receive(queue)), ['2'])
  })

  test('P14 what was received too often goes to the dead-letter queue, and says where it comes from', async (t) => {
    const sqs = connect(t, sharedSqs())
    const dead = await sqs.createQueue()
    const policy = { deadLetterTargetArn: (await sqs.attributesOf(dead)).QueueArn, maxReceiveCount: 1 }
    const queue = await sqs.createQueue({ VisibilityTimeout: '0', RedrivePolicy: JSON.stringify(policy) })
    await sqs.send(queue, 'poison')
    await sqs.receive(queue)
    assert.deepEqual(await sqs.receive(queue, 10, 1), [])
    const [found] = await sqs.receive(dead)
    assert.equal(found?.Body, 'poison')
    assert.equal(found?.Attributes?.DeadLetterQueueSourceArn, (await sqs.attributesOf(queue)).QueueArn)
  })

  test('P14 a durable one has everything acknowledged again after kill -9', async (t) => {
    const server = await startSqs(t, { durable: true })
    const sqs = connect(t, server.env)
    const queue = await sqs.createQueue()
    for (const body of ['kept', 'deleted']) await sqs.send(queue, body)
    const received = [...(await sqs.receive(queue, 1)), ...(await sqs.receive(queue, 1))]
    await sqs.delete(queue, received.find(({ Body }) => Body === 'deleted')!)
    await server.kill()
    await server.restart()
    await untilRestored(() => sqs.attributesOf(queue))
    const kept = await sqs.attributesOf(queue)
    assert.equal(kept.ApproximateNumberOfMessages, '0')
    assert.equal(kept.ApproximateNumberOfMessagesNotVisible, '1')
  })
})
