import { digest } from '../../platform/digest.ts'

/** Names a client in announcements. Unlike a short tag, no two clients share it: a job that is gone names its client no more. */
export const clientTagOf = (clientKrn: string): string => digest('jobs', clientKrn)

/** What is announced of a job that was created, changed or deleted. */
export const jobAnnouncementOf = ({ id, clientKrn }: { id: string; clientKrn: string }): string =>
  `${id}:${clientTagOf(clientKrn)}`

/** @returns no tag when only the id was announced: the job may be anybody's */
export function readJobAnnouncement(announcement: string): { jobId: string; clientTag: string | undefined } {
  const [jobId = '', clientTag] = announcement.split(':')
  return { jobId, clientTag }
}
