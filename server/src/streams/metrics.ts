import type { Pool } from 'pg'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { createSharedReading } from '../platform/telemetry/shared-reading.ts'
import { PAGEVIEWS } from './declaration.ts'
import type { Appender } from './in/appender.ts'
import type { Ingested } from './in/ingest.ts'
import type { EventLog } from './log/log.ts'
import { readPositions } from './log/positions-postgres.ts'
import type { AggregatorReport } from './windows/aggregator-meter.ts'

const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
/** How many streams clients declare is up to them, so all but the built-in one are counted as one. */
const STREAMS = [PAGEVIEWS, 'declared'] as const
const OUTCOMES = ['accepted', 'duplicate', 'refused'] as const

/** Hears what became of the events of a request. */
export type EventTally = (stream: string, ingested: Ingested) => void

/** Counts events as they come in. Those whose request failed are not known to be in the log, and are not counted. */
export function createEventTally(registry: Registry): EventTally {
  const events = new Counter({
    name: 'pebbles_stream_events_total',
    help: 'Events by what became of them: appended to the log, there already, not valid.',
    labelNames: ['stream', 'outcome'],
    registers: [registry],
  })
  // A counter that is there from the start shows its first step, too.
  for (const stream of STREAMS) for (const outcome of OUTCOMES) events.inc({ stream, outcome }, 0)
  return (name, { accepted, duplicates, refused }) => {
    const stream = name === PAGEVIEWS ? PAGEVIEWS : 'declared'
    events.inc({ stream, outcome: 'accepted' }, accepted - duplicates)
    if (duplicates > 0) events.inc({ stream, outcome: 'duplicate' }, duplicates)
    if (refused.length > 0) events.inc({ stream, outcome: 'refused' }, refused.length)
  }
}

/** The log, with the time that appending takes measured, and with what its readers could not have or use. */
export function measureLog(log: EventLog, registry: Registry): EventLog {
  const durations = new Histogram({
    name: 'pebbles_stream_append_duration_seconds',
    help: 'Time to append a batch of events to the log, new attempts included.',
    labelNames: ['result'],
    buckets: BUCKETS,
    registers: [registry],
  })
  new Counter({
    name: 'pebbles_stream_records_total',
    help: 'Records of the log that became no event: refused, as others wrote them, or gone, taken by retention unread.',
    labelNames: ['result'],
    registers: [registry],
    collect() {
      this.reset()
      const { refusedRecords = 0, goneRecords = 0 } = log.health?.() ?? {}
      this.inc({ result: 'refused' }, refusedRecords)
      this.inc({ result: 'gone' }, goneRecords)
    },
  })
  return {
    ...log,
    async append(events) {
      const start = performance.now()
      let result = 'failed'
      try {
        const places = await log.append(events)
        result = 'written'
        return places
      } finally {
        durations.observe({ result }, (performance.now() - start) / 1000)
      }
    },
  }
}

export function measureAppender(appender: Appender, registry: Registry): void {
  new Gauge({
    name: 'pebbles_stream_pending',
    help: 'Events that wait in this process or are being written.',
    registers: [registry],
    collect() {
      this.set(appender.pending)
    },
  })
}

/**
 * Shows how many events of the log a group of readers has not done with, in all processes together, and also while
 * nobody reads. Left out while database or log are away.
 */
export function measureLag(log: EventLog, pool: Pool, groups: readonly string[], registry: Registry): void {
  const lag = createSharedReading(async () => {
    // Ends are read last: a position is never beyond one.
    const positions = await Promise.all(groups.map((group) => readPositions(pool, group)))
    return { positions, ends: await log.ends() }
  })
  new Gauge({
    name: 'pebbles_stream_lag',
    help: 'Events of a partition that a group of readers has not done with, in all processes together.',
    labelNames: ['group', 'partition'],
    registers: [registry],
    async collect() {
      const found = await lag()
      this.reset()
      for (const [index, group] of groups.entries())
        for (const [partition, end] of found?.ends.entries() ?? [])
          this.set({ group, partition }, end - (found!.positions[index]!.get(partition) ?? 0))
    },
  })
}

type Reading = [
  kind: 'gauge' | 'counter',
  name: string,
  help: string,
  of: (report: AggregatorReport) => number,
]

const READINGS: readonly Reading[] = [
  [
    'counter',
    'events_read_total',
    'Events read, again after a failure included.',
    ({ eventsRead }) => eventsRead,
  ],
  ['counter', 'late_events_total', 'Events that came after their window.', ({ lateEvents }) => lateEvents],
  ['counter', 'windows_closed_total', 'Windows closed, by partition.', ({ windowsClosed }) => windowsClosed],
  [
    'counter',
    'keys_parked_total',
    'Keys of open windows that were taken out of memory, again when they came again.',
    ({ keysParked }) => keysParked,
  ],
  ['gauge', 'open_windows', 'Windows that are open, by partition.', ({ openWindows }) => openWindows],
  ['gauge', 'open_keys', 'Keys of open windows in memory; parked ones aside.', ({ openKeys }) => openKeys],
  [
    'gauge',
    'behind_seconds',
    'How old what was decided last is, in the partition that is furthest behind.',
    ({ behindMs }) => behindMs / 1000,
  ],
  [
    'gauge',
    'watermark_age_seconds',
    'How far stream time is behind the clock, in the stream with open windows and new events that is furthest behind.',
    ({ watermarkAgeMs }) => watermarkAgeMs / 1000,
  ],
]

/** Shows what the aggregator of this process does, read when somebody looks. */
export function measureAggregator(report: () => AggregatorReport, registry: Registry): void {
  for (const [kind, name, help, of] of READINGS) {
    const Metric = kind === 'gauge' ? Gauge : Counter
    new Metric({
      name: `pebbles_stream_${name}`,
      help,
      registers: [registry],
      collect(this: Gauge | Counter) {
        this.reset()
        this.inc(of(report()))
      },
    })
  }
  new Counter({
    name: 'pebbles_stream_commits_total',
    help: 'Commits of the aggregator; overtaken is one that another process was faster with, which wrote nothing.',
    labelNames: ['result'],
    registers: [registry],
    collect() {
      this.reset()
      for (const [result, commits] of Object.entries(report().commits)) this.inc({ result }, commits)
    },
  })
}
