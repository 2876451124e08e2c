import type { Slice } from '../log/log.ts'
import type { Progress } from './aggregates-postgres.ts'
import type { PartitionReader } from './partition-reader.ts'

/** What the aggregator of this process did since it was started, and what it has in hand now. */
export interface AggregatorReport {
  /** `overtaken`: another process had gone on with the partition, and nothing was written. */
  commits: { committed: number; overtaken: number }
  /** Those that were read again after a start or a failure included. */
  eventsRead: number
  /** Committed. */
  lateEvents: number
  /** Committed: a window has a part in each partition that holds keys of it. */
  windowsClosed: number
  /** Keys of open windows that were taken out of memory, each as often as that happened. */
  keysParked: number
  openWindows: number
  /** Keys of open windows: what memory is spent on. */
  openKeys: number
  /** For how long events have been in the log that are not decided, in the partition that is furthest behind. */
  behindMs: number
  /** How far stream time is behind the clock, where that is furthest; see {@link PartitionReader.look}. */
  watermarkAgeMs: number
}

/** Is told by the aggregator what happens, by the slice and by the commit; nothing is done for an event. */
export interface AggregatorMeter {
  /** A partition is read from its checkpoint on, until the signal. */
  reads(partition: number, reader: PartitionReader, signal: AbortSignal): void
  took(partition: number, slice: Slice): void
  committed(progress: Progress): void
  overtaken(): void
  /** All that was read of the partition is committed. */
  settled(partition: number): void
  report(): AggregatorReport
}

interface Place {
  reader: PartitionReader
  signal: AbortSignal
  /** What was appended before is read, and what is decided. */
  readMs: number
  decidedMs: number
}

export function createAggregatorMeter(): AggregatorMeter {
  // A partition stays while it fails: it is then further behind every second.
  const places = new Map<number, Place>()
  const totals = { eventsRead: 0, lateEvents: 0, windowsClosed: 0, keysParked: 0 }
  const commits = { committed: 0, overtaken: 0 }

  function forgetStopped(): void {
    for (const [partition, { signal }] of places) if (signal.aborted) places.delete(partition)
  }

  return {
    reads(partition, reader, signal) {
      forgetStopped()
      const decidedMs = places.get(partition)?.decidedMs ?? Date.now()
      places.set(partition, { reader, signal, readMs: decidedMs, decidedMs })
    },
    took(partition, { runs, endedMs }) {
      for (const { payloads } of runs) totals.eventsRead += payloads.length
      const place = places.get(partition)
      // At the end nothing is older than now. A log whose servers are away tells neither: time goes on, and it is behind.
      if (place) place.readMs = endedMs === undefined ? (runs.at(-1)?.appendedMs ?? place.readMs) : Date.now()
    },
    committed({ late, closings, parked }) {
      commits.committed++
      totals.lateEvents += late.length
      totals.windowsClosed += closings.length
      for (const { window } of parked) totals.keysParked += window.keys.size
    },
    overtaken: () => void commits.overtaken++,
    settled(partition) {
      const place = places.get(partition)
      if (place) place.decidedMs = place.readMs
    },
    report() {
      forgetStopped()
      const nowMs = Date.now()
      const found = { openWindows: 0, openKeys: 0, behindMs: 0, watermarkAgeMs: 0 }
      for (const { reader, decidedMs } of places.values()) {
        const { openWindows, openKeys, watermarkMs } = reader.look()
        found.openWindows += openWindows
        found.openKeys += openKeys
        found.behindMs = Math.max(found.behindMs, nowMs - decidedMs)
        if (watermarkMs !== undefined)
          found.watermarkAgeMs = Math.max(found.watermarkAgeMs, nowMs - watermarkMs)
      }
      return { commits, ...totals, ...found }
    },
  }
}
