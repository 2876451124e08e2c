import { dropPieces } from './issues-mongo.ts'
import type { Collections, LastWrite, RecordDocument } from './mongo-documents.ts'
import type { Placed, Plan } from './plan-mongo.ts'

/** What is still to be done for one record, and what was sent of it without knowing its end. */
export interface Work {
  recordId: string
  rest: Placed[]
  sent: SentWrite[]
}

export interface SentWrite {
  last: LastWrite
  /** Of the record as it was read; 0 when there was none. */
  readVersion: number
  plan: Plan
}

/**
 * Of what was sent and has no answer: is it in the record, can it still come, or is its place taken?
 *
 * @param documents the records, read after that was sent
 * @param close     is told of each work whose write happened
 */
export async function learnWhatHappened(
  collections: Collections,
  works: readonly Work[],
  documents: ReadonlyMap<string, RecordDocument>,
  close: (work: Work, plan: Plan) => void,
): Promise<void> {
  const overtaken: [Work, SentWrite][] = []
  for (const work of works) {
    const document = documents.get(work.recordId)
    for (const sent of work.sent) {
      if (document?.last.write === sent.last.write) close(work, sent.plan)
      else if ((document?.version ?? 0) > sent.readVersion) overtaken.push([work, sent])
    }
  }
  if (overtaken.length === 0) return
  const copied = await findCopied(
    collections,
    overtaken.map(([, { last }]) => last),
  )
  // Since it was overtaken it happened before that, or never.
  const [happened, gone] = [true, false].map((is) =>
    overtaken.filter(([, { last }]) => copied.has(last.write) === is),
  )
  for (const [work, { plan }] of happened!) close(work, plan)
  for (const [work, sent] of gone!) work.sent = work.sent.filter((other) => other !== sent)
  await dropPieces(
    collections.issues,
    gone!.map(([, { last }]) => last),
  )
}

/**
 * The names of those writes whose first event or refusal was copied. One that has neither cannot be told: then its
 * updates have ids or offsets, and are known by these.
 */
async function findCopied({ events, refusals }: Collections, writes: LastWrite[]): Promise<Set<string>> {
  const [applied, refused] = await Promise.all([
    findNames(
      events,
      writes.flatMap((last) => last.events.slice(0, 1)),
    ),
    findNames(
      refusals,
      writes.flatMap((last) => last.refusals.slice(0, 1)),
    ),
  ])
  return new Set([...applied, ...refused])
}

async function findNames(
  collection: Collections['events'] | Collections['refusals'],
  rows: { _id: string; write: string }[],
): Promise<string[]> {
  if (rows.length === 0) return []
  const find = (collection as Collections['events']).find({ _id: { $in: rows.map(({ _id }) => _id) } })
  return (await find.project<{ write: string }>({ write: 1 }).toArray()).map(({ write }) => write)
}
