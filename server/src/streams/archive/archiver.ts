import type { Pool } from 'pg'
import type { Registry } from 'prom-client'
import type { Log } from '../../platform/log.ts'
import type { ObjectStore } from '../../platform/objects/objects.ts'
import { createPlaces } from '../../platform/objects/places.ts'
import type { PartHealth } from '../shares/part-health.ts'
import { pause, shareWork } from '../shares/shared-work.ts'
import type { Streams } from '../streams.ts'
import { columnsOf } from './archive-columns.ts'
import { type ArchiveFormat, archiveName, encodeArchive } from './archive-file.ts'
import {
  type ArchiveIntent,
  type ArchiveLimits,
  createGathering,
  type Gathering,
  type PlannedObject,
} from './archive-plan.ts'
import type { ArchiveSource } from './archive-sources.ts'
import { createArchiveWriter } from './archive-writer.ts'
import {
  ARCHIVE_GROUPS,
  type ArchivedCount,
  type ArchivePart,
  commitIntent,
  commitWritten,
  loadArchive,
} from './archives-postgres.ts'

/** What one read brings, about. */
const SLICE_BYTES = 1024 * 1024
const MAX_WAIT_MS = 3_000
/** Nobody waits for an archive: events that come one by one are read some at a time. */
const FEW_ROWS = 1_000
const FEW_ROWS_PAUSE_MS = 500
/** Files encoded at a time, in other threads than that of the process. */
const ENCODED_AT_ONCE = 2
const WITHOUT_END_MS = 2 ** 31 - 1

export interface ArchiverOptions {
  sources: readonly ArchiveSource[]
  partitions: number
  streams: Streams
  pool: Pool
  objects: ObjectStore
  format: ArchiveFormat
  limits: ArchiveLimits
  /** Bytes of text that wait in this process, of all objects together; about, as a read may bring some more. */
  maxPendingBytes: number
  registry: Registry
  logger: Log
}

export interface Archiver extends AsyncDisposable {
  health(): PartHealth
}

/**
 * Writes what the sources have into objects, each row into one.
 *
 * In each partition of each source: gather rows; commit the *intent*, which says what range lies in which objects;
 * write them, create-only; commit the position behind them. The commits name the version of the checkpoint that they
 * started from, so of two processes that work on the same, one goes on. An intent that is there was not finished: its
 * range is read again, and makes the same objects, which may be there already. So whoever writes, however late, writes
 * what an intent says, and there is one intent for each row.
 */
