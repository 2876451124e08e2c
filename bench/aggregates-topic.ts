/** Aggregates in a topic, as whoever reads only what is committed sees them. */
import { openTopicReader } from '../server/src/platform/kafka/topic-reader.ts'

export interface AggregatesTopic extends AsyncDisposable {
  /** Counts by {@link nameOf}, once all are there. */
  readonly complete: Promise<Map<string, number>>
}

export const nameOf = (postcode: string, windowStart: string): string => `${postcode} ${windowStart}`

/** Reads from the beginning of the topic until it holds all that are expected. None may be there twice. */
export async function followAggregates(
  brokers: string,
  topic: string,
  expected: ReadonlyMap<string, unknown>,
): Promise<AggregatesTopic> {
  const { promise: complete, resolve, reject } = Promise.withResolvers<Map<string, number>>()
  const counts = new Map<string, number>()
  let found = 0
  const stop = new AbortController()
  const reader = await openTopicReader({
    connection: { bootstrapBrokers: [brokers] },
    groupId: `follow-${topic}`,
    topic,
    // A topic that was just made has no leader yet; the reader asks again.
    onAway: () => {},
    onAnswer: () => {},
    onLost: reject,
    stop: stop.signal,
  })
  for (let partition = 0; partition < reader.topic.partitions; partition++) {
    reader.seek(partition, 0)
    follow(partition).catch(reject)
  }

  async function follow(partition: number): Promise<void> {
    for (;;) {
      const taken = await reader.take(partition)
      if (taken === undefined) return
      if (taken.kind === 'gone') throw new Error(`the beginning of ${topic} is gone`)
      for (const { value } of taken.records) {
        const { postcode, window_start, pageview_count } = JSON.parse(String(value))
        const name = nameOf(postcode, window_start)
        if (counts.has(name)) throw new Error(`${name} is there twice`)
        counts.set(name, pageview_count)
        if (expected.has(name)) found++
      }
      if (found === expected.size) resolve(counts)
    }
  }

  return {
    complete,
    async [Symbol.asyncDispose]() {
      stop.abort()
      await reader[Symbol.asyncDispose]()
    },
  }
}
