import { setTimeout as delay } from 'node:timers/promises'
import { CloudWatchClient, type MetricDatum, PutMetricDataCommand } from '@aws-sdk/client-cloudwatch'
import type { Registry } from 'prom-client'
import { awsFault } from '../aws-fault.ts'
import type { Log } from '../log.ts'
import { datumOf, type ExportedMetric, readSeries, type Series } from './series.ts'

const EVERY_MS = 60_000
/** By then a service has registered what it measures. A wrong key or address is told without waiting for a minute. */
const FIRST_AFTER_MS = 5_000
const TIMEOUT_MS = 10_000
/** At the end nobody waits longer for it. */
const LAST_TIMEOUT_MS = 3_000
/** While it goes on failing, every so many times are said. */
const SAY_EVERY = 60

export interface CloudWatchOptions {
  registry: Registry
  metrics: readonly ExportedMetric[]
  namespace: string
  region: string
  /** Address of the service, when it is not that of AWS. */
  endpoint: string | undefined
  log: Log
}

export interface CloudWatchExport extends AsyncDisposable {
  /** Sends what has not been sent. Never rejects: what could not be sent is sent the next time. */
  send(timeoutMs?: number): Promise<void>
}

/**
 * Sends what the registry counts to CloudWatch, once a minute and at the end.
 *
 * What is sent is the difference to what CloudWatch has confirmed. So a failed export is carried over whole, however
 * long it takes, and nothing has to be kept for it. CloudWatch adds up whatever it is sent: when it took an export
 * whose answer got lost, that one counts twice. Credentials are those that the SDK finds by itself.
 */
export function startCloudWatchExport(options: CloudWatchOptions): CloudWatchExport {
  const { registry, metrics, namespace, region, endpoint, log } = options
  const client = new CloudWatchClient({
    region,
    ...(endpoint !== undefined && { endpoint }),
    // The next minute is the next attempt.
    maxAttempts: 1,
    requestHandler: { connectionTimeout: 3_000, requestTimeout: TIMEOUT_MS },
  })
  const confirmed = new Map<string, Series>()
  const closing = new AbortController()
  let failures = 0
  const exporting = keepSending()

  async function keepSending(): Promise<void> {
    for (let waitMs = FIRST_AFTER_MS; ; waitMs = EVERY_MS) {
      await delay(waitMs, undefined, { signal: closing.signal }).catch(() => {})
      if (closing.signal.aborted) return
      await send()
    }
  }

  async function send(timeoutMs = TIMEOUT_MS): Promise<void> {
    try {
      const at = new Date()
      const now = new Map<string, Series>()
      for (const metric of metrics)
        for (const [key, series] of await readSeries(registry, metric)) now.set(key, series)
      const MetricData: MetricDatum[] = []
      for (const [key, series] of now) {
        const datum = datumOf(series, confirmed.get(key), at)
        if (datum) MetricData.push(datum)
      }
      if (MetricData.length === 0) return
      const command = new PutMetricDataCommand({ Namespace: namespace, MetricData })
      await client.send(command, { abortSignal: AbortSignal.timeout(timeoutMs) })
      for (const [key, series] of now) confirmed.set(key, series)
      if (failures > 0) log.info({ failures }, 'metrics reach CloudWatch again')
      failures = 0
    } catch (err) {
      if (failures++ % SAY_EVERY === 0)
        log.warn(
          { err: awsFault(err) },
          'metrics could not be sent to CloudWatch; carried over to the next minute',
        )
    }
  }

  return {
    send,
    async [Symbol.asyncDispose]() {
      closing.abort()
      await exporting
      await send(LAST_TIMEOUT_MS)
      client.destroy()
    },
  }
}
