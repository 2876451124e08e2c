import { duplicatesOf } from '../../platform/mongo/connection.ts'
import type { Decided } from '../batch.ts'
import type { Update } from '../record.ts'
import { type Collections, expiryOf, type IdDocument, storedOutcome } from './mongo-documents.ts'

/**
 * Claims the ids of these updates for their records, so that one id sent for two files counts in one of them, and tells
 * what was decided for those that are there already. A claim by itself decides nothing: whoever comes again with the
 * same update goes on with it.
 *
 * The records must have been read before: what they no longer hold of their last writes stands here by then.
 */
export async function claimIds(
  ids: Collections['ids'],
  updates: readonly Update[],
): Promise<Map<string, Decided>> {
  const now = new Date()
  const claims = new Map<string, IdDocument>()
  for (const { id, recordId } of updates) {
    if (!id || claims.has(id.id)) continue
    const { fingerprint } = id
    claims.set(id.id, { _id: id.id, fingerprint, recordId, expiresAt: expiryOf(id.kind, now) })
  }
  const earlier = new Map<string, Decided>()
  if (claims.size === 0) return earlier
  const wanted = [...claims.values()]
  const places = await duplicatesOf(ids.insertMany(wanted, { ordered: false }))
  if (places.length === 0) return earlier
  const found = await ids.find({ _id: { $in: places.map((place) => wanted[place]!._id) } }).toArray()
  for (const there of found) {
    const decided = decidedFor(claims.get(there._id)!, there)
    if (decided) earlier.set(there._id, decided)
  }
  // Not to be seen although it is there: a majority does not have it yet.
  if (found.length < places.length) throw new ClaimUnseen()
  return earlier
}

/** Somebody claimed an id this instant; the same attempt may be made again. */
export class ClaimUnseen extends Error {}

function decidedFor(claim: IdDocument, there: IdDocument): Decided | undefined {
  const isSame = there.fingerprint === claim.fingerprint && there.recordId === claim.recordId
  // No fingerprint is empty: a mismatch for whoever asks.
  if (!isSame) return { fingerprint: '', outcome: { result: 'forbidden', isReplay: false } }
  const outcome = storedOutcome(there)
  return outcome && { fingerprint: there.fingerprint, outcome }
}

/**
 * Gives claims back that nothing came of, because the update turned out to be at fault.
 * Not those that were decided meanwhile.
 */
export async function releaseIds(ids: Collections['ids'], updates: readonly Update[]): Promise<void> {
  const claims = updates.flatMap(({ id, recordId }) =>
    id ? [{ _id: id.id, fingerprint: id.fingerprint, recordId, result: { $exists: false } }] : [],
  )
  if (claims.length > 0) await ids.deleteMany({ $or: claims })
}

/** Binds an id to a fingerprint; false when it is bound to another one already. */
export async function bindId(ids: Collections['ids'], id: string, fingerprint: string): Promise<boolean> {
  const expiresAt = expiryOf('request', new Date())
  for (;;) {
    const bound: IdDocument = { _id: id, fingerprint, result: 'bound', expiresAt }
    const there = await duplicatesOf(ids.insertMany([bound], { ordered: false }))
    if (there.length === 0) return true
    const found = await ids.findOne({ _id: id })
    if (found) return found.fingerprint === fingerprint
  }
}
