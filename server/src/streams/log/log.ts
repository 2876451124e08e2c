import { crc32 } from 'node:zlib'

/** An event on its way into the log. */
export interface NewEvent {
  clientKrn: string
  stream: string
  /** Events of one key lie in one partition, in the order in which they were appended. */
  key: string
  /** One line of JSON. */
  payload: string
  /**
   * A digest that names the event. Of events of one key and id that are appended within 24 hours, the first one is
   * read, and no other.
   */
  id?: string | undefined
}

/**
 * Where an event lies; a duplicate lies where the first one does, which is not told. A log may find duplicates only when
 * it is read: then they have a place, at which nothing is read.
 */
export type Appended = { partition: number; offset: number } | 'duplicate'

/** Consecutive events of one stream of one client: the payload at `i` has the offset `firstOffset + i`. */
export interface Run {
  firstOffset: number
  clientKrn: string
  stream: string
  /** By the log's clock, which does not go back within a partition. */
  appendedMs: number
  payloads: readonly string[]
}

export interface Slice {
  /** In the order of offsets. */
  runs: readonly Run[]
  /** Where reading goes on. A log may have offsets without events. */
  next: number
  /**
   * Set when there was nothing behind `next`: a time by the log's clock, before it was looked for. Without it, and
   * without runs, nothing is known: the log may be away.
   */
  endedMs: number | undefined
  /** What was asked for is gone for good: retention took it, up to `next`. */
  isGap?: true
}

export interface ReadLimits {
  /** About as many bytes of payloads; at least one run, when there is one. */
  maxBytes: number
  /** When there is nothing, wait for so long until there is. */
  waitMs: number
  signal: AbortSignal
}

/**
 * An ordered log of events in partitions, shared by all processes. Whatever it stands on, it keeps the promises of
 * `test/streams/log-contract.ts`.
 */
export interface EventLog extends AsyncDisposable {
  /** Fixed for the life of the log. */
  readonly partitions: number
  /** It is in the database, where it can be counted in one statement with all that was made of it. */
  readonly isInDatabase: boolean
  /**
   * Resolves when all events are durable, with the place of each.
   *
   * @throws PebblesError `unavailable` when that is not known to have happened: all may be there, some, or none; events
   * with ids can be sent again. `too_large` when one is, and none was appended
   */
  append(events: readonly NewEvent[]): Promise<Appended[]>
  /** A reader with a place of its own in each partition, for one group of readers in this process. */
  openReader(): EventReader
  /** Behind the last event, per partition. */
  ends(): Promise<number[]>
  /**
   * How many events of a stream there are from each of several places on (offsets per partition), all up to the same
   * end, as they are read: without duplicates.
   *
   * @throws PebblesError `unavailable`, also when there are too many to be counted now
   */
  count(clientKrn: string, stream: string, froms: readonly (readonly number[])[]): Promise<number[]>
  /**
   * Makes room for the days to come, and drops what is old and nobody needs. To be called every hour or so.
   *
   * @param groups of readers whose checkpoints are offsets of this log
   */
  keepDays(keptDays: number, groups: readonly string[]): Promise<void>
  /** Undefined when the log is in the database, whose health is looked at anyway. */
  health?(): LogHealth
}

/** How the log was found by this process. */
export interface LogHealth {
  /** Since when it does not answer (milliseconds since 1970); undefined while it does. */
  awaySinceMs: number | undefined
  lastError: { at: Date; message: string } | undefined
  /** Records of others that are no events, met by the readers of this process. */
  refusedRecords: number
  /** Events that retention took before a reader of this process came to them. */
  goneRecords: number
}

/** Reads the log. What it fetches ahead serves whoever goes on where it stopped; it can be asked for any other place. */
export interface EventReader extends AsyncDisposable {
  /**
   * Events from an offset on, in order, none left out. Those before `from` never appear later. A partition is read by
   * one caller at a time.
   *
   * @throws PebblesError `unavailable`
   */
  read(partition: number, from: number, limits: ReadLimits): Promise<Slice>
}

/** The partition of a key. Never changed: where a key's events lie depends on it. */
export function partitionOf(clientKrn: string, stream: string, key: string, partitions: number): number {
  return crc32(`${clientKrn}\0${stream}\0${key}`) % partitions
}
