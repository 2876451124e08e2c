import type { Filter } from 'mongodb'
import {
  isDuplicate,
  isMongoTransient,
  type MongoDatabase,
  mongoAway,
} from '../../platform/mongo/connection.ts'
import { recordIdOf, type Update } from '../record.ts'
import {
  type LogBatch,
  type LoggedUpdate,
  type LogOutcome,
  type LogSource,
  type Outcome,
  PartlyApplied,
  type RecordCursor,
  type RecordFilter,
  type RecordStore,
} from '../store.ts'
import { createApplier, type Ending } from './apply-mongo.ts'
import { bindId } from './claims-mongo.ts'
import { readIssues, sweepIssues } from './issues-mongo.ts'
import {
  type Collections,
  type EventDocument,
  openCollections,
  placeId,
  type RecordDocument,
  type RefusalDocument,
  sourceKey,
  toEvent,
  toRecord,
  toRefusal,
} from './mongo-documents.ts'
import { createSettler } from './settle-mongo.ts'

export interface MongoStore extends RecordStore {
  /** Applies updates of one log or outbox by their offsets, each once; undefined for those that were applied before. */
  applyNumbered(source: string, updates: readonly LoggedUpdate[]): Promise<(Outcome | undefined)[]>
  /** Clears up after processes that died while they wrote issues; to be called now and then. */
  sweep(): Promise<void>
}

/**
 * The record store on MongoDB, with the collections and indexes of `mongo-documents.ts`, which it makes when missing.
 *
 * @throws PebblesError `unavailable` when the server is away, `misconfigured` when another program keeps records there
 */
export async function openMongoStore({ db }: Pick<MongoDatabase, 'db'>): Promise<MongoStore> {
  const collections = await orAway(() => openCollections(db))
  return createMongoStore(collections)
}

function createMongoStore(collections: Collections): MongoStore {
  const { progress, positions } = collections
  const settler = createSettler(collections)
  const { applyAll } = createApplier(collections, settler)

  async function apply(updates: readonly Update[]): Promise<Outcome[]> {
    const endings = await applyAll(updates)
    if (endings.every(isOutcome)) return endings
    if (!endings.some(isOutcome)) throw endings[0]
    throw new PartlyApplied(endings as (Outcome | Error)[])
  }

  async function applyNumbered(source: string, updates: readonly LoggedUpdate[]) {
    const endings = await applyAll(updates, source)
    return endings.map((ending) => {
      if (ending instanceof Error) throw ending
      return ending
    })
  }

  async function applyFrom({ source, from, next, updates }: LogBatch): Promise<LogOutcome> {
    const outcomes = updates.map((): Outcome | undefined => undefined)
    const begun = await movePosition(source, from)
    if (begun < from || begun >= next) return { position: begun, outcomes }
    const places = updates.flatMap(({ offset }, place) => (offset >= begun ? [place] : []))
    // The position stays until all of it is written. What is written by then is known by the records' own offsets.
    const applied = await applyNumbered(
      sourceKey(source),
      places.map((place) => updates[place]!),
    )
    for (const [index, place] of places.entries()) outcomes[place] = applied[index]
    return { position: await movePosition(source, from, next), outcomes }
  }

  /**
   * The position of a source, after moving it to `next`: never back. Of readers that begin at different places the
   * first one's `from` is where the source begins.
   */
  async function movePosition(source: LogSource, from: number, next?: number): Promise<number> {
    const move = next === undefined ? { $setOnInsert: { next: from, ...source } } : { $max: { next } }
    const options = { upsert: next === undefined, returnDocument: 'after' } as const
    const once = () => positions.findOneAndUpdate({ _id: sourceKey(source) }, move, options)
    // Two readers that begin at the same instant: the second one finds it there.
    const moved = await orAway(() =>
      once().catch((error) => (isDuplicate(error) ? once() : Promise.reject(error))),
    )
    return moved!.next
  }

  async function position(source: LogSource): Promise<number | undefined> {
    return (await orAway(() => positions.findOne({ _id: sourceKey(source) })))?.next
  }

  async function list(filter: RecordFilter, page: { limit: number; after?: RecordCursor | undefined }) {
    const { clientKrn, filename, email } = filter
    if (filename !== undefined) {
      const found = await byIds([recordIdOf(clientKrn, filename)])
      return found.filter((record) => email === undefined || record.email === email)
    }
    const wanted: Filter<RecordDocument> = { clientKrn, ...(email !== undefined && { email }) }
    if (page.after) {
      const at = new Date(page.after.updatedAtMs)
      wanted.updatedAt = { $lte: at }
      wanted.$or = [{ updatedAt: { $lt: at } }, { _id: { $lt: page.after.id } }]
    }
    const newest = { updatedAt: -1, _id: -1 } as const
    return (await orAway(() => records(wanted).sort(newest).limit(page.limit).toArray())).map(toRecord)
  }

  const byIds = async (ids: string[]) =>
    (await orAway(() => records({ _id: { $in: ids } }).toArray())).map(toRecord)

  /** Without what they hold of their last writes, which may be much. */
  const records = (filter: Filter<RecordDocument>) =>
    progress.find(filter, { projection: { last: 0, offsets: 0 } })

  /**
   * Events or refusals of a record by their places. The record is read first: all up to its own count are in what it
   * holds of its last write, or were copied before.
   */
  async function readPlaces<T extends EventDocument | RefusalDocument>(
    kind: 'events' | 'refusals',
    recordId: string,
    page: { limit: number; after: number },
    countOf: (record: RecordDocument) => number,
  ): Promise<T[]> {
    return orAway(async () => {
      const record = await progress.findOne({ _id: recordId })
      if (!record) return []
      const range = { $gt: placeId(recordId, page.after), $lte: placeId(recordId, countOf(record)) }
      const places = (collections[kind] as Collections['events']).find({ _id: range }).sort({ _id: 1 })
      const copied = (await places.limit(page.limit).toArray()) as unknown as T[]
      const held = (record.last[kind] as T[]).filter(({ _id }) => _id > range.$gt)
      // Both have those of a copy that is being made.
      const all = new Map([...copied, ...held].map((row) => [row._id, row]))
      return [...all.values()].sort((a, b) => (a._id < b._id ? -1 : 1)).slice(0, page.limit)
    })
  }

  return {
    apply,
    applyFrom,
    applyNumbered,
    position,
    list,
    byIds,
    issues: (windows) => orAway(() => readIssues(collections, windows)),
    async events(recordId, page) {
      return (await readPlaces<EventDocument>('events', recordId, page, ({ sequence }) => sequence)).map(
        toEvent,
      )
    },
    async refusals(recordId, page) {
      return (await readPlaces<RefusalDocument>('refusals', recordId, page, ({ refused }) => refused)).map(
        toRefusal,
      )
    },
    bindKey: ({ id, fingerprint }) => orAway(() => bindId(collections.ids, id, fingerprint)),
    sweep: () => orAway(() => sweepIssues(collections, settler, new Date())),
  }
}

const isOutcome = (ending: Ending): ending is Outcome => ending !== undefined && !(ending instanceof Error)

/** Reads, and what may be repeated: the driver has tried it twice by itself. */
async function orAway<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw isMongoTransient(error) ? mongoAway(error) : error
  }
}
