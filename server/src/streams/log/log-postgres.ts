import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { ClientBase, Pool, PoolClient } from 'pg'
import { numberArray, plainArray } from '../../platform/postgres/arrays.ts'
import {
  BEGIN,
  databaseAway,
  inOneFlush,
  inTransaction,
  isTransient,
  isUnanswered,
  orAway,
  withConnection,
} from '../../platform/postgres/database.ts'
import { isPartitionMissing } from '../../progress/postgres/ids-postgres.ts'
import { type Appended, type EventLog, type NewEvent, partitionOf, type Slice } from './log.ts'
import { dropOldLogDays, ensureLogDays } from './log-days-postgres.ts'
import { requireNoTopic } from './log-topic-postgres.ts'
import { cutRuns, type NewRun } from './runs.ts'
import { watchEnds } from './watched-ends.ts'

/** Appending is tried again for so long; then the caller hears of it. */
const RETRY_MS = 10_000
const PAUSE_MS = 100
/** How often it is looked for news while readers wait; once for all of them. */
const LOOK_MS = 500
/** Runs that one statement looks at; small ones are many to a slice. */
const MAX_RUNS_READ = 2_000
/** Between the payloads of two runs. JSON has no such character, in strings neither. */
const RUN_SEPARATOR = '\x1e'

/**
 * The event log in PostgreSQL: a row for each run of events (`migrations/0010_streams.sql`).
 *
 * @param pool of connections in pipeline mode
 * @param partitions of a log that is new; one that is there keeps its number
 */
export async function openPostgresLog(pool: Pool, partitions: number): Promise<EventLog> {
  await requireNoTopic(pool)
  await ensureLogDays(pool)
  await createPartitions(pool, partitions)
  const known = new Map((await readEnds(pool)).entries())
  const log = { pool, known, isShared: false }
  const news = watchEnds(() => readEnds(pool), LOOK_MS)
  return {
    partitions: known.size,
    isInDatabase: true,
    append: (events) => append(log, events),
    openReader: () => ({
      async read(partition, from, limits) {
        const slice = await readOnce(pool, partition, from, limits.maxBytes)
        if (slice.endedMs === undefined) return slice
        await news.wait(partition, from, limits)
        return readOnce(pool, partition, from, limits.maxBytes)
      },
      async [Symbol.asyncDispose]() {},
    }),
    ends: () => readEnds(pool),
    count: (clientKrn, stream, froms) => countFrom(pool, clientKrn, stream, froms),
    async keepDays(keptDays, groups) {
      await ensureLogDays(pool)
      await dropOldLogDays(pool, keptDays, groups)
    },
    async [Symbol.asyncDispose]() {
      news.stop()
    },
  }
}

function createPartitions(pool: Pool, partitions: number): Promise<void> {
  return inTransaction(pool, async (tx) => {
    await tx.query('LOCK TABLE log_partitions IN SHARE ROW EXCLUSIVE MODE')
    await tx.query(
      `INSERT INTO log_partitions (partition)
       SELECT generate_series(0, $1::int - 1) WHERE NOT EXISTS (SELECT FROM log_partitions)`,
      [partitions],
    )
  })
}

interface Log {
  pool: Pool
  /** The ends of all partitions, as this process left them or last saw them. */
  known: Map<number, number>
  /** Somebody else was seen to append as well. */
  isShared: boolean
}

/** What an attempt wrote whose COMMIT was sent. */
interface Written {
  places: Appended[]
  runs: NewRun[]
}

interface Sent {
  written?: Written
}

async function append(log: Log, events: readonly NewEvent[]): Promise<Appended[]> {
  if (events.length === 0) return []
  const partitions = events.map(({ clientKrn, stream, key }) =>
    partitionOf(clientKrn, stream, key, log.known.size),
  )
  const batch = { appendId: randomUUID(), events, partitions }
  const deadline = Date.now() + RETRY_MS
  let lost: Written | undefined
  for (;;) {
    const sent: Sent = {}
    try {
      return await withConnection(log.pool, async (client) => {
        const isSimple = lost === undefined && !log.isShared && events.every(({ id }) => id === undefined)
        const places = isSimple ? await appendAtKnown(client, log, batch, sent) : undefined
        return places ?? (await appendLocked(client, log, batch, lost, sent))
      })
    } catch (error) {
      if (sent.written !== undefined && isUnanswered(error)) lost = sent.written
      if (isPartitionMissing(error)) await ensureLogDays(log.pool)
      else if (isTransient(error) && Date.now() <= deadline) await delay(PAUSE_MS)
      // Never the raw error once a COMMIT is in doubt: the batch would be appended again, in halves.
      else throw isTransient(error) || lost !== undefined ? databaseAway(error) : error
    }
  }
}

interface Batch {
  appendId: string
  events: readonly NewEvent[]
  /** Of each event. */
  partitions: readonly number[]
}

/**
 * In one statement, which is its own transaction: a process that appends alone knows where partitions end. When its
 * connection is lost before it began, it may still begin after a second attempt; but then it finds other ends.
 *
 * @returns undefined when somebody else has appended, and nothing was written
 */
