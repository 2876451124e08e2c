import type { ArchiveColumn } from './archive-columns.ts'
import type { ArchiveFormat } from './archive-file.ts'

/** Consecutive rows of one stream of one client. */
export interface RowRun {
  /**
   * Positions of its first row and its last one. They are those of each row, one after the other, or the same: rows that
   * are one entry, such as the keys of a window.
   */
  first: number
  last: number
  clientKrn: string
  stream: string
  /** When they came to be; its hour names the folder of their object. */
  atMs: number
  /** A line of JSON each. */
  rows: readonly string[]
}

export interface RowPage {
  /** In the order of their positions. */
  runs: readonly RowRun[]
  /** Where reading goes on. */
  next: number
  /** There was nothing behind it. */
  isEnd: boolean
  /** Rows before `next` are gone for good. */
  isGap?: true | undefined
}

/** When what was gathered becomes an object. */
export interface ArchiveLimits {
  maxRows: number
  /** Of text, before it is compressed. A run is taken whole, so it may become one more. */
  maxBytes: number
  maxAgeMs: number
}

/** An object that is to be written. */
export interface PlannedObject {
  name: string
  stream: string
  rows: number
  /** Rows by client; undefined in an intent of an earlier version. */
  clients?: Readonly<Record<string, number>>
  /** Of a Parquet file. */
  columns?: readonly ArchiveColumn[] | undefined
}

/** What is about to be written: every row from `first` on and before `next`, in an object for each stream. */
export interface ArchiveIntent {
  first: number
  next: number
  format: ArchiveFormat
  objects: readonly PlannedObject[]
}

/** The rows of one stream. */
export interface GatheredStream {
  first: number
  last: number
  rows: number
  /** As lines, each with the field `_client`. */
  lines: readonly Uint8Array[]
  /** Rows by client. */
  clients: ReadonlyMap<string, number>
}

/** Rows of one partition, from a position on, on their way into objects. */
export interface Gathering {
  readonly first: number
  /** Where reading goes on. */
  readonly next: number
  readonly rows: number
  readonly bytes: number
  /** When its first row came to be; undefined while there is none. */
  readonly atMs: number | undefined
  /** Rows of the range are gone for good, so it may not be what it was. */
  readonly hasGap: boolean
  readonly streams: ReadonlyMap<string, GatheredStream>
  /** Takes rows of a page until it is full. The rest is to be read again from `next` on. */
  take(page: RowPage, nowMs: number): void
  /** @param maxBytes may be less than the limit while there is little room */
  isDue(nowMs: number, maxBytes: number): boolean
  /** So long it may wait for more rows. */
  waitMs(nowMs: number): number
}

const HOUR_MS = 3_600_000
/** Text is made bytes in pieces of about this size. */
const PIECE_LENGTH = 256 * 1024

interface Open extends GatheredStream {
  text: string
  lines: Uint8Array[]
  clients: Map<string, number>
}

/**
 * Gathers rows until count, bytes or age say that it is enough, or the hour is over.
 *
 * @param end gathers what is before this position, whatever the limits are: a range that was decided
 */
export function createGathering(first: number, limits: ArchiveLimits, end?: number): Gathering {
  const streams = new Map<string, Open>()
  let next = first
  let rows = 0
  let bytes = 0
  let atMs: number | undefined
  let isFull = false
  let hasGap = false
  /** From when on its age counts: what is read long after it came to be need not be hurried, unless it is the last. */
  let agesFromMs: number | undefined

  function take(page: RowPage, nowMs: number): void {
    if (page.isGap) hasGap = true
    for (const run of page.runs) {
      if (isFull || isOutside(run)) {
        isFull = true
        break
      }
      const part = cut(run, end ?? run.first + limits.maxRows - rows)
      add(part)
      next = part.last + 1
      isFull = end === undefined && rows >= limits.maxRows
    }
    if (!isFull) next = page.next
    if (end !== undefined && (isFull || next > end)) next = end
    if (rows > 0) agesFromMs = Math.min(agesFromMs ?? nowMs, page.isEnd ? atMs! : nowMs)
  }

  /** Of a decided range, or of the hour. */
  const isOutside = (run: RowRun) =>
    end === undefined ? atMs !== undefined && hourOf(run.atMs) !== hourOf(atMs) : run.first >= end

  function add({ first, last, clientKrn, stream, atMs: runAtMs, rows: lines }: RowRun): void {
    let open = streams.get(stream)
    if (open === undefined) {
      open = { first, last, rows: 0, text: '', lines: [], clients: new Map() }
      streams.set(stream, open)
    }
    atMs ??= runAtMs
    open.last = last
    open.rows += lines.length
    open.clients.set(clientKrn, (open.clients.get(clientKrn) ?? 0) + lines.length)
    rows += lines.length
    // Behind the last field, without parsing what is an object with fields already.
    const tail = `,"_client":${JSON.stringify(clientKrn)}}\n`
    let { text } = open
    const before = text.length
    for (const line of lines) text += line.slice(0, -1) + tail
    bytes += text.length - before
    open.text = text
    if (text.length >= PIECE_LENGTH) toBytes(open)
  }

  function toBytes(open: Open): void {
    const piece = Buffer.from(open.text)
    // Until now its characters were counted.
    bytes += piece.length - open.text.length
    open.lines.push(piece)
    open.text = ''
  }

  return {
    first,
    get next() {
      return next
    },
    get rows() {
      return rows
    },
    get bytes() {
      return bytes
    },
    get atMs() {
      return atMs
    },
    get hasGap() {
      return hasGap
    },
    get streams() {
      for (const open of streams.values()) if (open.text !== '') toBytes(open)
      return streams
    },
    take,
    isDue: (nowMs, maxBytes) =>
      end !== undefined
        ? next >= end
        : rows > 0 && (isFull || bytes >= maxBytes || nowMs - (agesFromMs ?? nowMs) >= limits.maxAgeMs),
    waitMs: (nowMs) => Math.max(0, limits.maxAgeMs - (nowMs - (agesFromMs ?? nowMs))),
  }
}

/** The part of a run before a position; rows that are one entry stay together. */
function cut(run: RowRun, end: number): RowRun {
  const { first, last, rows } = run
  if (last < end || last - first + 1 !== rows.length) return run
  return { ...run, last: end - 1, rows: rows.slice(0, end - first) }
}

const hourOf = (ms: number) => Math.floor(ms / HOUR_MS)
