import { Registry } from 'prom-client'
import { measureProcess } from './process-metrics.ts'

export interface Metrics extends Disposable {
  /** Where the parts of a service register what they measure, each name once, beginning with `pebbles_`. */
  readonly registry: Registry
  readonly contentType: string
  /** Everything as it is now, in Prometheus' text format. What cannot be had at the moment is left out. */
  text(): Promise<string>
}

/** The measurements of a service, with those of its process. */
export function createMetrics(): Metrics {
  const registry = new Registry()
  const ofProcess = measureProcess(registry)
  return {
    registry,
    contentType: registry.contentType,
    text: () => registry.metrics(),
    [Symbol.dispose]: () => ofProcess[Symbol.dispose](),
  }
}
