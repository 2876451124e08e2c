import { isDeepStrictEqual } from 'node:util'
import type { EventStream } from '../../platform/http/sse.ts'
import { isEnded, type Job, type JobStatus } from '../job.ts'
import type { JobStats } from '../stats-postgres.ts'
import { clientTagOf, readJobAnnouncement } from './announcement.ts'

/** At most one message per job and viewer in this time. */
export const LIVE_INTERVAL_MS = 300
/** Announcements can be lost; watched clients are looked at this often anyway. */
const LOOK_ANYWAY_MS = 5_000
/** Jobs of a snapshot, and of a look. */
const SNAPSHOT_JOBS = 100
/** A count is followed by a pause of this many times what it took: counting never fills more than 5 % of a connection. */
const COUNT_PAUSE = 20
const FETCH_CHUNK = 500
/** Changed jobs that may wait to be read; beyond that everybody gets a new snapshot instead. */
const MAX_DIRTY = 5_000
/** States of one client's jobs that are remembered; beyond that an old one may be sent again. */
const MAX_REMEMBERED = 2_000
/** Messages that may wait for one viewer; beyond that a new snapshot is sent, and a slow viewer is cut off. */
const MAX_WAITING = 1_000
/** Beyond every sequence: what is deleted does not change any more. */
const DELETED = Number.POSITIVE_INFINITY

/** Feeds the live views of all jobs of a client: a snapshot of the newest, then every change, and the client's counts. */
export interface JobOverviewHub extends AsyncDisposable {
  /** Announcements of jobs that somebody created, changed or deleted. */
  changed(announcements: Iterable<string>): void
  /** Anything may have been missed, after the listening connection was lost: everybody gets a new snapshot. */
  resend(): void
  /** Opens the stream. What reading the snapshot throws is thrown on, before the stream was opened. */
  watch(clientKrn: string, stream: EventStream): Promise<void>
  readonly size: number
}

export interface JobOverviewOptions {
  /** Jobs of any client by id; deleted ones are missing. */
  fetchJobs: (ids: string[]) => Promise<Job[]>
  /** A client's jobs, newest first. */
  listNewest: (clientKrn: string, limit: number) => Promise<Job[]>
  readStats: (clientKrn: string) => Promise<JobStats>
  toMessage: (job: Job) => unknown
  /** Where the list goes on behind a job. */
  toCursor: (job: Job) => string
  log: (message: string, error: Error) => void
}

interface Viewer {
  stream: EventStream
  snapshotAtMs: number
  /** Newest state of jobs that wait for their time or for a slow reader; undefined for a deleted one. */
  waiting: Map<string, Job | undefined>
  stats: JobStats | undefined
  sentStats: JobStats | undefined
}

/** Who watches one client, and what all of them have been offered. */
interface Audience {
  clientKrn: string
  viewers: Set<Viewer>
  offered: Map<string, { sequence: number; status: JobStatus | undefined }>
  /** Ids that the last look found. */
  newest: string[]
  isUncounted: boolean
  countNotBeforeMs: number
  needsSnapshot: boolean
}

