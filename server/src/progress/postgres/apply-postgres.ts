import type { ClientBase, Pool, PoolClient } from 'pg'
import { PebblesError } from '../../platform/errors.ts'
import {
  BEGIN,
  databaseAway,
  inOneFlush,
  isTransient,
  isUnanswered,
  settle,
  sqlState,
  withConnection,
} from '../../platform/postgres/database.ts'
import { backOff } from '../../platform/wait.ts'
import { type BatchResult, foldBatch } from '../batch.ts'
import type { Update } from '../record.ts'
import type { Outcome } from '../store.ts'
import { ensureIdPartitions, isPartitionMissing } from './ids-postgres.ts'
import { findCommitted, lockRecords, lookUpIds, type TransactionMark } from './sql-read.ts'
import { writeBatch } from './sql-write.ts'

/**
 * The write path of the ledger on PostgreSQL: two round trips a batch.
 *
 *   1. BEGIN · lock the records in the order of their ids · look up the ids      (one flush)
 *   2. write records, issues, events and ids · COMMIT                (one flush)
 *
 * Why no update is applied twice: a redelivery is about the same record, so its transaction waits at that record's
 * row lock until the first one has ended, and the ids are read after the lock, in a new snapshot. Files that do not
 * exist yet have no row to lock; there the unique index decides, the loser rolls back and runs again. One id used
 * for two files at the same instant meets at the primary key of the ids, with the same end.
 *
 * Why there are no deadlocks: every batch takes the locks of records in the order of their ids, and then, in one and
 * the same statement, inserts new records and then update ids, each in their order.
 *
 * When the connection breaks while COMMIT is under way, nobody knows whether it happened. The next attempt finds out:
 * it waits at the same locks and then looks for an event that only the lost transaction can have written.
 */
export function applyBatch(lanes: Pool, updates: readonly Update[]): Promise<Outcome[]> {
  return untilCommitted(lanes, inDoubt, (client, lost, sent) => transact(client, updates, lost, sent))
}

/**
 * Tries a transaction again as long as that may help.
 *
 * @param inDoubt  what to throw when it is given up although one of its COMMITs may have happened
 * @param transact  is given the attempts whose COMMIT nobody answered, and an object to fill in before it sends its own
 */
export async function untilCommitted<T>(
  lanes: Pool,
  inDoubt: (cause: unknown) => Error,
  transact: (client: PoolClient, lost: readonly SentBatch[], sent: Partial<SentBatch>) => Promise<T>,
): Promise<T> {
  const deadline = Date.now() + RETRY_FOR_MS
  const lost: SentBatch[] = []
  let isPartitionAbsent = false
  for (let attempt = 1; ; attempt++) {
    const sent: Partial<SentBatch> = {}
    try {
      if (isPartitionAbsent) await ensureIdPartitions(lanes)
      return await withConnection(lanes, (client) => transact(client, lost, sent))
    } catch (error) {
      if (isSent(sent) && isUnanswered(error)) lost.push(sent)
      isPartitionAbsent = isPartitionMissing(error)
      const isPassing = isTransient(error) || isPartitionAbsent || sqlState(error) === UNIQUE_VIOLATION
      if (!isPassing || Date.now() > deadline)
        throw lost.length > 0 ? inDoubt(error) : failure(error, isPassing)
      await backOff(attempt, { stepMs: 1, maxMs: 500 })
    }
  }
}

const failure = (error: unknown, isPassing: boolean) => (isPassing ? databaseAway(error) : error)

/** Never the raw error: that would make the ledger apply the batch again, and it may have been applied. */
const inDoubt = (cause: unknown) =>
  new PebblesError(
    'unavailable',
    'The database went away while the update was written. With an Idempotency-Key it can be sent again safely.',
    { retryAfterSeconds: 2, cause },
  )

const RETRY_FOR_MS = 10_000
const UNIQUE_VIOLATION = '23505'

/** A batch whose COMMIT was sent: what it would have answered, and how to recognise it. */
export interface SentBatch {
  mark: TransactionMark
  result: BatchResult
}

const isSent = (sent: Partial<SentBatch>): sent is SentBatch => sent.result !== undefined

async function transact(
  client: PoolClient,
  updates: readonly Update[],
  lost: readonly SentBatch[],
  sent: Partial<SentBatch>,
): Promise<Outcome[]> {
  const [, states, { mark, earlier }, committed] = await inOneFlush(client, () => [
    client.query(BEGIN),
    lockRecords(client, updates),
    lookUpIds(client, updates),
    settle(lost.map((batch) => findCommitted(client, batch.mark, batch.result.applied))),
  ])
  const found = lost[committed.indexOf(true)]
  if (found) {
    await client.query('ROLLBACK')
    return found.result.outcomes
  }
  const result = foldBatch(updates, states, earlier)
  await inOneFlush(
    client,
    () => [writeBatch(client, result, mark), client.query('COMMIT')],
    () => Object.assign(sent, { mark, result }),
  )
  return result.outcomes
}

/**
 * Applies updates inside a transaction of the caller's, on any kind of connection: the importer's rows, checkpoint
 * and counts commit together.
 */
export async function applyWithin(tx: ClientBase, updates: readonly Update[]): Promise<Outcome[]> {
  const [states, { earlier }] = await settle([lockRecords(tx, updates), lookUpIds(tx, updates)])
  const result = foldBatch(updates, states, earlier)
  await writeBatch(tx, result)
  return result.outcomes
}
