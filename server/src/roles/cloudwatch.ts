import type { Config } from '../config.ts'
import type { CloudWatchExport } from '../platform/cloudwatch/export.ts'
import type { ExportedMetric } from '../platform/cloudwatch/series.ts'
import type { Log } from '../platform/log.ts'
import type { Metrics } from '../platform/telemetry/metrics.ts'
import { PAGEVIEWS } from '../streams/declaration.ts'

/** What CloudWatch is told, under the names that the page view pipeline has for it. */
const EXPORTED: readonly ExportedMetric[] = [
  {
    name: 'pageviews.produced',
    source: 'pebbles_stream_events_total',
    where: { stream: PAGEVIEWS, outcome: 'accepted' },
    dimensions: [],
  },
  { name: 's3.writes', source: 'pebbles_s3_writes_total', dimensions: ['writer'] },
  { name: 's3.errors', source: 'pebbles_s3_errors_total', dimensions: ['writer'] },
  { name: 's3.write.duration', source: 'pebbles_s3_write_duration_seconds', dimensions: ['writer'] },
]

/** Opened before the roles, so that it is the last to end, and sends what they counted until then. */
export async function startCloudWatch(
  config: Config,
  { registry }: Pick<Metrics, 'registry'>,
  log: Log,
): Promise<CloudWatchExport> {
  // Loaded only where it is used, as it takes a while.
  const { startCloudWatchExport } = await import('../platform/cloudwatch/export.ts')
  return startCloudWatchExport({
    registry,
    metrics: EXPORTED,
    namespace: config.CLOUDWATCH_NAMESPACE,
    region: config.AWS_REGION,
    endpoint: config.CLOUDWATCH_ENDPOINT,
    log,
  })
}