export function createJobOverviewHub(options: JobOverviewOptions): JobOverviewHub {
  const { fetchJobs, listNewest, readStats, toMessage, toCursor, log } = options
  const audiences = new Map<string, Audience>()
  const byTag = new Map<string, Audience>()
  /** Jobs to be read, with who watches their client; undefined when it was not told whose they are. */
  let dirty = new Map<string, Audience | undefined>()
  let size = 0

  const loops = [
    repeat(LIVE_INTERVAL_MS, deliver, 'changed jobs could not be read for live views'),
    repeat(LIVE_INTERVAL_MS, count, 'jobs could not be counted for live views'),
    repeat(LOOK_ANYWAY_MS, look, 'watched clients could not be read for live views'),
  ]

  /** Runs `work` again and again, with a pause after each run, so that runs never overlap. */
  function repeat(pauseMs: number, work: () => Promise<void>, fault: string): { stop(): void } {
    let timer = setTimeout(run, pauseMs)
    let isStopped = false
    async function run(): Promise<void> {
      await work().catch((error) => log(fault, error))
      if (!isStopped) timer = setTimeout(run, pauseMs)
    }
    return {
      stop() {
        isStopped = true
        clearTimeout(timer)
      },
    }
  }

  async function deliver(): Promise<void> {
    try {
      await fetchDirty()
      for (const audience of audiences.values()) if (audience.needsSnapshot) await sendSnapshots(audience)
    } finally {
      for (const { viewers } of audiences.values()) for (const viewer of viewers) flush(viewer)
    }
  }

  async function fetchDirty(): Promise<void> {
    const asked = [...dirty].filter(([, audience]) => audience?.viewers.size !== 0)
    dirty = new Map()
    for (let i = 0; i < asked.length; i += FETCH_CHUNK) {
      const chunk = asked.slice(i, i + FETCH_CHUNK)
      try {
        const found = new Map((await fetchJobs(chunk.map(([id]) => id))).map((job) => [job.id, job]))
        for (const [id, audience] of chunk) {
          const job = found.get(id)
          for (const each of audience ? [audience] : audiencesOf(id, job)) offer(each, id, job)
        }
      } catch (error) {
        for (const [id, audience] of asked.slice(i)) dirty.set(id, audience)
        throw error
      }
    }
  }

  /** Of a job that is gone nobody knows whose it was: it is told to those who have heard of it. */
  function audiencesOf(id: string, job: Job | undefined): Audience[] {
    return [...audiences.values()].filter(({ clientKrn, offered }) =>
      job ? clientKrn === job.clientKrn : offered.has(id),
    )
  }

  async function sendSnapshots(audience: Audience): Promise<void> {
    const jobs = await listNewest(audience.clientKrn, SNAPSHOT_JOBS + 1)
    audience.needsSnapshot = false
    audience.isUncounted = true
    for (const job of jobs) remember(audience, job.id, job)
    for (const viewer of audience.viewers) {
      viewer.waiting.clear()
      if (viewer.stream.isReady) sendSnapshot(viewer, jobs)
      else dismiss(audience, viewer)
    }
  }

  async function count(): Promise<void> {
    for (const audience of audiences.values()) {
      const startedAt = Date.now()
      if (!audience.isUncounted || startedAt < audience.countNotBeforeMs) continue
      audience.isUncounted = false
      try {
        const stats = await readStats(audience.clientKrn)
        for (const viewer of audience.viewers) viewer.stats = stats
      } catch (error) {
        audience.isUncounted = true
        throw error
      } finally {
        audience.countNotBeforeMs = Date.now() + COUNT_PAUSE * (Date.now() - startedAt)
      }
    }
  }

  /** Finds what nobody announced: new jobs, changes of the newest and of those under way, and what is gone of both. */
  async function look(): Promise<void> {
    for (const audience of audiences.values()) {
      const jobs = await listNewest(audience.clientKrn, SNAPSHOT_JOBS)
      for (const job of jobs) offer(audience, job.id, job)
      const found = new Set(jobs.map(({ id }) => id))
      const underWay = [...audience.offered].filter(([, { status }]) => status && !isEnded(status))
      for (const id of [...audience.newest, ...underWay.map(([id]) => id)])
        if (!found.has(id)) dirty.set(id, audience)
      audience.newest = [...found]
      audience.isUncounted = true
    }
  }

  /** Takes note of a state (undefined: deleted). @returns whether it is newer than what was offered before */
  function remember({ offered }: Audience, id: string, job: Job | undefined): 'same' | 'moved' | 'news' {
    const before = offered.get(id)
    const sequence = job?.sequence ?? DELETED
    if (before && before.sequence >= sequence) return 'same'
    offered.delete(id)
    offered.set(id, { sequence, status: job?.status })
    if (offered.size > MAX_REMEMBERED) offered.delete(offered.keys().next().value!)
    return before && before.status === job?.status ? 'moved' : 'news'
  }

  function offer(audience: Audience, id: string, job: Job | undefined): void {
    const change = remember(audience, id, job)
    if (change === 'same') return
    if (change === 'news') audience.isUncounted = true
    for (const viewer of audience.viewers) {
      viewer.waiting.set(id, job)
      if (viewer.waiting.size <= MAX_WAITING) continue
      if (viewer.stream.isReady) audience.needsSnapshot = true
      else dismiss(audience, viewer)
    }
  }

  function flush(viewer: Viewer): void {
    const { stream, waiting, snapshotAtMs } = viewer
    if (Date.now() - snapshotAtMs < LIVE_INTERVAL_MS) return
    for (const [id, job] of waiting) {
      if (!stream.isReady) return
      waiting.delete(id)
      if (job) stream.send(toMessage(job), { event: 'job' })
      else stream.send({ jobId: id }, { event: 'deleted' })
    }
    const { stats, sentStats } = viewer
    if (!stats || !stream.isReady || isDeepStrictEqual(stats, sentStats)) return
    viewer.sentStats = stats
    stream.send(stats, { event: 'stats' })
  }

  function sendSnapshot(viewer: Viewer, found: Job[]): void {
    const jobs = found.slice(0, SNAPSHOT_JOBS)
    const next = jobs.length < found.length ? toCursor(jobs.at(-1)!) : null
    for (const { id, sequence } of jobs) {
      const later = viewer.waiting.get(id)
      if (later && later.sequence <= sequence) viewer.waiting.delete(id)
    }
    viewer.snapshotAtMs = Date.now()
    viewer.stream.send({ jobs: jobs.map(toMessage), next }, { event: 'snapshot' })
  }

  async function watch(clientKrn: string, stream: EventStream): Promise<void> {
    const viewer: Viewer = {
      stream,
      snapshotAtMs: 0,
      waiting: new Map(),
      stats: undefined,
      sentStats: undefined,
    }
    // In the hub before the snapshot is read, so that nothing falls between the two.
    const audience = join(clientKrn, viewer)
    stream.onClose(() => leave(audience, viewer))
    try {
      const [jobs, stats] = await Promise.all([
        listNewest(clientKrn, SNAPSHOT_JOBS + 1),
        readStats(clientKrn),
      ])
      // For the others, who may not have heard of them yet.
      for (const job of jobs) offer(audience, job.id, job)
      stream.open()
      sendSnapshot(viewer, jobs)
      viewer.sentStats = stats
      stream.send(stats, { event: 'stats' })
    } catch (error) {
      leave(audience, viewer)
      throw error
    }
  }

  function join(clientKrn: string, viewer: Viewer): Audience {
    let audience = audiences.get(clientKrn)
    if (!audience) {
      const counting = { isUncounted: false, countNotBeforeMs: 0, needsSnapshot: false }
      audience = { clientKrn, viewers: new Set(), offered: new Map(), newest: [], ...counting }
      audiences.set(clientKrn, audience)
      byTag.set(clientTagOf(clientKrn), audience)
    }
    audience.viewers.add(viewer)
    size++
    return audience
  }

  function leave({ clientKrn, viewers }: Audience, viewer: Viewer): void {
    if (!viewers.delete(viewer)) return
    size--
    viewer.waiting.clear()
    if (viewers.size > 0) return
    audiences.delete(clientKrn)
    byTag.delete(clientTagOf(clientKrn))
  }

  /** It comes back, and begins again with a snapshot. */
  function dismiss(audience: Audience, viewer: Viewer): void {
    leave(audience, viewer)
    viewer.stream.close()
  }

  function resend(): void {
    for (const audience of audiences.values()) audience.needsSnapshot = true
  }

  return {
    changed(announcements) {
      if (size === 0) return
      for (const announcement of announcements) {
        const { jobId, clientTag } = readJobAnnouncement(announcement)
        const audience = clientTag === undefined ? undefined : byTag.get(clientTag)
        if (audience || clientTag === undefined) dirty.set(jobId, audience)
      }
      if (dirty.size <= MAX_DIRTY) return
      dirty.clear()
      resend()
    },
    resend,
    watch,
    get size() {
      return size
    },
    async [Symbol.asyncDispose]() {
      for (const loop of loops) loop.stop()
      for (const { viewers } of audiences.values()) for (const { stream } of viewers) stream.close()
    },
  }
}
