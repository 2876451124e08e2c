import { crc32 } from 'node:zlib'

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
