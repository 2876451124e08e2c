import type { EventStream } from '../../platform/http/sse.ts'
import { recordIdOf } from '../record.ts'
import type { ProgressRecord, RecordCursor } from '../store.ts'
import { readAnnouncement, tagOf } from './announcement.ts'

/** At most one message per record in this time. */
export const LIVE_INTERVAL_MS = 300
/** Announcements can be lost; what is watched is looked at this often anyway. */
const LOOK_ANYWAY_MS = 5_000
/** A record's `updatedAt` is when its transaction began; it may be seen only this much later. */
const COMMIT_MS = 30_000
/** One look at a client reads what changed since the last, up to `MAX_LOOK_PAGES` pages. */
const LOOK_PAGE = 200
const MAX_LOOK_PAGES = 10
const FETCH_CHUNK = 500
/** States that one viewer is known to have, twice its snapshot; beyond that an old one may be sent again. */
const MAX_REMEMBERED = 2_000
/** Records that may wait for one slow viewer; beyond that it is cut off and starts from a snapshot. */
const MAX_WAITING = 2_000

export interface Subscription {
  clientKrn: string
  /** Only this file; all files of the client when absent. */
  filename?: string | undefined
  /** Sequence that a returning viewer of one file saw last. */
  seen?: number | undefined
  stream: EventStream
}

/**
 * Feeds live views: hears which records changed, reads them once for all viewers, and sends each viewer the newest
 * state. A viewer that is slow or was away misses states in between, never the last one.
 */
export interface LiveHub extends AsyncDisposable {
  /** Announcements of records that somebody changed. */
  changed(announcements: Iterable<string>): void
  /** Anything may have changed: after the listening connection was lost. A look under way is not doubled. */
  lookAtAll(): Promise<void>
  /**
   * Opens the stream, sends the records of `snapshot` (oldest update first), then every later state. The stream leaves
   * the hub when it closes. What `snapshot` throws is thrown on, before the stream was opened.
   */
  subscribe(subscription: Subscription, snapshot: () => Promise<ProgressRecord[]>): Promise<void>
  readonly size: number
}

interface Viewer {
  stream: EventStream
  /** The one record that is watched, which need not exist yet. */
  recordId: string | undefined
  /** Sequence that was sent last, by record id. */
  sent: Map<string, number>
  /** Newest state of records that wait until the reader is ready. */
  waiting: Map<string, ProgressRecord>
}

/** Who watches one client. */
interface Audience {
  clientKrn: string
  tag: string
  viewers: Set<Viewer>
  /** Newest `updatedAt` of the last look at all of the client's records; `undefined` before the first snapshot. */
  lookedUpToMs: number | undefined
}

export interface LiveHubOptions {
  fetchRecords: (ids: string[]) => Promise<ProgressRecord[]>
  /** A client's records, newest update first. */
  listNewest: (
    clientKrn: string,
    page: { limit: number; after: RecordCursor | undefined },
  ) => Promise<ProgressRecord[]>
  toMessage: (record: ProgressRecord) => unknown
  log: (message: string, error: Error) => void
}

