import type { ClientBase, Pool, PoolClient } from 'pg'
import { BEGIN, databaseAway, inOneFlush, settle } from '../../platform/postgres/database.ts'
import { type BatchResult, foldBatch } from '../batch.ts'
import type { RecordState } from '../record.ts'
import type { LogBatch, LogOutcome, LogSource } from '../store.ts'
import { type SentBatch, untilCommitted } from './apply-postgres.ts'
import { findCommitted, lockRecords, lookUpIds } from './sql-read.ts'
import { MANY, writeBatch } from './sql-write.ts'

/**
 * Applies a stretch of a log and moves its source's position in one transaction of two round trips, as `applyBatch`
 * does for single updates: the position is locked before the records, and moved before COMMIT.
 *
 * The position's row lock puts the readers of a partition in a row; whoever comes late finds that the position has
 * moved, and passes over what is done. No deadlock comes of it: nobody waits for a position while it holds a record.
 */
export async function applyLogBatch(lanes: Pool, allNew: AllNew, batch: LogBatch): Promise<LogOutcome> {
  const partition = keyOf(batch.source).join()
  let isGuess = allNew.delete(partition) && batch.updates.length >= MANY
  return untilCommitted(lanes, databaseAway, async (client, lost, sent) => {
    const guessing = isGuess
    // Whatever goes wrong, the next try is sure.
    isGuess = false
    const outcome = await transact(client, batch, lost, sent, guessing)
    if (outcome === undefined) {
      await beginAt(client, batch)
      return (await transact(client, batch, lost, sent))!
    }
    if (sent.result && isAllNew(sent.result)) allNew.add(partition)
    return outcome
  })
}

/**
 * Partitions whose last batch made many records and touched none that was there before. Of the next one that is guessed,
 * and it looks for no records: should there be one, its primary key refuses the new one, and the batch is tried again.
 */
export type AllNew = Set<string>

const isAllNew = ({ changes }: BatchResult): boolean =>
  changes.size >= MANY && [...changes.values()].every(({ isNew }) => isNew)

/** @returns undefined when the source has no position yet, and nothing was done */
async function transact(
  client: PoolClient,
  batch: LogBatch,
  lost: readonly SentBatch[],
  sent: Partial<SentBatch>,
  isGuess = false,
): Promise<LogOutcome | undefined> {
  const { source, from, next, updates } = batch
  const [, position, states, { mark, earlier }, committed] = await inOneFlush(client, () => [
    client.query(BEGIN),
    lockPosition(client, source),
    isGuess ? NO_RECORDS : lockRecords(client, updates),
    lookUpIds(client, updates),
    settle(lost.map((attempt) => findCommitted(client, attempt.mark, attempt.result.applied))),
  ])
  const outcomes: LogOutcome['outcomes'] = updates.map(() => undefined)
  const found = lost[committed.indexOf(true)]
  if (position === undefined || position < from || position >= next) {
    await client.query('ROLLBACK')
    if (position === undefined) return undefined
    // Announced by nobody yet. What such a transaction applied is the end of the batch.
    if (found) fillEnd(outcomes, found.result.outcomes)
    return { position, outcomes }
  }
  const isNew = updates.filter(({ offset }) => offset >= position)
  const result = foldBatch(isNew, states, earlier)
  // What was refused or comes again has no new record whose key would tell that the guess was wrong.
  if (isGuess && (result.refused.length > 0 || earlier.size > 0)) {
    await client.query('ROLLBACK')
    return transact(client, batch, lost, sent)
  }
  fillEnd(outcomes, result.outcomes)
  await inOneFlush(
    client,
    () => [writeBatch(client, result, mark), movePosition(client, source, next), client.query('COMMIT')],
    () => Object.assign(sent, { mark, result }),
  )
  return { position: next, outcomes }
}

const NO_RECORDS = Promise.resolve(new Map<string, RecordState>())

function fillEnd<T>(list: (T | undefined)[], end: readonly T[]): void {
  const start = list.length - end.length
  for (let i = 0; i < end.length; i++) list[start + i] = end[i]
}

const keyOf = ({ cluster, topicId, partition, group }: LogSource) => [cluster, topicId, partition, group]

const OF_SOURCE = 'cluster = $1 AND topic_id = $2 AND partition = $3 AND reader_group = $4'

/** In a transaction of its own: one that waits here for another must not hold records yet. */
async function beginAt(client: ClientBase, { source, from }: LogBatch): Promise<void> {
  await client.query({
    name: 'begin-position',
    text: `INSERT INTO log_positions (cluster, topic_id, partition, reader_group, next_offset)
           VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
    values: [...keyOf(source), from],
  })
}

async function lockPosition(tx: ClientBase, source: LogSource): Promise<number | undefined> {
  const { rows } = await tx.query<{ next_offset: number }>({
    name: 'lock-position',
    text: `SELECT next_offset FROM log_positions WHERE ${OF_SOURCE} FOR NO KEY UPDATE`,
    values: keyOf(source),
  })
  return rows[0]?.next_offset
}

async function movePosition(tx: ClientBase, source: LogSource, next: number): Promise<void> {
  await tx.query({
    name: 'move-position',
    text: `UPDATE log_positions SET next_offset = $5, updated_at = now() WHERE ${OF_SOURCE}`,
    values: [...keyOf(source), next],
  })
}

export async function readPosition(pool: Pool, source: LogSource): Promise<number | undefined> {
  const { rows } = await pool.query<{ next_offset: number }>({
    name: 'read-position',
    text: `SELECT next_offset FROM log_positions WHERE ${OF_SOURCE}`,
    values: keyOf(source),
  })
  return rows[0]?.next_offset
}
