/**
 * What was reported and is not confirmed yet, as a queue of updates: pure bookkeeping, no clock and no network.
 *
 * Reports join the last update until it is full or on its way (*sealed*); a sealed update never changes again, so
 * each of its attempts is the same request with the same key, which the service counts once.
 */
import type { paths } from './openapi.ts'

export type UpdateBody =
  paths['/clients/{clientKrn}/progress']['post']['requestBody']['content']['application/json']
export type Counts = UpdateBody['counts']
export type IssueKind = 'errors' | 'warnings'

/** What the service takes in one update: issues of a kind, and (with room for the rest of 4 MiB) bytes of JSON. */
export const MAX_ISSUES = 10_000
export const MAX_ISSUE_BYTES = 3.5 * 1024 * 1024

export interface PendingUpdate {
  /** Idempotency-Key of all its attempts. */
  readonly key: string
  readonly counts: Counts
  total?: number
  isLast: boolean
  /** Issues as JSON, so that their size is known and they are serialized once. */
  readonly errors: string[]
  readonly warnings: string[]
  issueBytes: number
  isSealed: boolean
}

export interface UpdateQueue {
  addCount(name: keyof Counts, rows: number): void
  setTotal(rows: number): void
  /** @param json the issue, at most `bytes` of UTF-8 */
  addIssue(kind: IssueKind, json: string, bytes: number): void
  /** Marks the last update as the file's last; nothing may be added after it. */
  end(): void
  /** The first update, sealed. */
  head(): PendingUpdate | undefined
  /** The first update was confirmed. */
  removeHead(): void
  clear(): void
  readonly size: number
  /** Updates ever begun: the number of the last one in the queue. */
  readonly lastNumber: number
  /** JSON of the issues that wait. */
  readonly issueBytes: number
}

export function createUpdateQueue(newKey: () => string = randomKey): UpdateQueue {
  let updates: PendingUpdate[] = []
  let begun = 0
  let issueBytes = 0

  function last(): PendingUpdate {
    const update = updates.at(-1)
    return update && !update.isSealed ? update : begin()
  }

  function begin(): PendingUpdate {
    const counts = { done: 0, warn: 0, failed: 0 }
    const update = {
      key: newKey(),
      counts,
      isLast: false,
      errors: [],
      warnings: [],
      issueBytes: 0,
      isSealed: false,
    }
    updates.push(update)
    begun++
    return update
  }

  return {
    addCount(name, rows) {
      const { counts } = last()
      const sum = counts.done + counts.warn + counts.failed + rows
      if (!Number.isSafeInteger(sum)) throw new RangeError('more than 2^53 − 1 rows')
      counts[name] += rows
    },
    setTotal(rows) {
      last().total = rows
    },
    addIssue(kind, json, bytes) {
      let update = last()
      if (update[kind].length === MAX_ISSUES || update.issueBytes + bytes > MAX_ISSUE_BYTES) {
        update.isSealed = true
        update = begin()
      }
      update[kind].push(json)
      update.issueBytes += bytes
      issueBytes += bytes
    },
    end() {
      const update = last()
      update.isLast = true
      update.isSealed = true
    },
    head() {
      const [update] = updates
      if (update) update.isSealed = true
      return update
    },
    removeHead() {
      issueBytes -= updates.shift()?.issueBytes ?? 0
    },
    clear() {
      updates = []
      issueBytes = 0
    },
    get size() {
      return updates.length
    },
    get lastNumber() {
      return begun
    },
    get issueBytes() {
      return issueBytes
    },
  }
}

/** The request body of an update; the same text for each attempt. */
export function toBody(filename: string, { counts, total, isLast, errors, warnings }: PendingUpdate): string {
  const members = [`"filename":${JSON.stringify(filename)}`, `"counts":${JSON.stringify(counts)}`]
  if (total !== undefined) members.push(`"total":${total}`)
  if (isLast) members.push('"isLast":true')
  if (errors.length > 0) members.push(`"errors":[${errors.join(',')}]`)
  if (warnings.length > 0) members.push(`"warnings":[${warnings.join(',')}]`)
  return `{${members.join(',')}}`
}

/** 128 random bits. `crypto.randomUUID` would do the same, but browsers have it on https pages only. */
export function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
