import { applyUpdate, type RecordState, type Update } from './record.ts'
import type { Applied, Outcome } from './store.ts'

/** An id that was decided in an earlier batch. */
export interface Decided {
  fingerprint: string
  outcome: Outcome
}

/** An update that counted, and the totals right after it. */
export interface AppliedUpdate {
  update: Update
  state: RecordState
}

/** A record whose totals moved, with the totals at the end of the batch. */
export interface RecordChange {
  clientKrn: string
  filename: string
  isNew: boolean
  state: RecordState
}

export interface BatchResult {
  /** One per update, in order. */
  outcomes: Outcome[]
  applied: AppliedUpdate[]
  changes: Iterable<RecordChange>
  /** Ids seen for the first time, with what became of them. */
  decided: Map<string, Decided & { update: Update }>
}

/**
 * Folds a batch of updates into records: pure, so that how updates are cut into batches never changes a number.
 *
 * @param states   the records as they are, by id
 * @param earlier  ids of updates that were decided before this batch
 */
export function foldBatch(
  updates: readonly Update[],
  states: ReadonlyMap<string, RecordState>,
  earlier: ReadonlyMap<string, Decided>,
): BatchResult {
  const outcomes: Outcome[] = []
  const applied: AppliedUpdate[] = []
  const changes = new Map<string, RecordChange>()
  const decided: BatchResult['decided'] = new Map()

  for (const update of updates) {
    const known = update.id && (decided.get(update.id.id) ?? earlier.get(update.id.id))
    if (known) {
      outcomes.push(replay(known, update))
      continue
    }
    const id = update.recordId
    const verdict = applyUpdate(changes.get(id)?.state ?? states.get(id), update)
    const outcome: Outcome =
      'state' in verdict
        ? appliedOutcome(verdict.result, verdict.state)
        : { result: verdict.result, isReplay: false }
    if ('state' in verdict) {
      applied.push({ update, state: verdict.state })
      const { clientKrn, filename } = update
      changes.set(id, { clientKrn, filename, isNew: !states.has(id), state: verdict.state })
    }
    outcomes.push(outcome)
    // An overflow is a fault of the request, found late: like any other fault it leaves no trace.
    if (update.id && outcome.result !== 'overflow') {
      decided.set(update.id.id, { fingerprint: update.id.fingerprint, outcome, update })
    }
  }
  return { outcomes, applied, changes: changes.values(), decided }
}

function replay(known: Decided, update: Update): Outcome {
  if (known.fingerprint !== update.id?.fingerprint) return { result: 'mismatch', isReplay: false }
  return { ...known.outcome, isReplay: true }
}

function appliedOutcome(result: Applied['result'], state: RecordState): Applied {
  const { id, email: _, ...totals } = state
  return { result, recordId: id, totals, isReplay: false }
}
