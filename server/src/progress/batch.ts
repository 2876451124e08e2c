import { applyUpdate, type Channel, type RecordState, type Totals, type Update } from './record.ts'
import type { Outcome, Refused } from './store.ts'

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
  isNew: boolean
  state: RecordState
}

export interface BatchResult {
  /** One per update, in order. */
  outcomes: Outcome[]
  applied: AppliedUpdate[]
  /** By the record's id. */
  changes: ReadonlyMap<string, RecordChange>
  /** Ids seen for the first time, with what became of them. */
  decided: Map<string, Decided & { update: Update }>
  /** Updates of queues and logs that were refused, for the audit. */
  refused: RefusedInBatch[]
}

export interface RefusedInBatch {
  update: Update
  result: Refused['result']
}

/** Channels whose sender hears of a refusal from nobody else. */
const UNHEARD: ReadonlySet<Channel> = new Set(['sqs', 'kafka'])

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
  const refused: RefusedInBatch[] = []
  const noteRefusal = (update: Update, outcome: Outcome) => {
    if (!('totals' in outcome) && !outcome.isReplay && UNHEARD.has(update.channel))
      refused.push({ update, result: outcome.result })
  }

  for (const update of updates) {
    const known = update.id && (decided.get(update.id.id) ?? earlier.get(update.id.id))
    if (known) {
      const outcome = replay(known, update)
      outcomes.push(outcome)
      noteRefusal(update, outcome)
      continue
    }
    const id = update.recordId
    const change = changes.get(id)
    const verdict = applyUpdate(change ? change.state : states.get(id), update)
    let outcome: Outcome
    if ('state' in verdict) {
      const { result, state } = verdict
      applied.push({ update, state })
      if (change) change.state = state
      else changes.set(id, { isNew: result === 'created', state })
      outcome = { result, recordId: id, totals: totalsOf(state), isReplay: false }
    } else {
      outcome = { result: verdict.result, isReplay: false }
      noteRefusal(update, outcome)
    }
    outcomes.push(outcome)
    // An overflow is a fault of the request, found late: like any other fault of one it leaves no trace.
    if (update.id && (outcome.result !== 'overflow' || update.id.kind === 'message')) {
      decided.set(update.id.id, { fingerprint: update.id.fingerprint, outcome, update })
    }
  }
  return { outcomes, applied, changes, decided, refused }
}

function replay(known: Decided, update: Update): Outcome {
  if (known.fingerprint !== update.id?.fingerprint) return { result: 'mismatch', isReplay: false }
  return { ...known.outcome, isReplay: true }
}

function totalsOf({ counts, total, isCompleted, errorsTotal, warningsTotal, sequence }: RecordState): Totals {
  return { counts, total, isCompleted, errorsTotal, warningsTotal, sequence }
}
