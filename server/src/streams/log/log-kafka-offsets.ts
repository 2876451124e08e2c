import { Consumer } from '@platformatic/kafka'
import { PebblesError } from '../../platform/errors.ts'
import { clientOptions, closeClient } from '../../platform/kafka/connection.ts'
import { readOffsets } from '../../platform/kafka/topic.ts'
import type { BoundTopic } from './log-kafka-topic.ts'

/** Asks the brokers for offsets of the topic. */
export interface Offsets extends AsyncDisposable {
  /** Behind the last event that can be read, per partition. @throws PebblesError `unavailable` */
  ends(): Promise<number[]>
  /** The first that was appended at or after a time, or the end. @throws PebblesError `unavailable` */
  at(timeMs: number): Promise<number[]>
}

export function createOffsets(topic: BoundTopic): Offsets {
  let client: Consumer | undefined
  const partitions = Array.from({ length: topic.partitions }, (_, partition) => partition)

  async function ask(timestamp: 'latest' | bigint): Promise<number[]> {
    client ??= openClient()
    try {
      const offsets = await readOffsets(client, topic.name, partitions, timestamp)
      return partitions.map((partition) => offsets.get(partition)!)
    } catch (cause) {
      void closeClient(client)
      client = undefined
      throw new PebblesError('unavailable', 'The event log cannot be reached at the moment.', {
        retryAfterSeconds: 2,
        cause,
      })
    }
  }

  function openClient(): Consumer {
    const made = new Consumer({
      ...clientOptions(topic.connection),
      groupId: 'pebbles-event-log',
      requestTimeout: 5_000,
      retries: 1,
      retryDelay: 250,
    })
    made.on('error', () => {})
    return made
  }

  return {
    ends: () => ask('latest'),
    async at(timeMs) {
      const [found, ends] = [await ask(BigInt(timeMs)), await ask('latest')]
      // Minus one: nothing was appended since.
      return found.map((offset, partition) => (offset < 0 ? ends[partition]! : offset))
    },
    async [Symbol.asyncDispose]() {
      if (client !== undefined) await closeClient(client)
    },
  }
}
