import { setTimeout as delay } from 'node:timers/promises'
import { PebblesError } from '../../platform/errors.ts'
import { cutStretch, type Stretch } from '../../platform/kafka/records.ts'
import type { TopicSender } from '../../platform/kafka/sender.ts'
import type { TopicReader } from '../../platform/kafka/topic-reader.ts'
import type { Log } from '../../platform/log.ts'
import type { LogOutcome, LogSource, RecordStore } from '../store.ts'
import { type ReadStretch, readMessages } from './kafka-messages.ts'

/**
 * Messages, and bytes of them, that one transaction takes at most. More would save little in the database, and would
 * outlive the young generation on the way there.
 */
const BATCH = { records: 2_000, bytes: 8 * 1024 * 1024 }
const MAX_PAUSE_MS = 5_000
const LOG_ENDS_BELOW_MS = 5_000

export interface PartitionOptions {
  reader: TopicReader
  source: LogSource
  store: Pick<RecordStore, 'applyFrom' | 'position'>
  deadLetters: TopicSender
  /** So many batches of this process are in hand at a time. */
  inLane: <T>(work: () => Promise<T>) => Promise<T>
  /** Ends waiting between tries. What is being written is finished. */
  stop: AbortSignal
  onApplied: (applied: ReadStretch, outcome: LogOutcome) => void
  /** What the database says is to be read next. */
  onPosition: (position: number) => void
  /** Retention took so many messages, or fewer where offsets had gaps, before they were read. */
  onGone: (messages: number) => void
  /** Something is away, or does not go; it is tried again. */
  onTrouble: (error: Error) => void
  /** Trouble that was told of is over. */
  onWell: () => void
  log: Log
}

/**
 * Reads one partition into the ledger, from where the database says it is, until it is dropped or told to stop.
 * While a batch of one partition is being written, that of another is read and checked.
 */
export async function consumePartition(options: PartitionOptions): Promise<void> {
  const { reader, source, store, deadLetters, inLane, stop, log } = options
  const { onApplied, onPosition, onGone, onTrouble, onWell } = options
  const { partition } = source
  const place = { topic: reader.topic.name, partition }

  /** After a partition was let go of, its reading must not begin again. */
  function seek(offset: number): void {
    stop.throwIfAborted()
    reader.seek(partition, offset)
  }

  /** Until it works, or this is to stop. */
  async function persist<T>(work: () => Promise<T>): Promise<T> {
    for (let failures = 1; ; failures++) {
      try {
        const result = await work()
        if (failures > 1) onWell()
        return result
      } catch (error) {
        stop.throwIfAborted()
        onTrouble(error as Error)
        await delay(Math.min(MAX_PAUSE_MS, 50 * 2 ** failures), undefined, { signal: stop })
      }
    }
  }

  const write = (batch: ReadStretch) => store.applyFrom({ source, ...batch }).catch(asFault)

  /** @returns the offset that is to be read next, whoever moved it there */
  function conclude(batch: ReadStretch, outcome: LogOutcome): number {
    const { position } = outcome
    onPosition(position)
    if (position >= batch.next) onApplied(batch, outcome)
    if (position !== batch.next) {
      log.info({ ...place, at: batch.next, position }, 'another reader has moved this partition')
      seek(position)
    }
    return position
  }

  /** Reads messages only when their batch is next to be written, so that few are in memory. @returns as `conclude` */
  async function count(piece: Stretch): Promise<number> {
    let batch: ReadStretch | undefined
    const outcome = await persist(() =>
      inLane(async () => {
        batch ??= await readMessages(place, piece)
        return batch.letters.length > 0 ? undefined : write(batch)
      }),
    )
    if (outcome) return conclude(batch!, outcome)
    // In no lane: it may take long, and must not hold up other partitions.
    await persist(() => deadLetters.send(batch!.letters))
    return conclude(batch!, await persist(() => inLane(() => write(batch!))))
  }

  async function begin(): Promise<void> {
    const known = await persist(() => store.position(source).catch(asFault))
    const position = known ?? (await persist(() => reader.offset(partition, 'earliest')))
    onPosition(position)
    seek(position)
  }

  /** Where there is nothing to be read at the position. */
  async function findWay(at: number): Promise<void> {
    const earliest = await persist(() => reader.offset(partition, 'earliest'))
    if (at < earliest) {
      log.error(
        { ...place, at, earliest, messages: earliest - at },
        'retention took messages before they were read',
      )
      onGone(earliest - at)
      const gone: ReadStretch = { from: at, next: earliest, updates: [], letters: [] }
      seek(conclude(gone, await persist(() => inLane(() => write(gone)))))
      return
    }
    const end = await persist(() => reader.offset(partition, 'latest'))
    if (at > end) {
      const text = `${place.topic}/${partition} ends at ${end}, below the position ${at}: its end was lost.`
      log.error({ ...place, at, end }, 'a partition ends below what was read of it')
      onTrouble(new Error(text))
      await delay(LOG_ENDS_BELOW_MS, undefined, { signal: stop })
    } else onWell()
    seek(at)
  }

  try {
    await begin()
    for (;;) {
      const taken = await reader.take(partition)
      if (taken === undefined || stop.aborted) break
      if (taken.kind === 'gone') {
        await findWay(taken.at)
        continue
      }
      for (const piece of cutStretch(taken, BATCH)) {
        const position = await count(piece)
        if (position !== piece.next || stop.aborted) break
      }
    }
  } catch (error) {
    if (!stop.aborted) throw error
  }
}

/** What a store throws while nothing is away: the brokers are not to be blamed, nor waited for. */
function asFault(cause: unknown): never {
  throw cause instanceof PebblesError
    ? cause
    : new PebblesError('internal', 'The updates cannot be written.', { cause })
}