export function startArchiver(options: ArchiverOptions): Archiver {
  const { sources, partitions, pool, format, limits, logger } = options
  const writer = createArchiveWriter(options)
  const encoding = createPlaces({ count: ENCODED_AT_ONCE, waitAtMostMs: WITHOUT_END_MS })
  const parts = sources.length * partitions
  const room = createRoom(options.maxPendingBytes, parts, limits.maxBytes)
  const sharing = shareWork({
    pool,
    group: ARCHIVE_GROUPS.raw,
    parts,
    work: (part, signal, went) =>
      archive(sources[Math.floor(part / partitions)]!, part % partitions, signal, went),
    logger,
  })

  /** Until it is told to stop, or another process has gone on with the partition. */
  async function archive(
    source: ArchiveSource,
    partition: number,
    signal: AbortSignal,
    went: () => void,
  ): Promise<void> {
    const part: ArchivePart = { kind: source.kind, partition }
    const held = room.enter()
    try {
      let { version, position, intent } = await loadArchive(pool, part)
      while (!signal.aborted) {
        const gathering =
          intent === undefined
            ? await gather(source, partition, createGathering(position, limits), signal)
            : await gather(source, partition, createGathering(position, limits, intent.next), signal)
        if (signal.aborted) return
        if (intent === undefined) {
          intent = await plan(part, gathering)
          if (!(await commitIntent(pool, part, version, intent))) return
          version++
        }
        const counts = gathering.hasGap
          ? await finishWithGap(part, intent, gathering, signal)
          : await write(part, intent, gathering, signal)
        if (signal.aborted) return
        if (!(await commitWritten(pool, part, version, intent.next, counts))) return
        version++
        position = intent.next
        intent = undefined
        held.set(0)
        went()
      }
    } finally {
      held.leave()
    }

    async function gather(
      source: ArchiveSource,
      partition: number,
      gathering: Gathering,
      signal: AbortSignal,
    ): Promise<Gathering> {
      let isEnd = false
      while (!gathering.isDue(Date.now(), held.maxBytes())) {
        // What was gathered may be old enough to be written when there is no more.
        const waitMs = gathering.rows > 0 && !isEnd ? 0 : Math.min(MAX_WAIT_MS, gathering.waitMs(Date.now()))
        const before = gathering.rows
        const maxBytes = Math.min(SLICE_BYTES, held.maxBytes())
        const page = await source.read(partition, gathering.next, { maxBytes, waitMs, signal })
        if (signal.aborted) break
        gathering.take(page, Date.now())
        held.set(gathering.bytes)
        isEnd = page.isEnd
        if (isEnd && gathering.rows === 0) went()
        if (!isEnd && gathering.rows - before < FEW_ROWS) await pause(FEW_ROWS_PAUSE_MS, signal)
      }
      return gathering
    }
  }

  async function plan({ kind, partition }: ArchivePart, gathering: Gathering): Promise<ArchiveIntent> {
    const { first, next, streams } = gathering
    const at = new Date(gathering.atMs!)
    const objects: PlannedObject[] = []
    for (const [stream, gathered] of streams) {
      const { first, last, rows, clients } = gathered
      const name = archiveName({ kind, stream, format, partition, first, last, at })
      const columns =
        format === 'parquet' ? columnsOf(kind, await declarationsOf(stream, clients.keys())) : undefined
      objects.push({ name, stream, rows, clients: Object.fromEntries(clients), columns })
    }
    return { first, next, format, objects }
  }

  async function declarationsOf(stream: string, clients: Iterable<string>) {
    const found = await Promise.all(Array.from(clients, (client) => options.streams.define(client, stream)))
    return found.flatMap((definition) => definition?.declaration ?? [])
  }

  /** Writes the objects of an intent, or less when it is stopped; then what is returned means nothing. */
  async function write(
    { kind, partition }: ArchivePart,
    intent: ArchiveIntent,
    { streams }: Gathering,
    signal: AbortSignal,
  ): Promise<ArchivedCount[]> {
    for (const { name, stream, rows, columns = [] } of intent.objects) {
      const gathered = streams.get(stream)
      // Nothing shorter is ever written in its place.
      if (gathered?.rows !== rows)
        throw new Error(`${name} is to have ${rows} rows of partition ${partition}, found ${gathered?.rows}`)
      const leave = await encoding.enter()
      const pieces = await encodeArchive(intent.format, gathered.lines, columns).finally(leave)
      await writer.write(kind, name, pieces, signal)
      if (signal.aborted) break
    }
    return Array.from(streams, ([stream, { clients }]) =>
      Array.from(clients, ([clientKrn, rows]) => ({ kind, stream, clientKrn, rows })),
    ).flat()
  }

  /**
   * Retention took a part of the log. When that were rows of the intent, nobody can write its objects any more: those
   * that are there are whole, and stay; the rows of the others never will be archived, and the books say so. Otherwise
   * the partition would wait for ever, and retention would take everything behind it as well.
   */
  async function finishWithGap(
    part: ArchivePart,
    intent: ArchiveIntent,
    gathering: Gathering,
    signal: AbortSignal,
  ): Promise<ArchivedCount[]> {
    const { first, next, objects } = intent
    if (objects.every(({ stream, rows }) => gathering.streams.get(stream)?.rows === rows))
      return write(part, intent, gathering, signal)
    const counts: ArchivedCount[] = []
    for (const { name, stream, rows, clients = {} } of objects) {
      const isThere = await exists(name)
      const about = { ...part, first, next, name, rows }
      if (!isThere)
        logger.error(about, 'retention took events that were about to be archived; they never will be')
      const kind = isThere ? part.kind : 'never'
      for (const [clientKrn, rows] of Object.entries(clients)) counts.push({ kind, stream, clientKrn, rows })
    }
    return counts
  }

  async function exists(name: string): Promise<boolean> {
    try {
      for await (const _ of options.objects.read(name, { end: 1 })) return true
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
      throw error
    }
  }

  return {
    health: () => (sharing.health().status === 'waiting' ? sharing.health() : writer.health()),
    async [Symbol.asyncDispose]() {
      await sharing[Symbol.asyncDispose]()
      for (const source of sources) await source[Symbol.asyncDispose]()
    },
  }
}

/**
 * Room for what was gathered and not written. Each part has its share for sure, and may take more while there is some,
 * up to the size of an object. Full, with S3 away for example, everybody stops reading.
 */
function createRoom(maxBytes: number, parts: number, maxObjectBytes: number) {
  const shareBytes = Math.min(maxObjectBytes, Math.floor(maxBytes / parts))
  let used = 0
  return {
    enter() {
      let held = 0
      const set = (bytes: number) => {
        used += bytes - held
        held = bytes
      }
      return { set, leave: () => set(0), maxBytes: () => (used >= maxBytes ? shareBytes : maxObjectBytes) }
    },
  }
}
