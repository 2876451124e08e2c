import { randomUUID } from 'node:crypto'
import type { UpdateFilter } from 'mongodb'
import { type BatchResult, type Decided, foldBatch, type RefusedInBatch } from '../batch.ts'
import type { RecordState, Update } from '../record.ts'
import type { Outcome } from '../store.ts'
import { cutIntoPieces } from './issues-mongo.ts'
import {
  type EventDocument,
  expiryOf,
  type IdDocument,
  type IssuePiece,
  type LastWrite,
  placeId,
  type RecordDocument,
  type RefusalDocument,
  toState,
  toTotals,
} from './mongo-documents.ts'

/** An update, with its place in the call that brought it. */
export interface Placed {
  update: Update
  place: number
}

/** What is to be done with some updates of one record. */
export interface Plan {
  recordId: string
  placed: Placed[]
  /** By place; undefined for what was taken from the log before. */
  outcomes: Map<number, Outcome | undefined>
  /** The one write that does it; without it there is nothing to be written. */
  write?: PlannedWrite
}

export interface PlannedWrite {
  last: LastWrite
  pieces: IssuePiece[]
  /** The record that does not exist yet, or else what changes of the one with this version. */
  change: { document: RecordDocument } | { of: RecordDocument; update: UpdateFilter<RecordDocument> }
}

export interface PlanInput {
  /** By record, in their order. */
  takes: ReadonlyMap<string, Placed[]>
  documents: ReadonlyMap<string, RecordDocument>
  earlier: ReadonlyMap<string, Decided>
  /** Key of the log that the updates come from. */
  source: string | undefined
  now: Date
}

/** Folds updates into the records as they were read, and says what is to be written; pure but for the writes' names. */
export function planWrites({ takes, documents, earlier, source, now }: PlanInput): Plan[] {
  const isNew = ({ update }: Placed) =>
    !(offsetAfter(documents.get(update.recordId), source) > (update.offset ?? 0))
  const fresh = [...takes.values()].flat().filter(isNew)
  const states = new Map([...documents].map(([id, document]) => [id, toState(document)]))
  const result = foldBatch(
    fresh.map(({ update }) => update),
    states,
    earlier,
  )
  const outcomes = new Map(fresh.map(({ place }, index) => [place, result.outcomes[index]!]))
  const applied = Map.groupBy(result.applied, ({ state }) => state.id)
  const refused = Map.groupBy(result.refused, ({ update }) => update.recordId)
  const decided = Map.groupBy(result.decided, ([, { update }]) => update.recordId)
  return [...takes].map(([recordId, placed]) => {
    const plan: Plan = {
      recordId,
      placed,
      outcomes: new Map(placed.map(({ place }) => [place, outcomes.get(place)])),
    }
    const write = planWrite(plan, {
      document: documents.get(recordId),
      applied: applied.get(recordId) ?? [],
      decided: decided.get(recordId) ?? [],
      refused: refused.get(recordId) ?? [],
      source,
      now,
    })
    return write ? { ...plan, write } : plan
  })
}

const offsetAfter = (document: RecordDocument | undefined, source: string | undefined) =>
  (source !== undefined && document?.offsets?.[source]) || 0

interface Changes {
  document: RecordDocument | undefined
  applied: BatchResult['applied']
  decided: [string, Decided & { update: Update }][]
  refused: RefusedInBatch[]
  source: string | undefined
  now: Date
}

function planWrite(
  plan: Plan,
  { document, applied, decided, refused, source, now }: Changes,
): PlannedWrite | undefined {
  const { recordId } = plan
  const write = randomUUID()
  const next = offsetAfterPlan(plan, source)
  const isMoved = next !== undefined && document !== undefined && next > offsetAfter(document, source)
  if (applied.length === 0 && decided.length === 0 && refused.length === 0 && !isMoved) return undefined
  const state = applied.at(-1)?.state
  // There is no record, and nobody who could read what was refused of it.
  if (!document && !state) return undefined
  const before = document?.refused ?? 0
  const refusals = refused.map((some, place) => toRefusalDocument(some, before + place + 1, write, now))
  const pieces = cutIntoPieces(recordId, write, applied, now)
  const last: LastWrite = {
    write,
    events: applied.map(({ update, state: after }) => toEventDocument(update, after, write, now)),
    ids: decided.map((entry) => toIdDocument(entry, now)),
    refusals,
    pieces: pieces.length,
  }
  if (!document) {
    const { clientKrn, filename, email } = applied[0]!.update
    const offsets = next === undefined ? {} : { offsets: { [source!]: next } }
    const created = { clientKrn, filename, email, ...toTotals(state!), createdAt: now, updatedAt: now }
    return {
      last,
      pieces,
      change: {
        document: { _id: recordId, ...created, version: 1, refused: refusals.length, ...offsets, last },
      },
    }
  }
  const moved = state && {
    ...toTotals(state),
    updatedAt: now > document.updatedAt ? now : document.updatedAt,
  }
  const update = {
    $set: {
      ...moved,
      ...(isMoved && { [`offsets.${source}`]: next }),
      refused: before + refusals.length,
      version: document.version + 1,
      last,
    },
  }
  return { last, pieces, change: { of: document, update } }
}

/** A copy of an import's events that is refused stays to be done, under another name. */
function offsetAfterPlan({ placed, outcomes }: Plan, source: string | undefined): number | undefined {
  if (source === undefined) return undefined
  const isOpen = ({ update, place }: Placed) => {
    const outcome = outcomes.get(place)
    return outcome !== undefined && !('totals' in outcome) && update.channel === 'import'
  }
  const last = placed.findLast((some) => !isOpen(some))
  return last && last.update.offset! + 1
}

const nameOf = ({ id, place }: Update) => id?.key ?? place ?? null

function toRefusalDocument(
  { update, result }: RefusedInBatch,
  ordinal: number,
  write: string,
  at: Date,
): RefusalDocument {
  const { channel, email, counts } = update
  const _id = placeId(update.recordId, ordinal)
  return { _id, write, ordinal, at, channel, updateId: nameOf(update), email, result, counts }
}

function toEventDocument(update: Update, after: RecordState, write: string, at: Date): EventDocument {
  return {
    _id: placeId(after.id, after.sequence),
    write,
    sequence: after.sequence,
    at,
    channel: update.channel,
    updateId: nameOf(update),
    counts: update.counts,
    errors: update.errors.length,
    warnings: update.warnings.length,
    total: after.total,
    isLast: after.isCompleted,
    countsAfter: after.counts,
  }
}

function toIdDocument(
  [_id, { fingerprint, outcome, update }]: Changes['decided'][number],
  now: Date,
): IdDocument {
  const totals = 'totals' in outcome ? { totals: outcome.totals } : {}
  const expiresAt = expiryOf(update.id!.kind, now)
  return { _id, fingerprint, recordId: update.recordId, result: outcome.result, ...totals, expiresAt }
}
