import type { MetricDatum } from '@aws-sdk/client-cloudwatch'
import type { Registry } from 'prom-client'

/** A metric of CloudWatch that is made of one of Prometheus': a counter, or a histogram of seconds. */
export interface ExportedMetric {
  name: string
  /** Name in the registry; as long as it is not there, nothing is sent. */
  source: string
  /** Only series with these values of labels. */
  where?: Readonly<Record<string, string>>
  /** Labels that become dimensions; over the others it is summed up. */
  dimensions: readonly string[]
}

/** One line of a metric since the process was started. */
export interface Series {
  name: string
  dimensions: Readonly<Record<string, string>>
  /** Of a counter: its value. Of a histogram: seconds. */
  sum: number
  /** Of a histogram: by the upper bounds of the buckets, in their order, all that was not above. */
  buckets?: ReadonlyMap<number, number>
}

/** What there is to be told of a metric, by a key of each line. */
export async function readSeries(registry: Registry, metric: ExportedMetric): Promise<Map<string, Series>> {
  const found = new Map<
    string,
    { -readonly [K in keyof Series]: Series[K] } & { buckets?: Map<number, number> }
  >()
  const source = registry.getSingleMetric(metric.source)
  if (source === undefined) return found
  const { values, type } = await source.get()
  const isHistogram = (type as unknown) === 'histogram'
  for (const { value, labels, metricName = '' } of values as Sample[]) {
    if (Object.entries(metric.where ?? {}).some(([label, wanted]) => labels[label] !== wanted)) continue
    const dimensions = Object.fromEntries(
      metric.dimensions.map((label) => [label, String(labels[label] ?? '')]),
    )
    const key = JSON.stringify([metric.name, dimensions])
    const series = found.get(key) ?? { name: metric.name, dimensions, sum: 0 }
    found.set(key, series)
    if (!isHistogram || metricName.endsWith('_sum')) series.sum += value
    else if (metricName.endsWith('_bucket')) {
      series.buckets ??= new Map()
      const bound = labels.le === '+Inf' ? Infinity : Number(labels.le)
      series.buckets.set(bound, (series.buckets.get(bound) ?? 0) + value)
    }
  }
  return found
}

interface Sample {
  value: number
  labels: Record<string, string | number>
  metricName?: string
}

/**
 * What is to be sent of a line: what came since `before`. A counter that did not move is sent as 0, since nothing and
 * nothing known are not the same to an alarm; of times there is nothing to send then.
 */
export function datumOf(now: Series, before: Series | undefined, at: Date): MetricDatum | undefined {
  const datum = {
    MetricName: now.name,
    Dimensions: Object.entries(now.dimensions).map(([Name, Value]) => ({ Name, Value })),
    Timestamp: at,
  }
  const sum = now.sum - (before?.sum ?? 0)
  if (now.buckets === undefined) return { ...datum, Unit: 'Count', Value: sum }
  const times = timesOf(now.buckets, before?.buckets, sum)
  if (times === undefined) return undefined
  const { count, min, max } = times
  const StatisticValues = { SampleCount: count, Sum: sum * 1000, Minimum: min * 1000, Maximum: max * 1000 }
  return { ...datum, Unit: 'Milliseconds', StatisticValues }
}

/** Number and sum are exact. The extremes are those of the buckets, which is why they are exact for one time only. */
function timesOf(
  buckets: ReadonlyMap<number, number>,
  before: ReadonlyMap<number, number> | undefined,
  sum: number,
): { count: number; min: number; max: number } | undefined {
  let count = 0
  let lower = 0
  let least: number | undefined
  let most = 0
  for (const [bound, all] of buckets) {
    const upToHere = all - (before?.get(bound) ?? 0)
    if (upToHere > count) {
      least ??= lower
      most = bound
    }
    count = upToHere
    lower = bound
  }
  if (least === undefined) return undefined
  const mean = sum / count
  const min = count === 1 ? sum : Math.min(least, mean)
  // The others took `min` at least, so the longest is no longer than what that leaves.
  return { count, min, max: Math.max(mean, Math.min(most, sum - (count - 1) * min)) }
}
