import type { Collection, Db } from 'mongodb'
import { digest } from '../../platform/digest.ts'
import { PebblesError } from '../../platform/errors.ts'
import { ID_TABLES } from '../postgres/ids-postgres.ts'
import type { Counts, IdKind, Issue, IssueKind, RecordState, Totals } from '../record.ts'
import type { LogSource, Outcome, ProgressEvent, ProgressRecord, RefusedUpdate } from '../store.ts'

/** One record. Its id is our record id, which client and filename make. */
export interface RecordDocument extends Totals {
  _id: string
  clientKrn: string
  filename: string
  email: string
  createdAt: Date
  updatedAt: Date
  /** Moves with every write; each write names the one that it has read. */
  version: number
  /** Refused updates of queues and logs so far. */
  refused: number
  /** Offset after the last update taken from a log, by the key of its source. */
  offsets?: Record<string, number>
  /** What the last write did. Before the next one it is copied to where it stays. */
  last: LastWrite
}

/** Bounded by the number of updates that one write takes. */
export interface LastWrite {
  /** Tells this write from all others. */
  write: string
  events: EventDocument[]
  ids: IdDocument[]
  refusals: RefusalDocument[]
  /** Pieces of issues in the collection of issues. */
  pieces: number
}

/** An audit event; its id is record and sequence, in an order that is also that of texts. */
export interface EventDocument extends ProgressEvent {
  _id: string
  write: string
}

export interface RefusalDocument extends RefusedUpdate {
  _id: string
  write: string
}

/** An update's id. Without `result` it is only claimed for its record: not decided, as far as this tells. */
export interface IdDocument {
  _id: string
  fingerprint: string
  recordId?: string
  result?: Outcome['result'] | 'bound'
  totals?: Totals
  expiresAt: Date
}

/** Issues of one kind with the ordinals `from` to `to`. Until `isVisible` they count only if the record's last write is theirs. */
export interface IssuePiece {
  _id: string
  write: string
  recordId: string
  kind: IssueKind
  from: number
  to: number
  issues: Issue[]
  isVisible: boolean
  at: Date
}

export interface PositionDocument extends LogSource {
  _id: string
  next: number
}

export interface Collections {
  progress: Collection<RecordDocument>
  events: Collection<EventDocument>
  refusals: Collection<RefusalDocument>
  issues: Collection<IssuePiece>
  ids: Collection<IdDocument>
  positions: Collection<PositionDocument>
}

/**
 * The collections of the ledger, with their indexes. Safe to be called by many processes at once.
 *
 * @throws PebblesError `misconfigured` when another program keeps its records there
 */
export async function openCollections(db: Db): Promise<Collections> {
  const collections: Collections = {
    progress: db.collection('progress'),
    events: db.collection('events'),
    refusals: db.collection('refusals'),
    issues: db.collection('issues'),
    ids: db.collection('applied_ids'),
    positions: db.collection('positions'),
  }
  const { progress, issues, ids } = collections
  // Such as those of the Pebbles before this one, whose ids are made by MongoDB. They would be listed, and could not be
  // written: the unique index has their file already.
  const others = await db.collection('progress').findOne({ _id: { $type: 'objectId' } })
  if (others !== null) {
    const message =
      'names a database whose collection progress holds records of another program; take a new one'
    throw new PebblesError('misconfigured', `MONGO_URI: ${message}`, {
      faults: [{ field: 'MONGO_URI', message }],
    })
  }
  await progress.createIndex({ clientKrn: 1, filename: 1, email: 1 }, { unique: true })
  await progress.createIndex({ clientKrn: 1, email: 1 })
  await progress.createIndex({ clientKrn: 1 })
  await progress.createIndex({ clientKrn: 1, updatedAt: -1, _id: -1 })
  await progress.createIndex({ clientKrn: 1, email: 1, updatedAt: -1, _id: -1 })
  await issues.createIndex({ recordId: 1, kind: 1, to: 1 })
  await issues.createIndex({ at: 1 }, { partialFilterExpression: { isVisible: false } })
  await ids.createIndex({ expiresAt: 1 }, { expireAfterSeconds: 0 })
  return collections
}

const DAY_MS = 86_400_000

/** An id is remembered for as long as on PostgreSQL. */
export const expiryOf = (kind: IdKind, now: Date): Date =>
  new Date(now.getTime() + ID_TABLES[kind].keptDays * DAY_MS)

/** A place within a record, as an id whose order is that of the places. */
export const placeId = (recordId: string, place: number): string =>
  `${recordId}:${String(place).padStart(16, '0')}`

export const sourceKey = ({ cluster, topicId, partition, group }: LogSource): string =>
  digest('log', cluster, topicId, String(partition), group)

export function toState(document: RecordDocument): RecordState {
  return { id: document._id, email: document.email, ...toTotals(document) }
}

export function toTotals(from: Totals): Totals {
  const { counts, total, isCompleted, errorsTotal, warningsTotal, sequence } = from
  return { counts: toCounts(counts), total, isCompleted, errorsTotal, warningsTotal, sequence }
}

const toCounts = ({ done, warn, failed }: Counts): Counts => ({ done, warn, failed })

export function toRecord(document: RecordDocument): ProgressRecord {
  const { clientKrn, filename, createdAt, updatedAt } = document
  return { ...toState(document), clientKrn, filename, createdAt, updatedAt }
}

export function toEvent({ _id, write: _, ...event }: EventDocument): ProgressEvent {
  return event
}

export function toRefusal({ _id, write: _, ...refusal }: RefusalDocument): RefusedUpdate {
  return refusal
}

/** What was decided for an id; undefined while it is only claimed. */
export function storedOutcome({ result, recordId, totals }: IdDocument): Outcome | undefined {
  if (result === undefined || result === 'bound') return undefined
  if (result === 'created' || result === 'updated')
    return { result, recordId: recordId!, totals: toTotals(totals!), isReplay: false }
  return { result, isReplay: false }
}
