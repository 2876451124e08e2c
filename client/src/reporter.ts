import { createDelivery } from './delivery.ts'
import { PebblesApiError } from './errors.ts'
import { requireCount, toIssueJson } from './issue.ts'
import type { paths } from './openapi.ts'
import { type Connection, createCaller } from './request.ts'
import { type Counts, createUpdateQueue, type IssueKind, type PendingUpdate, toBody } from './update-queue.ts'

/** The record right after an update, with its newest 1,000 errors and warnings. */
export type UpdateResult =
  paths['/clients/{clientKrn}/progress']['post']['responses'][200]['content']['application/json']

export interface ReporterOptions extends Connection {
  /** The client (tenant) whose file it is. */
  clientKrn: string
  /** Name of the file; with the client it names the record. */
  filename: string
  /** Rows expected, when known from the start. */
  total?: number | undefined
  /** Reports collect for this long before they go out together. Default: 500. */
  flushIntervalMs?: number | undefined
  /** Longest that flush(), complete() and close() wait for the service. Default: 120,000. */
  timeoutMs?: number | undefined
  /** JSON of errors and warnings that may wait; see {@link ProgressReporter.ready}. Default: 16 MiB. */
  maxPendingBytes?: number | undefined
  /** Hears of every failed attempt: for logs. Nothing needs to be done while `willRetry`. */
  onError?: ((error: Error, context: { willRetry: boolean }) => void) | undefined
}

/**
 * Reports the progress of one file. Reporting calls return at once and never fail because of the network; what was
 * reported is confirmed when `flush`, `complete` or `close` resolves, and counts exactly once.
 *
 * After a refusal (somebody else's file, a completed file, an invalid token) nothing more is sent: `failure` holds
 * the error, `onError` heard of it, and `ready`, `flush`, `complete` and `close` reject with it.
 */
export interface ProgressReporter extends AsyncDisposable {
  /** Adds rows that went well. Default: 1. @throws TypeError unless `rows` is a whole number from 0 up */
  done(rows?: number): void
  /** Adds rows with warnings. */
  warn(rows?: number): void
  /** Adds rows that failed. */
  failed(rows?: number): void
  /** Tells an error with its line (0: the whole file). It counts no row: a row may have many, see `failed`. */
  error(line: number, message: string): void
  /** Tells a warning with its line. It counts no row. */
  warning(line: number, message: string): void
  /** Sets, or changes, the rows expected. */
  total(rows: number): void
  /**
   * Resolves when there is room for more errors and warnings. Who awaits it between rows never loses one; who does
   * not, and is faster than the service, loses those beyond `maxPendingBytes`: their number is then told as an
   * issue of line 0, and by `dropped`. Counts are never dropped.
   */
  ready(): Promise<void>
  /** Resolves when everything reported before is confirmed. @throws PebblesApiError, PebblesTimeoutError */
  flush(): Promise<void>
  /** Completes the file: everything before is confirmed, and nothing can be added afterwards. Call it again after a time-out. */
  complete(): Promise<UpdateResult>
  /** Flushes and ends the reporter, leaving the file open. After a time-out it gives up what was not confirmed. */
  close(): Promise<void>
  /** Errors and warnings that were dropped; see `ready`. */
  readonly dropped: number
  /** Why nothing more is sent. */
  readonly failure: Error | undefined
}

/** @throws TypeError when `url` is not one, or `total` not a whole number */
export function createProgressReporter(options: ReporterOptions): ProgressReporter {
  const { clientKrn, filename, flushIntervalMs = 500, timeoutMs = 120_000, onError = () => {} } = options
  const { maxPendingBytes = 16 * 1024 * 1024 } = options
  const caller = createCaller(options)
  const queue = createUpdateQueue()
  const delivery = createDelivery({
    queue,
    send,
    intervalMs: flushIntervalMs,
    onConfirmed: noteDropped,
    onError,
  })
  const droppedSince = { errors: 0, warnings: 0 }
  let dropped = 0
  let result: UpdateResult | undefined
  let isCompleting = false
  let isFailureTold = false
  let closing: Promise<void> | undefined

  async function send(update: PendingUpdate, signal: AbortSignal): Promise<void> {
    const answer = await caller.json(`/clients/${encodeURIComponent(clientKrn)}/progress`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': update.key },
      body: toBody(filename, update),
      signal,
    })
    result = answer as UpdateResult
    // An answer in JSON that is not about this file: something else listens at this address.
    if (result?.filename !== filename) throw new PebblesApiError(200)
  }

  /** Runs a report, unless nothing more can be sent. */
  function report(add: () => void): void {
    if (delivery.failure) return
    if (isCompleting || closing) throw new Error('The reporter was completed or closed.')
    add()
    delivery.schedule()
  }

  function addCount(name: keyof Counts, rows: number): void {
    requireCount(name, rows)
    report(() => queue.addCount(name, rows))
  }

  function addIssue(kind: IssueKind, line: number, message: string): void {
    const { json, bytes } = toIssueJson(line, message)
    report(() => {
      if (queue.issueBytes + bytes <= maxPendingBytes) return queue.addIssue(kind, json, bytes)
      dropped++
      droppedSince[kind]++
    })
  }

  /** Nothing is lost silently: what was dropped since the last note becomes an issue of the file itself. */
  function noteDropped(): void {
    for (const kind of ['errors', 'warnings'] as const) {
      const count = droppedSince[kind]
      if (count === 0) continue
      droppedSince[kind] = 0
      const { json, bytes } = toIssueJson(
        0,
        `${count} ${kind} were not recorded: they came faster than they could be sent`,
      )
      queue.addIssue(kind, json, bytes)
    }
  }

  function setTotal(rows: number): void {
    requireCount('total', rows)
    report(() => queue.setTotal(rows))
  }

  async function settle(): Promise<void> {
    try {
      await delivery.settled(timeoutMs)
    } catch (error) {
      isFailureTold ||= error === delivery.failure
      throw error
    }
  }

  async function complete(): Promise<UpdateResult> {
    if (!isCompleting && !delivery.failure) {
      if (closing) throw new Error('The reporter was closed.')
      isCompleting = true
      noteDropped()
      queue.end()
    }
    await settle()
    return result!
  }

  async function finish(): Promise<void> {
    if (!isCompleting) noteDropped()
    try {
      await settle()
    } catch (error) {
      delivery.fail(error as Error)
      throw error
    }
  }

  function close(): Promise<void> {
    closing ??= finish()
    return closing
  }

  /** For `await using`: an error that the block was already told must not hide behind a SuppressedError. */
  const dispose = () => (isFailureTold ? Promise.resolve() : close())

  if (options.total !== undefined) setTotal(options.total)
  return {
    done: (rows = 1) => addCount('done', rows),
    warn: (rows = 1) => addCount('warn', rows),
    failed: (rows = 1) => addCount('failed', rows),
    error: (line, message) => addIssue('errors', line, message),
    warning: (line, message) => addIssue('warnings', line, message),
    total: setTotal,
    ready: () => delivery.waitUntil(() => queue.issueBytes <= maxPendingBytes / 2),
    flush: settle,
    complete,
    close,
    get dropped() {
      return dropped
    },
    get failure() {
      return delivery.failure
    },
    // Older browsers have no such symbol.
    ...(Symbol.asyncDispose && { [Symbol.asyncDispose]: dispose }),
  } as ProgressReporter
}
