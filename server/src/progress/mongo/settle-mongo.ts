import type { AnyBulkWriteOperation } from 'mongodb'
import { duplicatesOf } from '../../platform/mongo/connection.ts'
import type { Collections, IdDocument, LastWrite } from './mongo-documents.ts'

/** Remembers of so many records that their last write is copied; of others it is copied once more, without harm. */
const REMEMBERED = 20_000

export interface Settler {
  /**
   * Copies what these writes did to the collections where it stays: events, refusals, ids; and makes their issues
   * visible. Each copy has an id of its own, so it may be made any number of times, by anybody.
   */
  settle(writes: ReadonlyMap<string, LastWrite>): Promise<void>
}

export function createSettler(collections: Collections): Settler {
  /** Write, by record. */
  const copied = new Map<string, string>()

  async function settle(writes: ReadonlyMap<string, LastWrite>): Promise<void> {
    const open = [...writes].filter(([recordId, { write }]) => copied.get(recordId) !== write)
    if (open.length === 0) return
    await copy(
      collections,
      open.map(([, last]) => last),
    )
    for (const [recordId, { write }] of open) remember(recordId, write)
  }

  function remember(recordId: string, write: string): void {
    copied.delete(recordId)
    copied.set(recordId, write)
    if (copied.size > REMEMBERED) copied.delete(copied.keys().next().value!)
  }

  return { settle }
}

async function copy({ events, refusals, ids, issues }: Collections, writes: LastWrite[]): Promise<void> {
  const newEvents = writes.flatMap((last) => last.events)
  const newRefusals = writes.flatMap((last) => last.refusals)
  const decided = writes.flatMap((last) => last.ids)
  const pieces = writes.flatMap(pieceIds)
  await Promise.all([
    newEvents.length > 0 && duplicatesOf(events.insertMany(newEvents, { ordered: false })),
    newRefusals.length > 0 && duplicatesOf(refusals.insertMany(newRefusals, { ordered: false })),
    decided.length > 0 && duplicatesOf(ids.bulkWrite(decided.map(decide), { ordered: false })),
    pieces.length > 0 && issues.updateMany({ _id: { $in: pieces } }, { $set: { isVisible: true } }),
  ])
}

/** Only where it is claimed for this record, or not at all: of what another record has it meets the unique index. */
function decide({ _id, ...decision }: IdDocument): AnyBulkWriteOperation<IdDocument> {
  const filter = { _id, recordId: decision.recordId! }
  return { updateOne: { filter, update: { $set: decision }, upsert: true } }
}

export const pieceId = (write: string, index: number): string => `${write}:${index}`

export function pieceIds({ write, pieces }: LastWrite): string[] {
  return Array.from({ length: pieces }, (_, index) => pieceId(write, index))
}
