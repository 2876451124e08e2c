import type { ClientBase, Pool } from 'pg'
import { numberArray, plainArray } from '../../platform/postgres/arrays.ts'
import { inOneFlush, inTransaction, withConnection } from '../../platform/postgres/database.ts'
import { isPartitionMissing } from '../../progress/postgres/ids-postgres.ts'

const DAY_MS = 24 * 3_600_000
const DAYS_AHEAD = 3

/** An event with an id, where a reader met it. */
export interface Occurrence {
  id: string
  offset: number
  /** By the broker's clock. */
  appendedMs: number
}

/**
 * Which of the events with ids are the first of their id within 24 hours, in a log that cannot tell when it appends.
 *
 * Readers ask in the order of offsets, from a checkpoint on, and a checkpoint stands only behind what was asked about.
 * So at any offset the index holds all that come before it, whoever asked, and the answer is the same for everybody,
 * however often an event is read (`docs/adr/0020-kafka-log.md`).
 *
 * @param occurrences of one partition, in the order of offsets
 * @returns the offsets of those that are none
 */
export async function findDuplicates(
  pool: Pool,
  partition: number,
  occurrences: readonly Occurrence[],
): Promise<ReadonlySet<number>> {
  const duplicates = new Set<number>()
  /** When the one was appended that counts. */
  const counted = new Map<string, number>()
  let rest = occurrences
  // One round, unless a slice holds the same id more than once, more than 24 hours apart.
  while (rest.length > 0) {
    const asked = new Map<string, Occurrence>()
    const later: Occurrence[] = []
    for (const occurrence of rest) {
      const { id, offset, appendedMs } = occurrence
      const countedMs = counted.get(id)
      if (countedMs !== undefined && appendedMs - countedMs < DAY_MS) duplicates.add(offset)
      else if (asked.has(id)) later.push(occurrence)
      else asked.set(id, occurrence)
    }
    const firsts = await ask(pool, partition, [...asked.values()])
    for (const { id, offset } of asked.values()) {
      const first = firsts.get(offset)
      if (first?.offset !== offset) duplicates.add(offset)
      if (first !== undefined) counted.set(id, first.appendedMs)
    }
    rest = later
  }
  return duplicates
}

interface First {
  offset: number
  appendedMs: number
}

/** @returns by the offset of each occurrence, the newest one up to it that counts */
async function ask(
  pool: Pool,
  partition: number,
  occurrences: readonly Occurrence[],
): Promise<Map<number, First>> {
  if (occurrences.length === 0) return new Map()
  try {
    return await withConnection(pool, (client) => askOnce(client, partition, occurrences))
  } catch (error) {
    if (!isPartitionMissing(error)) throw error
    const days = occurrences.map(({ appendedMs }) => appendedMs)
    await ensureIdDays(pool, Math.min(...days), Math.max(...days))
    return withConnection(pool, (client) => askOnce(client, partition, occurrences))
  }
}

/** The second statement sees what the first one wrote, and what others wrote whom it met. */
async function askOnce(
  client: ClientBase,
  partition: number,
  occurrences: readonly Occurrence[],
): Promise<Map<number, First>> {
  const times = occurrences.map(({ appendedMs }) => appendedMs)
  const day = (ms: number) => Math.floor(ms / DAY_MS)
  const values = [
    partition,
    plainArray(occurrences.map(({ id }) => id)),
    numberArray(occurrences.map(({ offset }) => offset)),
    numberArray(times),
    // One day more to either side: ids count for 24 hours, and clocks of brokers may differ a little.
    day(Math.min(...times)) - 1,
    day(Math.max(...times)) + 1,
  ]
  const given = 'unnest($2::uuid[], $3::bigint[], $4::bigint[]) AS g (id, log_offset, appended_ms)'
  // LATERAL and LIMIT: an index is looked at for each, whatever is believed of the size of the table.
  const before = (join: string) => `${join} JOIN LATERAL (
      SELECT e.log_offset, e.appended_ms FROM log_ids e
      WHERE e.partition = $1 AND e.id = g.id AND e.log_offset <= g.log_offset
        AND e.day BETWEEN date '1970-01-01' + $5::int AND date '1970-01-01' + $6::int
      ORDER BY e.log_offset DESC LIMIT 1) f ON true`
  const [, { rows }] = await inOneFlush(client, () => [
    client.query({
      name: 'take-log-ids',
      text: `INSERT INTO log_ids (day, partition, id, log_offset, appended_ms)
             SELECT date '1970-01-01' + (g.appended_ms / ${DAY_MS})::int, $1, g.id, g.log_offset, g.appended_ms
             FROM ${given} ${before('LEFT')}
             WHERE f.log_offset IS NULL OR g.appended_ms - f.appended_ms >= ${DAY_MS}
             ORDER BY g.id ON CONFLICT DO NOTHING`,
      values,
    }),
    client.query({
      name: 'find-log-ids',
      text: `SELECT g.log_offset AS asked, f.log_offset, f.appended_ms FROM ${given} ${before('INNER')}`,
      values,
    }),
  ])
  return new Map(
    rows.map(({ asked, log_offset, appended_ms }) => [
      asked,
      { offset: log_offset, appendedMs: appended_ms },
    ]),
  )
}

