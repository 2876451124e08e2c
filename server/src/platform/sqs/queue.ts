import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  GetQueueAttributesCommand,
  type Message,
  type MessageAttributeValue,
  ReceiveMessageCommand,
  SendMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs'

/** Messages that one request can name. */
export const MAX_BATCH = 10
const REQUEST_MS = 10_000

export type Attributes = Record<string, MessageAttributeValue>

/** A message as it was received; with each delivery it has another handle. */
export interface QueueMessage {
  id: string
  body: string
  handle: string
  /** When the queue got it: the time of a redrive, where it was redriven. */
  sentAtMs: number
  /** Of a FIFO queue. */
  group: string | undefined
  attributes: Attributes
}

export interface OutgoingMessage {
  body: string
  attributes: Attributes
  /** For a FIFO queue: its group, and what makes it the same message for five minutes. */
  group: string
  deduplicationId: string
}

export interface QueueFacts {
  visibilitySeconds: number
  /** About so many are there to be received. */
  waiting: number
  /** A message's body and attributes together. */
  maxMessageBytes: number
}

/** One queue, with the requests that its consumer needs. All throw the SDK's errors, in bounded time. */
export interface SqsQueue {
  /** The last part of its URL. */
  readonly name: string
  readonly isFifo: boolean
  /**
   * Waits up to `waitSeconds`, 20 at most, for the first of up to ten messages. Tried again with the same `attemptId`, a FIFO queue gives the
   * same ones, whose first answer was lost.
   */
  receive(attemptId: string, waitSeconds: number, signal: AbortSignal): Promise<QueueMessage[]>
  /** @returns those handles that are worth another try */
  remove(handles: string[], signal: AbortSignal): Promise<string[]>
  /** Makes them visible again in so many seconds. What cannot be changed any more is passed over. */
  setVisibility(handles: string[], seconds: number, signal: AbortSignal): Promise<void>
  send(message: OutgoingMessage): Promise<void>
  facts(signal?: AbortSignal): Promise<QueueFacts>
}

export function openQueue(client: SQSClient, url: string): SqsQueue {
  const QueueUrl = url
  const isFifo = url.endsWith('.fifo')
  return {
    name: url.slice(url.lastIndexOf('/') + 1),
    isFifo,

    async receive(attemptId, waitSeconds, signal) {
      const command = new ReceiveMessageCommand({
        QueueUrl,
        MaxNumberOfMessages: MAX_BATCH,
        WaitTimeSeconds: waitSeconds,
        MessageSystemAttributeNames: ['SentTimestamp', 'MessageGroupId'],
        MessageAttributeNames: ['All'],
        ...(isFifo && { ReceiveRequestAttemptId: attemptId }),
      })
      const { Messages = [] } = await client.send(command, within(waitSeconds * 1_000 + REQUEST_MS, signal))
      return Messages.map(readReceived)
    },

    async remove(handles, signal) {
      const Entries = handles.map((ReceiptHandle, index) => ({ Id: String(index), ReceiptHandle }))
      const command = new DeleteMessageBatchCommand({ QueueUrl, Entries })
      const { Failed = [] } = await client.send(command, within(REQUEST_MS, signal))
      return Failed.filter(({ SenderFault }) => !SenderFault).map(({ Id }) => handles[Number(Id)]!)
    },

    async setVisibility(handles, VisibilityTimeout, signal) {
      const Entries = handles.map((ReceiptHandle, index) => ({
        Id: String(index),
        ReceiptHandle,
        VisibilityTimeout,
      }))
      const command = new ChangeMessageVisibilityBatchCommand({ QueueUrl, Entries })
      await client.send(command, within(REQUEST_MS, signal))
    },

    async send({ body, attributes, group, deduplicationId }) {
      const command = new SendMessageCommand({
        QueueUrl,
        MessageBody: body,
        MessageAttributes: attributes,
        ...(isFifo && { MessageGroupId: group, MessageDeduplicationId: deduplicationId }),
      })
      await client.send(command, within(REQUEST_MS))
    },

    async facts(signal = AbortSignal.any([])) {
      const command = new GetQueueAttributesCommand({
        QueueUrl,
        AttributeNames: ['VisibilityTimeout', 'ApproximateNumberOfMessages', 'MaximumMessageSize'],
      })
      const { Attributes = {} } = await client.send(command, within(REQUEST_MS, signal))
      return {
        visibilitySeconds: Number(Attributes.VisibilityTimeout ?? 30),
        waiting: Number(Attributes.ApproximateNumberOfMessages ?? 0),
        maxMessageBytes: Number(Attributes.MaximumMessageSize ?? 1024 * 1024),
      }
    },
  }
}

/** A request that is not answered in time is given up: the SDK by itself would wait for a frozen server for ever. */
const within = (ms: number, ...signals: AbortSignal[]) => ({
  abortSignal: AbortSignal.any([...signals, AbortSignal.timeout(ms)]),
})

function readReceived({
  MessageId,
  Body,
  ReceiptHandle,
  Attributes,
  MessageAttributes,
}: Message): QueueMessage {
  return {
    id: MessageId!,
    body: Body ?? '',
    handle: ReceiptHandle!,
    sentAtMs: Number(Attributes?.SentTimestamp ?? Date.now()),
    group: Attributes?.MessageGroupId,
    attributes: MessageAttributes ?? {},
  }
}
