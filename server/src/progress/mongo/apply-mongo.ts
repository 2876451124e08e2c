import type { AnyBulkWriteOperation } from 'mongodb'
import { PebblesError } from '../../platform/errors.ts'
import { duplicatesOf, isMongoTransient, mongoAway } from '../../platform/mongo/connection.ts'
import { backOff } from '../../platform/wait.ts'
import type { Decided } from '../batch.ts'
import type { Outcome } from '../store.ts'
import { ClaimUnseen, claimIds, releaseIds } from './claims-mongo.ts'
import { learnWhatHappened, type Work } from './doubt-mongo.ts'
import { insertPieces } from './issues-mongo.ts'
import { type Collections, type LastWrite, type RecordDocument, storedOutcome } from './mongo-documents.ts'
import { type Placed, type Plan, type PlannedWrite, planWrites } from './plan-mongo.ts'
import type { Settler } from './settle-mongo.ts'

/** How it ended for one update; undefined when it was taken from its log before. */
export type Ending = Outcome | Error | undefined

/** Updates of one record in one write, which bounds what a record holds of its last write. */
const MAX_TAKEN = 250
const MAX_RECORDS = 500
/** How long the database may be away. */
const RETRY_FOR_MS = 10_000
/** How long others may be quicker, each time: somebody gets on, so that the database is not away. */
const OVERTAKEN_FOR_MS = 60_000

/**
 * The write path of the ledger on MongoDB. What is atomic there is one document, so each record is written by itself:
 *
 *   1. read the records
 *   2. claim the updates' ids · copy what the records hold of their last writes
 *   3. write the new issues, which nobody sees yet
 *   4. write the records, each only if its version is still the one that was read
 *   5. copy what they hold of this write
 *
 * **Why no update is applied twice.** A record holds, since its last write, the ids that were decided by it, and the
 * offset that follows in each log. Before they are replaced by those of the next write they are copied (2), so of an
 * id that was decided for a record either the record tells or, when it is asked afterwards, the collection of ids.
 * Whoever decides on older knowledge names an older version, and writes nothing (4). A new record's id is unique.
 * One id sent for two files belongs to the one that claimed it (2).
 *
 * **What a crash leaves.** After 2: claims, on which the same update goes on, and no other. After 3: issues that stay
 * unseen and are swept. After 4: a record that holds what is not copied; reads look there, and the next write copies
 * it first. Copies have ids of their own, so it does not matter how often they are made. Records of one batch that
 * were not written come again with their ids or offsets, and those that were written know it.
 *
 * **When an answer is lost**, or fewer records matched than were sent, each is read again. It holds the name of our
 * write, then that happened. It has moved on, then our write happened if its event or its refusal was copied, and
 * else never will. It has not moved, then our write may still be on its way: it stays in mind, and since both name the
 * same version only one of it and the next attempt can happen.
 */
