import { crc32 } from 'node:zlib'
import type { Update } from '../record.ts'
import type { Outcome } from '../store.ts'

/** A short name of a client. Two clients may share one: it tells who is surely not meant. */
export const tagOf = (clientKrn: string): string => crc32(clientKrn).toString(36)

/** What is announced of a changed record. The tag spares processes the reading of clients that nobody watches there. */
export const announcementOf = (clientKrn: string, recordId: string): string =>
  `${recordId}:${tagOf(clientKrn)}`

/** @returns no tag when only the id was announced: the record may be anybody's */
export function readAnnouncement(announcement: string): { recordId: string; tag: string | undefined } {
  const [recordId = '', tag] = announcement.split(':')
  return { recordId, tag }
}

/** What is to be announced after a batch: the records that it moved. */
export function changedRecords(
  updates: readonly Update[],
  outcomes: readonly (Outcome | undefined)[],
): Iterable<string> {
  // By record first: of a batch from a log, most updates are of records that were met before.
  const changed = new Map<string, string>()
  for (let i = 0; i < outcomes.length; i++) {
    const outcome = outcomes[i]
    if (outcome && 'totals' in outcome && !outcome.isReplay) {
      const { clientKrn } = updates[i]!
      if (!changed.has(outcome.recordId))
        changed.set(outcome.recordId, announcementOf(clientKrn, outcome.recordId))
    }
  }
  return changed.values()
}
