import type { Pool } from 'pg'
import { PebblesError } from '../../platform/errors.ts'
import { inTransaction } from '../../platform/postgres/database.ts'

export interface FoundTopic {
  cluster: string
  name: string
  id: string
  partitions: number
}

/**
 * A database's checkpoints, windows and archives are about the offsets of one topic. While nothing was read of it,
 * another may take its place.
 *
 * @returns the number of partitions by which keys are distributed, which the first start fixes
 */
export function bindDatabase(pool: Pool, topic: FoundTopic): Promise<number> {
  return inTransaction(pool, async (tx) => {
    await tx.query(`SELECT pg_advisory_xact_lock(hashtext('pebbles.log_topic'))`)
    const { rows } = await tx.query(
      `SELECT (SELECT topic_id FROM log_topic)::text AS topic_id, (SELECT topic FROM log_topic) AS topic,
              (SELECT partitions FROM log_topic) AS partitions,
              EXISTS (SELECT FROM log_partitions WHERE next_offset > 0) AS is_other,
              EXISTS (SELECT FROM log_checkpoints WHERE position > 0) AS is_read`,
    )
    const { topic_id, topic: boundName, partitions, is_other, is_read } = rows[0]
    if (topic_id === topic.id) {
      if (topic.partitions < partitions) throw misconfigured(anotherTopic(topic.name))
      return partitions
    }
    if (is_other)
      throw misconfigured(
        'STREAM_LOG is kafka, and this database holds an event log of its own, which its windows are made of: leave STREAM_LOG=postgres, or take a new database.',
      )
    if (is_read) {
      if (boundName !== null && boundName !== topic.name)
        throw misconfigured(
          `STREAM_TOPIC is ${topic.name}, and the windows of this database are made of the topic ${boundName}: set STREAM_TOPIC to that, or take a new database.`,
        )
      throw misconfigured(anotherTopic(topic.name))
    }
    await tx.query('DELETE FROM log_ids')
    await tx.query('DELETE FROM log_adopted')
    await tx.query('DELETE FROM log_topic')
    await tx.query('INSERT INTO log_topic (cluster, topic, topic_id, partitions) VALUES ($1, $2, $3, $4)', [
      topic.cluster,
      topic.name,
      topic.id,
      topic.partitions,
    ])
    return topic.partitions
  })
}

/** For the log in PostgreSQL. @throws PebblesError `misconfigured` when the windows are made of a topic */
export async function requireNoTopic(pool: Pool): Promise<void> {
  const { rows } = await pool.query(
    'SELECT topic FROM log_topic WHERE EXISTS (SELECT FROM log_checkpoints WHERE position > 0)',
  )
  if (rows.length > 0)
    throw misconfigured(
      `STREAM_LOG is postgres, and the windows of this database are made of the Kafka topic ${rows[0].topic}: set STREAM_LOG=kafka, or take a new database.`,
    )
}

export const anotherTopic = (name: string) =>
  `The topic ${name} was deleted and made again, or belongs to another cluster: the windows of this database are made of the one before it, and its offsets begin anew. Nothing is read or appended until the former topic is back, or STREAM_TOPIC names it. To begin anew with this topic, take a new database.`

export function misconfigured(message: string): PebblesError {
  return new PebblesError('misconfigured', message)
}