async function appendAtKnown(
  client: PoolClient,
  log: Log,
  { appendId, events, partitions }: Batch,
  sent: Sent,
): Promise<Appended[] | undefined> {
  const ends = new Map<number, number>()
  for (const partition of partitions) ends.set(partition, log.known.get(partition)!)
  const { places, runs } = cutRuns(events, partitions, () => true, ends)
  const [isWritten] = await inOneFlush(
    client,
    () => [writeRuns(client, appendId, runs, ends)],
    () => Object.assign(sent, { written: { places, runs } }),
  )
  if (isWritten) {
    remember(log, runs)
    return places
  }
  delete sent.written
  return undefined
}

/** Two round trips, each of one write to the socket: what is there, then what is added. */
async function appendLocked(
  client: PoolClient,
  log: Log,
  { appendId, events, partitions }: Batch,
  lost: Written | undefined,
  sent: Sent,
): Promise<Appended[]> {
  // The locks were the lost transaction's until it ended, so what comes after them knows what became of it.
  const [, ends, isNew, isWritten] = await inOneFlush(client, () => [
    client.query(BEGIN),
    lockPartitions(client, partitions),
    takeIds(client, events),
    lost === undefined ? Promise.resolve(false) : isThere(client, appendId, lost.runs),
  ])
  log.isShared = false
  for (const [partition, end] of ends) {
    if (log.known.get(partition) !== end) log.isShared = true
    log.known.set(partition, end)
  }
  if (isWritten) {
    await client.query('ROLLBACK')
    return lost!.places
  }
  const { places, runs } = cutRuns(events, partitions, isNew, ends)
  if (runs.length === 0) {
    await client.query('ROLLBACK')
    return places
  }
  await inOneFlush(
    client,
    () => [writeRuns(client, appendId, runs, ends), client.query('COMMIT')],
    () => Object.assign(sent, { written: { places, runs } }),
  )
  remember(log, runs)
  return places
}

function remember({ known }: Log, runs: readonly NewRun[]): void {
  for (const { partition, lastOffset } of runs) known.set(partition, lastOffset + 1)
}

/** In their order, so that appenders wait for each other and never in a circle. */
async function lockPartitions(tx: ClientBase, partitions: readonly number[]): Promise<Map<number, number>> {
  const { rows } = await tx.query({
    name: 'lock-log-partitions',
    text: `SELECT partition, next_offset FROM log_partitions
           WHERE partition = ANY ($1::smallint[]) ORDER BY partition FOR NO KEY UPDATE`,
    values: [numberArray([...new Set(partitions)])],
  })
  return new Map(rows.map(({ partition, next_offset }) => [partition, next_offset]))
}

async function isThere(tx: ClientBase, appendId: string, [first]: NewRun[]): Promise<boolean> {
  const { rowCount } = await tx.query(
    'SELECT FROM log_runs WHERE partition = $1 AND last_offset = $2 AND append_id = $3',
    [first!.partition, first!.lastOffset, appendId],
  )
  return rowCount === 1
}

/**
 * Marks the ids of events as taken, and tells which events are to be appended. A redelivery has the key of the first
 * delivery and so its partition: this statement comes after the lock, and sees what the holder before committed. That
 * may be an id of tomorrow, since the day is that on which a transaction began, before it waited for the lock.
 */
async function takeIds(tx: ClientBase, events: readonly NewEvent[]): Promise<(index: number) => boolean> {
  const firstWithId = new Map<string, number>()
  for (const [index, { id }] of events.entries())
    if (id !== undefined && !firstWithId.has(id)) firstWithId.set(id, index)
  if (firstWithId.size === 0) return () => true
  const { rows } = await tx.query<{ id: string }>({
    name: 'take-event-ids',
    text: `INSERT INTO event_ids (day, id)
           SELECT today, given.id
           FROM unnest($1::uuid[]) AS given (id), (SELECT (now() AT TIME ZONE 'UTC')::date AS today) t
           WHERE NOT EXISTS (SELECT FROM event_ids e WHERE e.id = given.id AND e.day IN (today - 1, today + 1))
           ORDER BY given.id
           ON CONFLICT DO NOTHING
           RETURNING id`,
    values: [plainArray([...firstWithId.keys()])],
  })
  const taken = new Set(rows.map(({ id }) => id))
  return (index) => {
    const { id } = events[index]!
    return id === undefined || (taken.has(id) && firstWithId.get(id) === index)
  }
}

/**
 * Adds runs and moves the ends of their partitions, if these are where they are said to be; else it does nothing and
 * tells so. Payloads come as one text, as they are full of quotes, which an array would need escaped; and the clock is
 * read under the locks, so that it does not go back within a partition.
 *
 * @param ends of all partitions of the runs
 */