export function createApplier(collections: Collections, settler: Settler) {
  const { progress, issues, ids } = collections

  /** @param source key of the log that the updates come from, with their offsets */
  async function applyAll(updates: readonly Placed['update'][], source?: string): Promise<Ending[]> {
    const endings: Ending[] = updates.map(() => undefined)
    const placed = updates.map((update, place): Placed => ({ update, place }))
    const works = [...Map.groupBy(placed, ({ update }) => update.recordId)]
    const end = (plan: Plan) => {
      for (const [place, outcome] of plan.outcomes) endings[place] = outcome
    }
    for (let start = 0; start < works.length; start += MAX_RECORDS) {
      const some = works.slice(start, start + MAX_RECORDS)
      await finish(some.map(([recordId, rest]): Work => ({ recordId, rest, sent: [] })))
    }
    return endings

    /** Never rejects. A batch at which the database takes offence is halved until the record at fault stands alone. */
    async function finish(works: Work[]): Promise<void> {
      let sinceMs = Date.now()
      let open = works
      for (let failures = 0; ; ) {
        const before = countOf(open)
        let fault: unknown
        try {
          await attempt(open, source, end)
        } catch (error) {
          fault = error
        }
        open = open.filter(({ rest }) => rest.length > 0)
        if (open.length === 0) return
        const retryForMs = fault === undefined ? OVERTAKEN_FOR_MS : RETRY_FOR_MS
        const isPassing = fault === undefined || fault instanceof ClaimUnseen || isMongoTransient(fault)
        if (countOf(open) < before) {
          failures = 0
          sinceMs = Date.now()
        } else if (!isPassing && open.length > 1) {
          await finish(open.slice(0, open.length >> 1))
          return finish(open.slice(open.length >> 1))
        } else if (!isPassing || Date.now() - sinceMs > retryForMs) {
          return giveUp(open, isPassing ? mongoAway(fault) : fault)
        }
        await backOff(failures++, { stepMs: 1, maxMs: 300 })
      }
    }

    function giveUp(open: Work[], cause: unknown): void {
      for (const { rest, sent } of open) {
        const error = sent.length > 0 ? inDoubt(cause) : (cause as Error)
        for (const { place } of rest) endings[place] = error
      }
    }
  }

  /** Takes from the works what is done. What it throws may have happened after some of it. */
  async function attempt(
    works: Work[],
    source: string | undefined,
    end: (plan: Plan) => void,
  ): Promise<void> {
    const found = await progress.find({ _id: { $in: works.map(({ recordId }) => recordId) } }).toArray()
    const documents = new Map(found.map((document) => [document._id, document]))
    const close = (work: Work, plan: Plan) => {
      end(plan)
      work.rest = work.rest.slice(plan.placed.length)
      work.sent = []
    }
    await learnWhatHappened(collections, works, documents, close)
    const open = new Map(works.filter(({ rest }) => rest.length > 0).map((work) => [work.recordId, work]))
    const takes = new Map([...open].map(([id, { rest }]) => [id, rest.slice(0, MAX_TAKEN)]))
    const taken = [...takes.values()].flat().map(({ update }) => update)
    const lastWrites = new Map(found.filter(({ _id }) => open.has(_id)).map(({ _id, last }) => [_id, last]))
    const [claimed] = await Promise.all([claimIds(ids, taken), settler.settle(lastWrites)])
    const earlier = new Map([...claimed, ...[...lastWrites.values()].flatMap(decidedBy)])

    const plans = planWrites({ takes, documents, earlier, source, now: new Date() })
    await releaseIds(ids, plans.flatMap(overflown))
    const writes = plans.filter(hasWrite)
    await insertPieces(
      issues,
      writes.flatMap(({ write }) => write.pieces),
    )
    for (const plan of plans) {
      const work = open.get(plan.recordId)!
      if (!hasWrite(plan)) close(work, plan)
      else
        work.sent.push({
          last: plan.write.last,
          readVersion: documents.get(plan.recordId)?.version ?? 0,
          plan,
        })
    }
    await writeRecords(writes, (plan) => close(open.get(plan.recordId)!, plan))
  }

  async function writeRecords(plans: WritingPlan[], written: (plan: Plan) => void): Promise<void> {
    const created = plans.flatMap((plan) =>
      'document' in plan.write.change ? [[plan, plan.write.change.document] as const] : [],
    )
    const changed = plans.flatMap((plan) =>
      'of' in plan.write.change ? [[plan, plan.write.change] as const] : [],
    )
    const done: WritingPlan[] = []

    async function create(): Promise<void> {
      if (created.length === 0) return
      const documents = created.map(([, document]) => document)
      const there = new Set(await duplicatesOf(progress.insertMany(documents, { ordered: false })))
      done.push(...created.filter((_, place) => !there.has(place)).map(([plan]) => plan))
    }

    async function change(): Promise<void> {
      if (changed.length === 0) return
      const updates = changed.map(([, change]) => guarded(change))
      const { matchedCount } = await progress.bulkWrite(updates, { ordered: false })
      // Which ones did not match, no server tells: they are all read again.
      if (matchedCount === changed.length) done.push(...changed.map(([plan]) => plan))
    }

    const results = await Promise.allSettled([create(), change()])
    for (const plan of done) written(plan)
    // What is written is written: where the copy fails, the next writer makes it.
    await settler.settle(new Map(done.map(({ recordId, write }) => [recordId, write.last]))).catch(() => {})
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }

  return { applyAll }
}

const countOf = (works: Work[]) => works.reduce((sum, { rest }) => sum + rest.length, 0)

type WritingPlan = Plan & { write: PlannedWrite }
const hasWrite = (plan: Plan): plan is WritingPlan => plan.write !== undefined

/** With the fields of the shard key, so that the write goes to one shard. */
function guarded({
  of,
  update,
}: Extract<PlannedWrite['change'], { of: unknown }>): AnyBulkWriteOperation<RecordDocument> {
  const { _id, clientKrn, filename, version } = of
  return { updateOne: { filter: { _id, clientKrn, filename, version }, update } }
}

const decidedBy = ({ ids }: LastWrite): [string, Decided][] =>
  ids.map((id) => [id._id, { fingerprint: id.fingerprint, outcome: storedOutcome(id)! }])

/** Such a request is at fault, and may be sent again in another form; a message stays refused. */
const overflown = ({ placed, outcomes }: Plan) =>
  placed.flatMap(({ update, place }) =>
    outcomes.get(place)?.result === 'overflow' && update.id?.kind === 'request' ? [update] : [],
  )

/** Never a raw error: that would make the ledger apply the batch again, and it may have been applied. */
const inDoubt = (cause: unknown) =>
  new PebblesError(
    'unavailable',
    'The database went away while the update was written. With an Idempotency-Key it can be sent again safely.',
    { retryAfterSeconds: 2, cause },
  )
