import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { ConsumerReports, MessageResult, Tally } from './consumers/consumer.ts'
import type { Ledger } from './ledger.ts'
import { resultOf } from './outcome.ts'
import type { Update } from './record.ts'
import type { Outcome, RecordStore } from './store.ts'

const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const RESULTS: readonly MessageResult[] = ['applied', 'duplicate', 'refused', 'invalid', 'too_old']
const STATUSES = ['running', 'waiting', 'dead'] as const

/** Counts what became of updates, by the channel that they came through. */
export function createTally(registry: Registry): Tally {
  const updates = new Counter({
    name: 'pebbles_updates_total',
    help: 'Updates by the channel that they came through and what became of them.',
    labelNames: ['channel', 'result'],
    registers: [registry],
  })
  return (channel, result, messages) => void updates.inc({ channel, result }, messages)
}

/**
 * Counts what the ledger did with requests; nothing where there is no outcome. Consumers count for themselves: they
 * alone know of messages that were no update.
 */
export function tallyRequests(
  tally: Tally,
  updates: readonly Update[],
  outcomes: readonly (Outcome | undefined)[],
): void {
  const requests = { applied: 0, duplicate: 0, refused: 0 }
  for (let i = 0; i < updates.length; i++) {
    const outcome = outcomes[i]
    if (outcome && updates[i]!.channel === 'http') requests[resultOf(outcome)]++
  }
  for (const result of ['applied', 'duplicate', 'refused'] as const) tally('http', result, requests[result])
}

/** The store, with the time that its transactions take measured, those that failed apart from the others. */
export function measureStore(store: RecordStore, registry: Registry): RecordStore {
  const durations = new Histogram({
    name: 'pebbles_ledger_batch_duration_seconds',
    help: 'Time to write a batch of updates, new attempts included.',
    labelNames: ['result'],
    buckets: BUCKETS,
    registers: [registry],
  })
  async function measured<T>(work: () => Promise<T>): Promise<T> {
    const start = performance.now()
    let result = 'failed'
    try {
      const value = await work()
      result = 'written'
      return value
    } finally {
      durations.observe({ result }, (performance.now() - start) / 1000)
    }
  }
  return {
    ...store,
    apply: (updates) => measured(() => store.apply(updates)),
    applyFrom: (batch) => measured(() => store.applyFrom(batch)),
  }
}

export function measureLedger(ledger: Ledger, registry: Registry): void {
  new Gauge({
    name: 'pebbles_ledger_pending',
    help: 'Updates that wait in this process or are being written.',
    registers: [registry],
    collect() {
      this.set(ledger.pending)
    },
  })
}

/** Shows what the consumers of this process do, asked when somebody looks. Without consumers there is nothing to show. */
export function measureConsumers(reports: ConsumerReports, registry: Registry, tally: Tally): void {
  const channels = reports().map(({ channel }) => channel)
  if (channels.length === 0) return
  // A counter that is there from the start shows its first step, too.
  for (const channel of channels) for (const result of RESULTS) tally(channel, result, 0)
  new Gauge({
    name: 'pebbles_consumer_status',
    help: '1 for the status that a consumer has, 0 for the others.',
    labelNames: ['channel', 'status'],
    registers: [registry],
    collect() {
      for (const { channel, health } of reports()) {
        for (const status of STATUSES) this.set({ channel, status }, status === health.status ? 1 : 0)
      }
    },
  })
  new Gauge({
    name: 'pebbles_consumer_lag',
    help: 'Messages that wait to be read, by partition or queue.',
    labelNames: ['channel', 'source'],
    registers: [registry],
    collect() {
      // Partitions come and go.
      this.reset()
      for (const { channel, health } of reports()) {
        for (const { source, messages } of health.lag) this.set({ channel, source }, messages)
      }
    },
  })
  new Gauge({
    name: 'pebbles_consumer_last_error_timestamp_seconds',
    help: 'When something went wrong last; it may be long over.',
    labelNames: ['channel'],
    registers: [registry],
    collect() {
      for (const { channel, health } of reports()) {
        if (health.lastError) this.set({ channel }, health.lastError.at.getTime() / 1000)
      }
    },
  })
}