async function writeRuns(
  tx: PoolClient,
  appendId: string,
  runs: readonly NewRun[],
  ends: ReadonlyMap<number, number>,
): Promise<boolean> {
  const { rowCount } = await tx.query({
    name: 'write-log-runs',
    text: `WITH locked AS MATERIALIZED (
             SELECT partition, next_offset FROM log_partitions
             WHERE partition = ANY ($1::smallint[]) ORDER BY partition FOR NO KEY UPDATE
           ), held AS MATERIALIZED (
             SELECT clock_timestamp() AS now
             FROM (SELECT count(*) AS partitions
                   FROM locked JOIN unnest($1::smallint[], $2::bigint[]) AS e (partition, next_offset)
                     USING (partition, next_offset)) l
             WHERE partitions = cardinality($1::smallint[])
           ), run AS MATERIALIZED (
             SELECT * FROM unnest($3::smallint[], $4::bigint[], $5::integer[], $6::text[], $7::text[],
                                  string_to_array($8, '${RUN_SEPARATOR}'))
               AS r (partition, last_offset, events, client_krn, stream, payloads), held
           ), moved AS (
             UPDATE log_partitions p SET next_offset = m.last_offset + 1
             FROM (SELECT partition, max(last_offset) AS last_offset FROM run GROUP BY partition) m
             WHERE p.partition = m.partition
           ), received AS (
             INSERT INTO log_received (partition, client_krn, stream, events)
             SELECT partition, client_krn, stream, sum(events) FROM run GROUP BY partition, client_krn, stream
             ON CONFLICT (client_krn, stream, partition) DO UPDATE
               SET events = log_received.events + excluded.events
           )
           INSERT INTO log_runs (day, partition, last_offset, events, client_krn, stream, appended_at, append_id, size_bytes, payloads)
           SELECT (now AT TIME ZONE 'UTC')::date, partition, last_offset, events, client_krn, stream, now, $9::uuid,
                  octet_length(payloads), payloads FROM run`,
    values: [
      numberArray([...ends.keys()]),
      numberArray([...ends.values()]),
      numberArray(runs.map(({ partition }) => partition)),
      numberArray(runs.map(({ lastOffset }) => lastOffset)),
      numberArray(runs.map(({ events }) => events)),
      runs.map(({ clientKrn }) => clientKrn),
      runs.map(({ stream }) => stream),
      runs.map(({ payloads }) => payloads).join(RUN_SEPARATOR),
      appendId,
    ],
  })
  return rowCount! > 0
}

async function readOnce(pool: Pool, partition: number, from: number, maxBytes: number): Promise<Slice> {
  const { rows } = await orAway(
    pool.query({
      name: 'read-log',
      // The clock is read with each row, as a partition without news has one row all the same.
      text: `SELECT t.now, r.* FROM (SELECT extract(epoch FROM statement_timestamp()) * 1000 AS now) t
             LEFT JOIN LATERAL (
               SELECT last_offset, events, client_krn, stream, extract(epoch FROM appended_at) * 1000 AS appended, payloads
               FROM (SELECT *, sum(size_bytes) OVER (ORDER BY last_offset) - size_bytes AS before
                     FROM (SELECT last_offset, events, client_krn, stream, appended_at, size_bytes, payloads
                           FROM log_runs WHERE partition = $1 AND last_offset >= $2
                           ORDER BY last_offset LIMIT ${MAX_RUNS_READ}) f) s
               WHERE before < $3) r ON true
             ORDER BY r.last_offset`,
      values: [partition, from, maxBytes],
    }),
  )
  if (rows[0].last_offset === null) return { runs: [], next: from, endedMs: Math.floor(Number(rows[0].now)) }
  const runs = rows.map(({ last_offset, events, client_krn, stream, appended, payloads }) => {
    const lines: string[] = payloads.split('\n')
    const before = Math.max(0, from - (last_offset - events + 1))
    return {
      firstOffset: last_offset - events + 1 + before,
      clientKrn: client_krn as string,
      stream: stream as string,
      appendedMs: Math.floor(Number(appended)),
      payloads: before > 0 ? lines.slice(before) : lines,
    }
  })
  return { runs, next: rows.at(-1).last_offset + 1, endedMs: undefined }
}

async function readEnds(pool: Pool): Promise<number[]> {
  const { rows } = await orAway(pool.query('SELECT next_offset FROM log_partitions ORDER BY partition'))
  return rows.map(({ next_offset }) => next_offset)
}

async function countFrom(
  pool: Pool,
  clientKrn: string,
  stream: string,
  froms: readonly (readonly number[])[],
): Promise<number[]> {
  const places = froms.flatMap((from, n) => from.map((first, partition) => ({ n, partition, first })))
  const { rows } = await orAway(
    pool.query<{ n: number; events: number }>(
      `SELECT f.n, sum(least(r.events, r.last_offset + 1 - f.first))::bigint AS events
       FROM unnest($3::integer[], $4::smallint[], $5::bigint[]) AS f (n, partition, first)
       JOIN log_runs r ON r.partition = f.partition AND r.last_offset >= f.first
       WHERE r.client_krn = $1 AND r.stream = $2 GROUP BY f.n`,
      [
        clientKrn,
        stream,
        numberArray(places.map(({ n }) => n)),
        numberArray(places.map(({ partition }) => partition)),
        numberArray(places.map(({ first }) => first)),
      ],
    ),
  )
  return froms.map((_, n) => rows.find((row) => row.n === n)?.events ?? 0)
}
