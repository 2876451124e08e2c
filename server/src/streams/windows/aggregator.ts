import type { Pool } from 'pg'
import type { Log } from '../../platform/log.ts'
import { createLanes } from '../../platform/wait.ts'
import type { EventLog, Slice } from '../log/log.ts'
import type { PartHealth } from '../shares/part-health.ts'
import { shareWork } from '../shares/shared-work.ts'
import type { Streams } from '../streams.ts'
import { type Checkpoint, commitProgress, GROUP, loadCheckpoint, scopeIdOf } from './aggregates-postgres.ts'
import { type AggregatorReport, createAggregatorMeter } from './aggregator-meter.ts'
import {
  createPartitionReader,
  type KnownScope,
  type LatePolicy,
  type PartitionReader,
} from './partition-reader.ts'

/** Parsing one holds up what else the process does: 22 ms for 10,000 page views on two busy cores. */
const SLICE_BYTES = 1024 * 1024
const MAX_WAIT_MS = 3_000
/** Without windows to close, what was read is committed at least so often: it is what would be read again. */
const COMMIT_EVERY_MS = 1_000
const COMMIT_EVERY_EVENTS = 100_000
/** Open windows are parked when they hold the resume offset back further: an event may be a day ahead. */
const MAX_HELD_BACK = 2_000_000
/**
 * Commits at a time, one less than the pool has connections: a large window takes long, and meanwhile this process has
 * to say that it lives, and to read.
 */
const COMMIT_LANES = 3

export interface AggregatorOptions {
  log: EventLog
  streams: Streams
  pool: Pool
  idleMs: number
  latePolicy: LatePolicy
  /** What keys of open windows may take in memory, about; shared by the partitions that are read here. */
  maxOpenBytes: number
  logger: Log
  /** A commit closed windows. */
  onClosed?: () => void
}

export interface Aggregator extends AsyncDisposable {
  health(): PartHealth
  report(): AggregatorReport
}

/**
 * Makes aggregates of the log: reads each partition, folds, and commits windows, late events and checkpoint together.
 *
 * Any number of processes share the partitions. A commit names the version of the checkpoint that it started from, so of
 * two that read the same one goes on, and the other begins anew from what that one committed. The same is done after
 * every error: the log is the state, nothing is repaired.
 *
 * Open windows that take more than their share of memory are parked with a commit, in the database.
 */
export function startAggregator(options: AggregatorOptions): Aggregator {
  const { log, pool, logger, maxOpenBytes } = options
  const events = log.openReader()
  const knownScopes = createKnownScopes(options)
  const meter = createAggregatorMeter()
  const inLane = createLanes(COMMIT_LANES)
  /** Partitions that are read. */
  let reading = 0
  const sharing = shareWork({ pool, group: GROUP, parts: log.partitions, work: readPartition, logger })

  /** Until it is told to stop, or another process has gone on with the partition. */
  async function readPartition(partition: number, signal: AbortSignal, went: () => void): Promise<void> {
    reading++
    using _ = { [Symbol.dispose]: () => void reading-- }
    const checkpoint = await loadCheckpoint(pool, partition)
    let { version } = checkpoint
    await knownScopes.lookUp(checkpoint.scopes.filter(({ parked }) => parked.size > 0))
    const { idleMs, latePolicy } = options
    // A quiet partition is looked at when its time may have come.
    const limits = { maxBytes: SLICE_BYTES, waitMs: Math.min(MAX_WAIT_MS, idleMs), signal }
    const withClock = clockSince(checkpoint)
    const reader = createPartitionReader({ checkpoint, idleMs, latePolicy, known: knownScopes.get })
    meter.reads(partition, reader, signal)
    let committedAt = Date.now()
    while (!signal.aborted) {
      const slice = withClock(await events.read(partition, reader.next, limits))
      if (signal.aborted) break
      await knownScopes.lookUp(slice.runs)
      reader.take(slice)
      meter.took(partition, slice)
      if (!reader.isCaughtUp) continue
      const isFull = reader.openBytes > maxOpenBytes / reading
      if (isFull || isWorthACommit(reader, committedAt)) {
        if (!(await commit(isFull || reader.heldBack > MAX_HELD_BACK))) return
        committedAt = Date.now()
      }
      if (reader.hasMoved) continue
      meter.settled(partition)
      went()
    }
    // What was read and yielded nothing need not be read again by the next one.
    if (reader.isCaughtUp && (reader.hasMoved || reader.hasYield)) await commit(false)

    async function commit(parks: boolean): Promise<boolean> {
      const progress = reader.harvest(parks)
      if (!(await inLane(() => commitProgress(pool, partition, version, progress)))) {
        logger.debug({ partition }, 'another process has gone on with the partition')
        meter.overtaken()
        return false
      }
      version++
      meter.committed(progress)
      if (progress.closings.length > 0) options.onClosed?.()
      return true
    }
  }

  return {
    health: sharing.health,
    report: meter.report,
    async [Symbol.asyncDispose]() {
      await sharing[Symbol.asyncDispose]()
      await events[Symbol.asyncDispose]()
    },
  }
}

/**
 * The log's clock shows at least what it showed when the newest event was appended, and the time that has passed since
 * the start. A log on Kafka knows less of it before it has read an event, which it need not do when all windows that are
 * open were parked; and a quiet stream would never be moved on.
 */
function clockSince({ scopes }: Checkpoint): (slice: Slice) => Slice {
  const newestMs = scopes.reduce((newest, { appendedMs }) => Math.max(newest, appendedMs), 0)
  const startedAt = performance.now()
  return (slice) => {
    if (slice.endedMs === undefined) return slice
    const leastMs = newestMs + Math.floor(performance.now() - startedAt)
    return { ...slice, endedMs: Math.max(slice.endedMs, leastMs) }
  }
}

function isWorthACommit({ hasYield, hasMoved, events }: PartitionReader, committedAt: number): boolean {
  if (hasYield || events >= COMMIT_EVERY_EVENTS) return true
  return hasMoved && Date.now() - committedAt >= COMMIT_EVERY_MS
}

/** Streams that were read, with their ids. What decides a window never changes, so they need not be read again. */
function createKnownScopes({ pool, streams }: Pick<AggregatorOptions, 'pool' | 'streams'>) {
  const known = new Map<string, KnownScope>()
  const nameOf = (clientKrn: string, stream: string) => `${stream}\0${clientKrn}`

  return {
    get: (clientKrn: string, stream: string): KnownScope => known.get(nameOf(clientKrn, stream))!,
    async lookUp(streamsOf: Iterable<{ clientKrn: string; stream: string }>): Promise<void> {
      for (const { clientKrn, stream } of streamsOf) {
        const name = nameOf(clientKrn, stream)
        if (known.has(name)) continue
        const definition = await streams.define(clientKrn, stream)
        // As after the restore of a backup. Whoever is on call has to know which one to declare; the world has not.
        if (!definition)
          throw Object.assign(new Error('the log holds events of a stream that is not declared'), {
            clientKrn,
            stream,
          })
        known.set(name, { scopeId: await scopeIdOf(pool, clientKrn, stream), definition })
      }
    },
  }
}