/** Makes the partitions that ids are written to. */
function ensureIdDays(pool: Pool, fromMs: number, toMs: number): Promise<void> {
  return inTransaction(pool, async (tx) => {
    // Without a limit, as those who hold it make partitions too.
    await tx.query(`SELECT pg_advisory_xact_lock(hashtext('pebbles.log_id_days'))`)
    await tx.query(LOCK_TIMEOUT)
    await tx.query(`SELECT ensure_log_id_days(date '1970-01-01' + $1::int, date '1970-01-01' + $2::int)`, [
      Math.floor(fromMs / DAY_MS),
      Math.floor(toMs / DAY_MS),
    ])
  })
}

/** For some days ahead. */
export const ensureIdDaysAhead = (pool: Pool) =>
  ensureIdDays(pool, Date.now() - DAY_MS, Date.now() + DAYS_AHEAD * DAY_MS)

/** Making or dropping a partition locks its table against all writers; see `progress/postgres/ids-postgres.ts`. */
const LOCK_TIMEOUT = "SET LOCAL lock_timeout = '500ms'"

/**
 * Drops, whole, the days of ids that nobody looks at any more. Ids of a day count until the end of the next one, so a
 * group of readers is through with it when it has passed all that was appended before the day after that.
 *
 * @returns the tables that are gone
 */
export async function dropOldIdDays(pool: Pool, { groups, offsetsAt, keptDays }: IdDays): Promise<string[]> {
  const { rows } = await pool.query<{ name: string; day: number }>(
    `SELECT c.relname AS name, to_date(right(c.relname, 8), 'YYYYMMDD') - date '1970-01-01' AS day
     FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'log_ids'::regclass ORDER BY c.relname`,
  )
  const today = Math.floor(Date.now() / DAY_MS)
  const dropped: string[] = []
  for (const { name, day } of rows) {
    const endMs = (day + 2) * DAY_MS
    if (day + 2 >= today) break
    // A segment of the topic is deleted a day late at most.
    const isGone = day + 2 + keptDays + 1 < today
    if (!isGone && (await isNeeded(pool, groups, await offsetsAt(endMs)))) break
    await inTransaction(pool, async (tx) => {
      await tx.query(LOCK_TIMEOUT)
      await tx.query(`DROP TABLE IF EXISTS ${name}`)
    })
    dropped.push(name)
  }
  return dropped
}

export interface IdDays {
  /** Of readers, whose checkpoints are offsets. */
  groups: readonly string[]
  /** Per partition, the first offset that was appended at or after a time, or the end. */
  offsetsAt: (timeMs: number) => Promise<number[]>
  /** For which events stay in the log: ids of what is gone are needed by nobody. */
  keptDays: number
}

/** True when a group has not passed these offsets; a partition that it has not begun is needed. */
async function isNeeded(pool: Pool, groups: readonly string[], offsets: readonly number[]): Promise<boolean> {
  const { rows } = await pool.query(
    `SELECT EXISTS (
       SELECT FROM unnest($2::text[]) AS g (reader_group)
       CROSS JOIN unnest($1::bigint[]) WITH ORDINALITY AS o (passed, place)
       LEFT JOIN log_checkpoints c ON c.reader_group = g.reader_group AND c.partition = o.place - 1
       WHERE coalesce(c.resume_offset, 0) < o.passed) AS needed`,
    [numberArray(offsets), groups],
  )
  return rows[0].needed
}
