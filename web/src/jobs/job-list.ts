import { isActive, type Job, type JobList } from '../api/types.ts'

/**
 * What the page knows of the jobs, and how news change it. Lists come from two sides (pages that are read, events that
 * are pushed), in any order; of two states of a job the one with the higher sequence counts, and what was deleted stays
 * deleted. All functions return what they were given when nothing changes.
 */

/** Ids of deleted jobs: a page that was asked for before a deletion may arrive after it. */
export type Deleted = ReadonlySet<string>

const newer = (known: Job | undefined, found: Job): Job =>
  known && known.sequence > found.sequence ? known : found

/** Newest first, as the service sorts. */
function compare(a: Job, b: Job): number {
  if (a.createdAt !== b.createdAt) return a.createdAt < b.createdAt ? 1 : -1
  return a.id === b.id ? 0 : a.id < b.id ? 1 : -1
}

/** A job was created, or has changed. One that lies behind the loaded pages comes with its page. */
export function applyJob(list: JobList, job: Job, deleted: Deleted): JobList {
  if (deleted.has(job.id)) return list
  const at = list.jobs.findIndex(({ id }) => id === job.id)
  const known = list.jobs[at]
  if (known) {
    // `errors` and other things that an event leaves out stay.
    return known.sequence >= job.sequence ? list : { ...list, jobs: list.jobs.with(at, { ...known, ...job }) }
  }
  const last = list.jobs.at(-1)
  if (list.next !== null && last && compare(job, last) > 0) return list
  return { ...list, jobs: [...list.jobs, job].sort(compare) }
}

export function applyDeleted(list: JobList, jobId: string): JobList {
  const jobs = list.jobs.filter(({ id }) => id !== jobId)
  return jobs.length === list.jobs.length ? list : { ...list, jobs }
}

/** The newest jobs, as they all are: of those that should be among them and are not, nothing is left. */
export function applySnapshot(list: JobList | undefined, snapshot: JobList, deleted: Deleted): JobList {
  const known = new Map(list?.jobs.map((job) => [job.id, job]))
  const jobs = snapshot.jobs.filter(({ id }) => !deleted.has(id)).map((job) => newer(known.get(job.id), job))
  const last = snapshot.jobs.at(-1)
  if (!list || snapshot.next === null || !last) return { jobs, next: snapshot.next }
  const older = list.jobs.filter((job) => compare(job, last) > 0)
  return older.length === 0 ? { jobs, next: snapshot.next } : { jobs: [...jobs, ...older], next: list.next }
}

/** The next page, read from the list's cursor. */
export function appendPage(list: JobList, page: JobList, deleted: Deleted): JobList {
  const known = new Set(list.jobs.map(({ id }) => id))
  const more = page.jobs.filter(({ id }) => !known.has(id) && !deleted.has(id))
  return { jobs: [...list.jobs, ...more].sort(compare), next: page.next }
}

/**
 * Pages that were read while events went on: `before` is what was known when reading began, `now` what is known since.
 * Jobs that came in between are kept, those that were known before and are not found are gone.
 */
export function mergeRead(
  read: JobList,
  before: JobList | undefined,
  now: JobList | undefined,
  deleted: Deleted,
): JobList {
  if (!now) return read
  const known = new Map(now.jobs.map((job) => [job.id, job]))
  const knownBefore = new Set(before?.jobs.map(({ id }) => id))
  const found = new Set(read.jobs.map(({ id }) => id))
  const last = read.jobs.at(-1)
  const isCovered = (job: Job) => read.next === null || !last || compare(job, last) < 0
  const came = now.jobs.filter((job) => !found.has(job.id) && !knownBefore.has(job.id) && isCovered(job))
  const jobs = read.jobs.filter(({ id }) => !deleted.has(id)).map((job) => newer(known.get(job.id), job))
  return { jobs: [...came, ...jobs].sort(compare), next: read.next }
}

/** Jobs that were under way and have ended since: what is worth saying aloud. */
export function endedSince(before: JobList | undefined, now: JobList | undefined): Job[] {
  if (!before || !now || before === now) return []
  const underWay = new Set(before.jobs.filter(isActive).map(({ id }) => id))
  return now.jobs.filter((job) => underWay.has(job.id) && !isActive(job))
}
