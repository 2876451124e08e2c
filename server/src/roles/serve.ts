import type { Config } from '../config.ts'
import { PebblesError } from '../platform/errors.ts'
import { createLog, type Log } from '../platform/log.ts'
import { measureConsumers } from '../progress/metrics.ts'
import { startApi } from './api.ts'
import { type Base, openBase } from './base.ts'
import { startCloudWatch } from './cloudwatch.ts'
import { componentsOf } from './components.ts'
import { startConsumers } from './consumers.ts'
import { startImports } from './imports.ts'
import { startOperations } from './operations.ts'
import { startStreams } from './streams.ts'

export interface Running extends AsyncDisposable {
  /** Where it listens: the API, and without that role what tells how the process is. */
  url: string
}

/** Starts every role of this process, in the order in which they need each other; ends them in reverse. */
export async function serve(config: Config): Promise<Running> {
  await using opened = new AsyncDisposableStack()
  const log = createLog(config.LOG_LEVEL)
  const base = opened.use(await openBase(config, log))
  if (config.CLOUDWATCH_ENABLED) opened.use(await startCloudWatch(config, base.metrics, log))
  if (config.roles.has('imports')) opened.use(await startImports(config, base, log))
  const consumers = config.roles.has('consumers')
    ? opened.use(await openConsumers(config, base, log)).all
    : []
  const reports = () =>
    consumers.map((consumer) => ({ channel: consumer.channel, health: consumer.health() }))
  measureConsumers(reports, base.metrics.registry, base.tally)
  const parts = config.roles.has('streams') ? opened.use(await startStreams(config, base, log)).parts : {}
  const components = componentsOf(base, reports, parts, log)
  const start = config.roles.has('api') ? startApi : startOperations
  const { url } = opened.use(await start(config, base, components, log))
  const owned = opened.move()
  return { url, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** What the system and the clients of the brokers refuse, such as a file that is not there, a person can mend. */
async function openConsumers(config: Config, base: Base, log: Log) {
  try {
    return await startConsumers(config, base, log, base.tally)
  } catch (cause) {
    const isToldByCode = cause instanceof Error && typeof (cause as { code?: unknown }).code === 'string'
    if (!isToldByCode || cause instanceof PebblesError) throw cause
    throw new PebblesError(
      'misconfigured',
      'A consumer cannot be started: see the variables KAFKA_… and SQS_….',
      { cause },
    )
  }
}