export function createLiveHub({ fetchRecords, listNewest, toMessage, log }: LiveHubOptions): LiveHub {
  const audiences = new Map<string, Audience>()
  let dirty = new Set<string>()
  let size = 0
  let isFetching = false
  let looking: Promise<void> | undefined

  const tick = setInterval(() => void deliver(), LIVE_INTERVAL_MS)
  const lookAnyway = setInterval(() => void lookAtAll(), LOOK_ANYWAY_MS)

  async function deliver(): Promise<void> {
    if (isFetching || dirty.size === 0) return
    isFetching = true
    const ids = [...dirty]
    dirty = new Set()
    try {
      for (let i = 0; i < ids.length && size > 0; i += FETCH_CHUNK) {
        for (const record of await fetchRecords(ids.slice(i, i + FETCH_CHUNK))) offer(record)
      }
    } catch (error) {
      for (const id of ids) dirty.add(id)
      log('changed records could not be read for live views', error as Error)
    } finally {
      isFetching = false
    }
  }

  function lookAtAll(): Promise<void> {
    looking ??= look().finally(() => {
      looking = undefined
    })
    return looking
  }

  async function look(): Promise<void> {
    try {
      for (const audience of [...audiences.values()]) {
        let isWatchedWhole = false
        for (const { recordId } of audience.viewers) {
          if (recordId === undefined) isWatchedWhole = true
          else dirty.add(recordId)
        }
        if (isWatchedWhole) await lookAtClient(audience)
      }
    } catch (error) {
      log('watched clients could not be read for live views', error as Error)
    }
  }

  /** Marks what is news to anybody; `deliver` sends it, in its time. */
  async function lookAtClient(audience: Audience): Promise<void> {
    const { clientKrn, lookedUpToMs } = audience
    if (lookedUpToMs === undefined) return
    let newestMs = lookedUpToMs
    let after: RecordCursor | undefined
    for (let page = 0; page < MAX_LOOK_PAGES; page++) {
      const records = await listNewest(clientKrn, { limit: LOOK_PAGE, after })
      const recent = records.filter(({ updatedAt }) => updatedAt.getTime() >= lookedUpToMs - COMMIT_MS)
      for (const record of recent) {
        newestMs = Math.max(newestMs, record.updatedAt.getTime())
        if ([...audience.viewers].some((viewer) => isNews(viewer, record))) dirty.add(record.id)
      }
      if (recent.length < LOOK_PAGE) break
      const { updatedAt, id } = recent.at(-1)!
      after = { updatedAtMs: updatedAt.getTime(), id }
    }
    audience.lookedUpToMs = newestMs
  }

  function isNews({ recordId, sent, waiting }: Viewer, { id, sequence }: ProgressRecord): boolean {
    if (recordId !== undefined && recordId !== id) return false
    return sequence > (waiting.get(id)?.sequence ?? sent.get(id) ?? 0)
  }

  function offer(record: ProgressRecord): void {
    const audience = audiences.get(record.clientKrn)
    for (const viewer of audience?.viewers ?? []) {
      if (!isNews(viewer, record)) continue
      viewer.waiting.set(record.id, record)
      if (viewer.waiting.size <= MAX_WAITING) flush(viewer)
      else {
        leave(audience!, viewer)
        viewer.stream.close()
      }
    }
  }

  function flush({ stream, sent, waiting }: Viewer): void {
    for (const record of waiting.values()) {
      if (!stream.isReady) return
      waiting.delete(record.id)
      sent.delete(record.id)
      sent.set(record.id, record.sequence)
      if (sent.size > MAX_REMEMBERED) sent.delete(sent.keys().next().value!)
      stream.send(toMessage(record), { id: record.sequence })
    }
  }

  async function subscribe(
    { clientKrn, filename, seen, stream }: Subscription,
    snapshot: () => Promise<ProgressRecord[]>,
  ): Promise<void> {
    const recordId = filename === undefined ? undefined : recordIdOf(clientKrn, filename)
    const viewer: Viewer = { stream, recordId, sent: new Map(), waiting: new Map() }
    // In the hub before the snapshot is read, so that nothing falls between the two.
    const audience = join(clientKrn, viewer)
    stream.onDrain(() => flush(viewer))
    stream.onClose(() => leave(audience, viewer))
    let records: ProgressRecord[]
    try {
      records = await snapshot()
    } catch (error) {
      leave(audience, viewer)
      throw error
    }
    stream.open()
    const newest = records.at(-1)
    if (recordId === undefined) audience.lookedUpToMs ??= newest?.updatedAt.getTime() ?? 0
    else if (seen !== undefined) {
      // What the reader saw is ahead of what there is: it watched a record that is no more.
      if (seen > (newest?.sequence ?? 0)) stream.send({}, { event: 'reset' })
      else if (seen === newest?.sequence) viewer.sent.set(recordId, seen)
    }
    for (const record of records) if (isNews(viewer, record)) viewer.waiting.set(record.id, record)
    flush(viewer)
  }

  function join(clientKrn: string, viewer: Viewer): Audience {
    let audience = audiences.get(clientKrn)
    if (!audience) {
      audience = { clientKrn, tag: tagOf(clientKrn), viewers: new Set(), lookedUpToMs: undefined }
      audiences.set(clientKrn, audience)
    }
    audience.viewers.add(viewer)
    size++
    return audience
  }

  function leave({ clientKrn, viewers }: Audience, viewer: Viewer): void {
    if (!viewers.delete(viewer)) return
    size--
    viewer.waiting.clear()
    viewer.sent.clear()
    if (viewers.size === 0) audiences.delete(clientKrn)
  }

  return {
    changed(announcements) {
      if (size === 0) return
      const watched = new Set(Array.from(audiences.values(), ({ tag }) => tag))
      for (const announcement of announcements) {
        const { recordId, tag } = readAnnouncement(announcement)
        if (tag === undefined || watched.has(tag)) dirty.add(recordId)
      }
    },
    lookAtAll,
    subscribe,
    get size() {
      return size
    },
    async [Symbol.asyncDispose]() {
      clearInterval(tick)
      clearInterval(lookAnyway)
      for (const { viewers } of audiences.values()) for (const { stream } of viewers) stream.close()
    },
  }
}
