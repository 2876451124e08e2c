import { PebblesError } from '../platform/errors.ts'
import type { Issue, Update } from './record.ts'
import { type Outcome, PartlyApplied } from './store.ts'

/**
 * The ledger's front: takes single updates from every channel and hands them on in batches.
 *
 * Group commit: what arrives while batches are being written is collected and becomes the next batch, so a busy
 * ledger pays for few transactions and an idle one answers at once. Two batches in flight (`lanes`) keep the
 * database busy while this process reads the next requests; more only make them wait for each other's records.
 *
 * Memory is bounded: beyond `maxPending` updates or `maxPendingBytes` a caller is told to come back (503).
 */
export interface Ledger extends AsyncDisposable {
  /**
   * Resolves with what became of the update once that is durable.
   *
   * @throws PebblesError `overloaded` when too much waits, `unavailable` when the database is away
   */
  submit(update: Update): Promise<Outcome>
  /** Updates that wait or are being written. */
  readonly pending: number
}

export interface LedgerOptions {
  apply: (updates: readonly Update[]) => Promise<Outcome[]>
  lanes: number
  maxPending: number
  maxPendingBytes: number
}

/** Keeps a batch's transaction short, and one client's flood of issues from filling it alone. */
const MAX_BATCH_UPDATES = 1_000
const MAX_BATCH_BYTES = 4 * 1024 * 1024

/**
 * Updates that make a second batch at the same time worth its price, and how long fewer wait for it: not until the
 * first batch ends, which may itself be waiting for a record that another process has locked.
 */
const WORTH_A_LANE = 32
const PATIENCE_MS = 5

interface Waiting {
  update: Update
  sizeBytes: number
  resolve: (outcome: Outcome) => void
  reject: (error: unknown) => void
}

export function createLedger(options: LedgerOptions): Ledger {
  const { apply, lanes, maxPending, maxPendingBytes } = options
  let queue: Waiting[] = []
  let pending = 0
  let pendingBytes = 0
  let busyLanes = 0
  /** Records of the batches under way. */
  const inFlight = new Set<string>()
  let soon: NodeJS.Immediate | undefined
  let patience: NodeJS.Timeout | undefined
  let isClosed = false
  let whenIdle: (() => void) | undefined

  function submit(update: Update): Promise<Outcome> {
    if (isClosed)
      throw new PebblesError('unavailable', 'The server is shutting down.', { retryAfterSeconds: 1 })
    const sizeBytes = sizeOf(update)
    if (pending >= maxPending || (pending > 0 && pendingBytes + sizeBytes > maxPendingBytes)) {
      throw new PebblesError('overloaded', 'Too many updates are waiting to be written.', {
        retryAfterSeconds: 1,
      })
    }
    pending++
    pendingBytes += sizeBytes
    return new Promise((resolve, reject) => {
      queue.push({ update, sizeBytes, resolve, reject })
      schedule()
    })
  }

  /**
   * Begins a batch at the end of this turn of the event loop, so that requests that arrived together are written
   * together. Beside a batch under way it waits for company first: each batch has its price, whatever is in it.
   */
  function schedule(): void {
    if (busyLanes === lanes || queue.length === 0) return
    if (busyLanes === 0 || queue.length >= WORTH_A_LANE) soon ??= setImmediate(begin)
    else patience ??= setTimeout(begin, PATIENCE_MS)
  }

  function begin(): void {
    clearImmediate(soon)
    clearTimeout(patience)
    soon = undefined
    patience = undefined
    while (busyLanes < lanes) {
      const batch = takeBatch()
      if (batch.length === 0) return
      void write(batch)
    }
  }

  async function write(batch: Waiting[]): Promise<void> {
    busyLanes++
    for (const { update } of batch) inFlight.add(update.recordId)
    await writeApart(batch)
    for (const { update, sizeBytes } of batch) {
      inFlight.delete(update.recordId)
      pendingBytes -= sizeBytes
    }
    pending -= batch.length
    busyLanes--
    schedule()
    if (pending === 0) whenIdle?.()
  }

  /**
   * The oldest updates, but none whose record is in flight: they would wait at its lock, and one that overtook an
   * earlier one of its file could complete the file too soon.
   */
  function takeBatch(): Waiting[] {
    const batch: Waiting[] = []
    const rest: Waiting[] = []
    let bytes = 0
    for (const [index, waiting] of queue.entries()) {
      const isFull =
        batch.length === MAX_BATCH_UPDATES || (bytes > 0 && bytes + waiting.sizeBytes > MAX_BATCH_BYTES)
      if (isFull) {
        queue = rest.concat(queue.slice(index))
        return batch
      }
      if (inFlight.has(waiting.update.recordId)) {
        rest.push(waiting)
      } else {
        batch.push(waiting)
        bytes += waiting.sizeBytes
      }
    }
    queue = rest
    return batch
  }

  /** Never rejects. A batch that the database refuses is halved until the update at fault stands alone. */
  async function writeApart(batch: Waiting[]): Promise<void> {
    try {
      const outcomes = await apply(batch.map(({ update }) => update))
      for (const [index, { resolve }] of batch.entries()) resolve(outcomes[index]!)
    } catch (error) {
      if (error instanceof PartlyApplied) {
        for (const [index, { resolve, reject }] of batch.entries()) {
          const ending = error.endings[index]!
          if (ending instanceof Error) reject(ending)
          else resolve(ending)
        }
        return
      }
      if (batch.length === 1 || error instanceof PebblesError) {
        for (const { reject } of batch) reject(error)
        return
      }
      const middle = batch.length >> 1
      await writeApart(batch.slice(0, middle))
      await writeApart(batch.slice(middle))
    }
  }

  return {
    submit,
    get pending() {
      return pending
    },
    /** Takes nothing more and waits until what was taken is written. */
    async [Symbol.asyncDispose]() {
      isClosed = true
      if (pending > 0) await new Promise<void>((resolve) => (whenIdle = resolve))
    },
  }
}

/** Roughly what an update takes in memory. */
function sizeOf(update: Update): number {
  return 500 + issuesSize(update.errors) + issuesSize(update.warnings)
}

function issuesSize(issues: Issue[]): number {
  let bytes = 0
  for (const { message } of issues) bytes += 50 + message.length
  return bytes
}
