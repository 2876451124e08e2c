import type { EventStream } from '../../platform/http/sse.ts'
import { isEnded, type Job } from '../job.ts'

/** At most one message per job and viewer in this time. */
export const LIVE_INTERVAL_MS = 300
const TICK_MS = 50
/** Announcements can be lost; watched jobs are looked at this often anyway. */
const LOOK_ANYWAY_MS = 5_000

/** Feeds the live views of jobs: each viewer watches one job, from a snapshot to its end. */
export interface JobLiveHub extends AsyncDisposable {
  /** Jobs that somebody changed. */
  changed(jobIds: Iterable<string>): void
  /** Anything may have changed: after the listening connection was lost. */
  lookAtAll(): void
  /**
   * Opens the stream, sends `fetchNow()`, then every later state, and closes it after the last one. What `fetchNow`
   * throws is thrown on, before the stream was opened.
   */
  watch(jobId: string, stream: EventStream, fetchNow: () => Promise<Job>): Promise<void>
  readonly size: number
}

interface Viewer {
  stream: EventStream
  sentSequence: number
  sentAtMs: number
  /** Newest state, while it waits for its time or for a slow reader. */
  waiting: Job | undefined
}

export interface JobLiveOptions {
  fetchJobs: (ids: string[]) => Promise<Job[]>
  toMessage: (job: Job) => unknown
  log: (message: string, error: Error) => void
}

export function createJobLiveHub({ fetchJobs, toMessage, log }: JobLiveOptions): JobLiveHub {
  const viewers = new Map<string, Set<Viewer>>()
  let dirty = new Set<string>()
  let size = 0
  let isFetching = false

  const tick = setInterval(() => void deliver(), TICK_MS)
  const lookAnyway = setInterval(lookAtAll, LOOK_ANYWAY_MS)

  async function deliver(): Promise<void> {
    if (dirty.size > 0 && !isFetching) await fetchDirty()
    for (const set of viewers.values()) for (const viewer of set) flush(viewer)
  }

  async function fetchDirty(): Promise<void> {
    const ids = [...dirty].filter((id) => viewers.has(id))
    dirty = new Set()
    if (ids.length === 0) return
    isFetching = true
    try {
      const jobs = await fetchJobs(ids)
      for (const job of jobs) for (const viewer of viewers.get(job.id) ?? []) offer(viewer, job)
      const there = new Set(jobs.map(({ id }) => id))
      for (const id of ids) if (!there.has(id)) closeDeleted(id)
    } catch (error) {
      for (const id of ids) dirty.add(id)
      log('changed jobs could not be read for live views', error as Error)
    } finally {
      isFetching = false
    }
  }

  /** A viewer whose snapshot is still being read is answered by that. */
  function closeDeleted(id: string): void {
    for (const { stream, sentSequence } of viewers.get(id) ?? []) if (sentSequence > 0) stream.close()
  }

  function lookAtAll(): void {
    for (const id of viewers.keys()) dirty.add(id)
  }

  function offer(viewer: Viewer, job: Job): void {
    const known = viewer.waiting?.sequence ?? viewer.sentSequence
    if (job.sequence > known) viewer.waiting = job
  }

  function flush(viewer: Viewer): void {
    const { waiting, stream } = viewer
    if (!waiting || !stream.isReady || Date.now() - viewer.sentAtMs < LIVE_INTERVAL_MS) return
    viewer.waiting = undefined
    viewer.sentSequence = waiting.sequence
    viewer.sentAtMs = Date.now()
    stream.send(toMessage(waiting), { id: waiting.sequence })
    if (isEnded(waiting.status)) stream.close()
  }

  async function watch(jobId: string, stream: EventStream, fetchNow: () => Promise<Job>): Promise<void> {
    const viewer: Viewer = { stream, sentSequence: 0, sentAtMs: 0, waiting: undefined }
    const set = viewers.get(jobId) ?? new Set()
    // In the hub before the snapshot is read, so that nothing falls between the two.
    viewers.set(jobId, set.add(viewer))
    size++
    const leave = () => {
      if (!set.delete(viewer)) return
      size--
      if (set.size === 0) viewers.delete(jobId)
    }
    stream.onClose(leave)
    try {
      offer(viewer, await fetchNow())
    } catch (error) {
      leave()
      throw error
    }
    stream.open()
    flush(viewer)
  }

  return {
    changed(ids) {
      for (const id of ids) if (viewers.has(id)) dirty.add(id)
    },
    lookAtAll,
    watch,
    get size() {
      return size
    },
    async [Symbol.asyncDispose]() {
      clearInterval(tick)
      clearInterval(lookAnyway)
      for (const set of viewers.values()) for (const { stream } of set) stream.close()
    },
  }
}
