import { isFenced } from '../../platform/kafka/transactional-sender.ts'
import { createLanes } from '../../platform/wait.ts'
import type { PartHealth } from '../shares/part-health.ts'
import { pause, shareWork } from '../shares/shared-work.ts'
import { watchPublicationNews } from './publication-news.ts'
import { beginPublications, type PublicationKind, readPublicationHeads } from './publications-postgres.ts'
import { type PublishOptions, publishPartition } from './publish-partition.ts'

const GROUP = 'publisher'
const KINDS: readonly PublicationKind[] = ['aggregates', 'late']
/** Partitions that look for their place in a topic at the same time. */
const LANES = 4
const PAUSE_MS = 1_000

export interface PublisherOptions
  extends Pick<PublishOptions, 'connection' | 'pool' | 'installation' | 'partitions' | 'topics' | 'logger'> {
  /** So many messages were published. */
  onPublished?: (kind: PublicationKind, messages: number) => void
}

export interface Publisher extends AsyncDisposable {
  health(): PartHealth
  /** Windows have closed. */
  wake(): void
  /** Entries that closed and are not published, of the partitions that are this process's. */
  behind(): number
}

/**
 * Publishes what the aggregator commits: windows of `pageviews` as they close, and its late events, each to its topic.
 * Any number of processes share the partitions of the log; `publishPartition` tells why each message is there once.
 *
 * Begins with what is committed after its first start on a database, so it is to be started before anything aggregates.
 *
 * @throws PebblesError `unavailable` when the database is away; brokers may be
 */
export async function startPublisher(options: PublisherOptions): Promise<Publisher> {
  const { pool, partitions, logger } = options
  await beginPublications(pool, 0, partitions - 1)
  const news = watchPublicationNews(() => readPublicationHeads(pool, partitions))
  /** Of closings, what is published of each partition, for as long as that is this process's. */
  const places = new Map<number, { sequence: number; signal: AbortSignal }>()
  const inLane = createLanes(LANES)
  const sharing = shareWork({ pool, group: GROUP, parts: KINDS.length * partitions, work, logger })

  async function work(part: number, signal: AbortSignal, went: () => void): Promise<void> {
    // The partitions of a kind in a row: processes take turns.
    const kind = KINDS[Math.floor(part / partitions)]!
    const partition = part % partitions
    const toPartition: PublishOptions = {
      ...options,
      inLane,
      news: (place) => news.wait(kind, partition, place, { signal, onNone: went }),
      onPlace({ sequence }) {
        if (kind === 'aggregates') places.set(partition, { sequence, signal })
      },
      onPublished(messages) {
        went()
        options.onPublished?.(kind, messages)
      },
    }
    try {
      await publishPartition(toPartition, kind, partition, signal)
    } catch (error) {
      if (!isFenced(error)) throw error
      logger.debug({ kind, partition }, 'another process publishes the partition')
    }
    // Two that believe to be in charge must not only fence each other.
    await pause(PAUSE_MS, signal)
  }

  return {
    health: sharing.health,
    wake: () => void news.look(),
    behind() {
      let behind = 0
      for (const [partition, { sequence, signal }] of places)
        if (!signal.aborted) behind += Math.max(0, (news.heads?.aggregates[partition] ?? 0) - sequence)
      return behind
    },
    async [Symbol.asyncDispose]() {
      await sharing[Symbol.asyncDispose]()
      news[Symbol.dispose]()
    },
  }
}
