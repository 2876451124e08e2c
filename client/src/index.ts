/**
 * The SDK of Pebbles: report the progress of a file from any worker, send events, and watch and read both from anywhere.
 * Runs in Node from 20 on and in browsers; has no dependencies.
 */
export { isRetryable, PebblesApiError, PebblesConnectionError, PebblesTimeoutError } from './errors.ts'
export {
  type Ingested,
  type LiveAggregate,
  type Pageview,
  type PageviewsEvent,
  type SendEventsOptions,
  type SendOptions,
  sendEvents,
  sendPageviews,
  watchPageviews,
} from './events.ts'
export type { FollowOptions } from './follow.ts'
export { type ProgressMessage, type ProgressMessageOptions, progressMessage } from './message.ts'
export type { components, Problem, paths } from './openapi.ts'
export {
  type Aggregate,
  type PageviewAggregate,
  type PostcodeCount,
  type RangeOptions,
  type ReadAggregatesOptions,
  type ReadBalanceOptions,
  type ReadOptions,
  type ReadPageviewsOptions,
  readAggregates,
  readBalance,
  readPageviews,
  readTopPostcodes,
  readTotals,
  type StreamBalance,
  type WindowTotal,
} from './queries.ts'
export {
  createProgressReporter,
  type ProgressReporter,
  type ReporterOptions,
  type UpdateResult,
} from './reporter.ts'
export type { Connection, TokenSource } from './request.ts'
export {
  type JobProgress,
  type JobState,
  type JobStats,
  type JobsEvent,
  type LiveRecord,
  type WatchJobOptions,
  type WatchProgressOptions,
  watchJob,
  watchJobs,
  watchProgress,
} from './watch.ts'
