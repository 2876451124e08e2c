import type { EventStream } from '../../platform/http/sse.ts'
import type { ClosedPage, ClosedWindow, LiveCursor } from '../windows/closings-postgres.ts'
import type { Aggregate } from './read-postgres.ts'

const LOOK_MS = 500
/** Aggregates read at once for one viewer; a window may have millions. */
const MAX_AGGREGATES = 2_000
/** Pages that are kept for the next viewer: those of one client are mostly at the same place. */
const MAX_PAGES = 8
/** A viewer that is further behind begins anew: what it missed is better asked for. */
const MAX_BEHIND = 10_000

/**
 * Feeds live views of closing windows. Each viewer follows the closings with a cursor, one number per partition and
 * perhaps a key, which is also its event id: one that comes back goes on where it was, and one that is slow is simply
 * read for later. Viewers take turns, a page each, so that one with much to read holds up nobody.
 */
export interface WindowHub extends AsyncDisposable {
  /**
   * Opens the stream, sends `start`, then every window that closes and every aggregate that is revised. What reading threw is thrown on before that.
   *
   * @param lastId of a returning viewer; when it means nothing any more, `reset` is sent first
   */
  subscribe(viewer: Subscription, lastId: string | undefined): Promise<void>
}

export interface Subscription {
  clientKrn: string
  streamName: string
  toMessage: (aggregate: Aggregate, revision: ClosedWindow['revision']) => unknown
  stream: EventStream
}

interface Viewer extends Subscription {
  cursor: LiveCursor
}

export interface WindowHubOptions {
  readHeads: () => Promise<number[]>
  readClosed: (
    of: { clientKrn: string; stream: string },
    range: { after: LiveCursor; heads: readonly number[]; limit: number },
  ) => Promise<ClosedPage>
  log: (message: string, error: Error) => void
}

export function createWindowHub({ readHeads, readClosed, log }: WindowHubOptions): WindowHub {
  const viewers = new Set<Viewer>()
  let isLooking = false
  const timer = setInterval(() => void look(), LOOK_MS)

  async function look(): Promise<void> {
    if (isLooking || viewers.size === 0) return
    isLooking = true
    try {
      while (await feedAll());
    } catch (error) {
      log('closed windows could not be read for live views', error as Error)
    } finally {
      isLooking = false
    }
  }

  /** @returns true when somebody can take more */
  async function feedAll(): Promise<boolean> {
    const heads = await readHeads()
    const pages = new Map<string, Promise<ClosedPage>>()
    let isMore = false
    for (const viewer of [...viewers]) isMore = (await feed(viewer, heads, pages)) || isMore
    return isMore
  }

  async function feed(
    viewer: Viewer,
    heads: readonly number[],
    pages: Map<string, Promise<ClosedPage>>,
  ): Promise<boolean> {
    const { clientKrn, streamName, stream, toMessage, cursor } = viewer
    if (!stream.isReady || cursor.sequences.every((sequence, partition) => sequence >= heads[partition]!))
      return false
    const what = `${clientKrn}\0${streamName}\0${idOf(cursor)}`
    const range = { after: cursor, heads, limit: MAX_AGGREGATES }
    const reading = pages.get(what) ?? readClosed({ clientKrn, stream: streamName }, range)
    pages.set(what, reading)
    if (pages.size > MAX_PAGES) pages.delete(pages.keys().next().value!)
    const { closed, isLast } = await reading
    for (const { partition, sequence, aggregates, isWhole, revision } of closed) {
      const last = aggregates.length - 1
      const sequences = viewer.cursor.sequences.with(partition, isWhole ? sequence : sequence - 1)
      const within = isWhole ? undefined : { partition, key: aggregates[last]!.key }
      viewer.cursor = { sequences, within }
      const id = idOf(viewer.cursor)
      // With the last of a window or page: who was cut off before it is sent these again.
      for (const [place, aggregate] of aggregates.entries())
        stream.send(toMessage(aggregate, revision), place === last ? { id } : {})
    }
    // One that has just come may be ahead of what was asked for.
    const passed = (sequence: number, partition: number) => Math.max(sequence, heads[partition]!)
    if (isLast) viewer.cursor = { sequences: viewer.cursor.sequences.map(passed) }
    return !isLast
  }

  return {
    async subscribe(subscription, lastId) {
      const heads = await readHeads()
      const seen = lastId === undefined ? { sequences: heads } : cursorOf(lastId, heads)
      const { stream } = subscription
      const viewer = { ...subscription, cursor: seen ?? { sequences: heads } }
      viewers.add(viewer)
      stream.onClose(() => viewers.delete(viewer))
      stream.open()
      stream.send({}, { event: seen === undefined ? 'reset' : 'start', id: idOf(viewer.cursor) })
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      for (const { stream } of viewers) stream.close()
    },
  }
}

const idOf = ({ sequences, within }: LiveCursor): string => {
  const id = sequences.join('.')
  return within ? `${id}-${within.partition}-${Buffer.from(within.key).toString('base64url')}` : id
}

const ID = /^(\d{1,15}(?:\.\d{1,15})*)(?:-(\d{1,3})-([\w-]*))?$/

/** @returns `undefined` when it is none, is ahead of what there is, or too far behind */
function cursorOf(id: string, heads: readonly number[]): LiveCursor | undefined {
  const [, numbers, place, text] = ID.exec(id) ?? []
  const sequences = numbers?.split('.').map(Number)
  if (sequences?.length !== heads.length) return undefined
  const isNear = sequences.every((sequence, partition) => {
    const behind = heads[partition]! - sequence
    return behind >= 0 && behind <= MAX_BEHIND
  })
  if (!isNear) return undefined
  if (place === undefined || text === undefined) return { sequences }
  const partition = Number(place)
  const key = Buffer.from(text, 'base64url').toString()
  // PostgreSQL takes no text with NUL.
  if (!(sequences[partition]! < heads[partition]!) || key.includes('\0')) return undefined
  return { sequences, within: { partition, key } }
}
