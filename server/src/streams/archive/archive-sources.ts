import type { Pool } from 'pg'
import { orAway } from '../../platform/postgres/database.ts'
import type { EventLog, ReadLimits } from '../log/log.ts'
import { watchEnds } from '../log/watched-ends.ts'
import { showAggregate } from '../query/query.ts'
import type { Streams } from '../streams.ts'
import { afterEntry, type ClosingEntry, readClosings, readHeads } from '../windows/closings-postgres.ts'
import type { ArchiveKind } from './archive-file.ts'
import type { RowPage } from './archive-plan.ts'

/** Rows of one kind, in partitions, by positions that never change. */
export interface ArchiveSource extends AsyncDisposable {
  readonly kind: ArchiveKind
  /** As {@link EventLog} does: rows from a position on, in order, none left out; waits for them when there are none. */
  read(partition: number, from: number, limits: ReadLimits): Promise<RowPage>
}

const LOOK_MS = 1_000
const MAX_ROWS_READ = 5_000

/** Events as they lie in the log. */
export function readRawFrom(log: EventLog): ArchiveSource {
  const events = log.openReader()
  return {
    kind: 'raw',
    async read(partition, from, limits) {
      const { runs, next, endedMs, isGap } = await events.read(partition, from, limits)
      return {
        runs: runs.map(({ firstOffset, clientKrn, stream, appendedMs, payloads }) => ({
          first: firstOffset,
          last: firstOffset + payloads.length - 1,
          clientKrn,
          stream,
          atMs: appendedMs,
          rows: payloads,
        })),
        next,
        isEnd: endedMs !== undefined,
        isGap,
      }
    },
    [Symbol.asyncDispose]: () => events[Symbol.asyncDispose](),
  }
}

/** Late events, by their offsets in the log: the aggregator commits them in that order. */
export function readLateFrom(pool: Pool, partitions: number): ArchiveSource {
  const ends = watchEnds(() => readLateEnds(pool, partitions), LOOK_MS)
  return waiting('late', ends, (partition, from) => readLate(pool, partition, from))
}

/** Aggregates of windows that closed, and what revisions made of them; their position is the sequence of the closing. */
export function readAggregatesFrom(pool: Pool, streams: Streams, partitions: number): ArchiveSource {
  const ends = watchEnds(async () => (await readHeads(pool, partitions)).map((head) => head + 1), LOOK_MS)
  return waiting('aggregates', ends, (partition, from) => readAggregates(pool, streams, partition, from))
}

/** A source in the database, which waits for news when there was nothing. */
function waiting(
  kind: ArchiveKind,
  ends: ReturnType<typeof watchEnds>,
  readOnce: (partition: number, from: number) => Promise<RowPage>,
): ArchiveSource {
  return {
    kind,
    async read(partition, from, limits) {
      const page = await readOnce(partition, from)
      if (page.runs.length > 0 || limits.waitMs === 0) return page
      await ends.wait(partition, from, limits)
      return readOnce(partition, from)
    },
    async [Symbol.asyncDispose]() {
      ends.stop()
    },
  }
}

async function readLate(pool: Pool, partition: number, from: number): Promise<RowPage> {
  const { rows } = await orAway(
    pool.query({
      name: 'read-late-rows',
      text: `SELECT l.log_offset, l.payload, l.seen_at, s.client_krn, s.stream
             FROM late_events l JOIN stream_scopes s ON s.id = l.scope_id
             WHERE l.partition = $1 AND l.log_offset >= $2
             ORDER BY l.log_offset LIMIT ${MAX_ROWS_READ}`,
      values: [partition, from],
    }),
  )
  return {
    runs: rows.map(({ log_offset, payload, seen_at, client_krn, stream }) => ({
      first: log_offset,
      last: log_offset,
      clientKrn: client_krn,
      stream,
      atMs: seen_at.getTime(),
      rows: [payload],
    })),
    next: rows.length === 0 ? from : rows.at(-1).log_offset + 1,
    isEnd: rows.length < MAX_ROWS_READ,
  }
}

async function readLateEnds(pool: Pool, partitions: number): Promise<number[]> {
  const { rows } = await orAway(
    pool.query(
      `SELECT coalesce((SELECT max(log_offset) + 1 FROM late_events l WHERE l.partition = n), 0) AS late_end
       FROM generate_series(0, $1::int - 1) n ORDER BY n`,
      [partitions],
    ),
  )
  return rows.map(({ late_end }) => late_end)
}

async function readAggregates(
  pool: Pool,
  streams: Streams,
  partition: number,
  from: number,
): Promise<RowPage> {
  const entries = await readClosings(pool, partition, { sequence: Math.max(0, from - 1) }, MAX_ROWS_READ)
  const last = entries.at(-1)
  if (last === undefined) return { runs: [], next: from, isEnd: true }
  const isEnd = entries.reduce((rows, { aggregates }) => rows + aggregates.length, 0) < MAX_ROWS_READ
  if (!last.isWhole) await completeOrLeave(pool, partition, entries, last)
  const runs = []
  for (const { sequence, clientKrn, stream, startMs, closedAt, aggregates, revision } of entries) {
    const definition = await streams.define(clientKrn, stream)
    if (!definition) throw new Error('there are windows of a stream that is not declared')
    const revised = revision && { revision: revision.revision, delta: revision.delta }
    runs.push({
      first: sequence,
      last: sequence,
      clientKrn,
      stream,
      atMs: closedAt.getTime(),
      rows: aggregates.map((aggregate) =>
        JSON.stringify({ ...showAggregate(definition, { ...aggregate, startMs }), ...revised }),
      ),
    })
  }
  return { runs, next: entries.at(-1)!.sequence + 1, isEnd }
}

/** An entry lies in one object, so it is read as a whole: by itself when it is larger than a page. */
async function completeOrLeave(
  pool: Pool,
  partition: number,
  entries: ClosingEntry[],
  last: ClosingEntry,
): Promise<void> {
  if (entries.length > 1) {
    entries.pop()
    return
  }
  while (!last.isWhole) {
    const [more] = await readClosings(pool, partition, afterEntry(last), MAX_ROWS_READ)
    for (const aggregate of more?.aggregates ?? []) last.aggregates.push(aggregate)
    last.isWhole = more?.isWhole ?? true
  }
}
