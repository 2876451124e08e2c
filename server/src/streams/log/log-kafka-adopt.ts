import type { Pool } from 'pg'
import { digest } from '../../platform/digest.ts'
import type { Appended, NewEvent } from './log.ts'

export interface Misplaced {
  offset: number
  event: NewEvent
}

/**
 * Appends page views of others again, in the partition of their key: two partitions with one key would have two windows
 * for it. Each reader meets them, and the first one does it. What it appends has an id made of the place where it was
 * found, so two that do it at once, or a process that dies before it has said so, double nothing.
 */
export function createAdopter(
  pool: Pool,
  topicId: string,
  append: (events: readonly NewEvent[]) => Promise<Appended[]>,
): (partition: number, misplaced: readonly Misplaced[]) => Promise<void> {
  return async (partition, misplaced) => {
    const { rows } = await pool.query('SELECT next_offset FROM log_adopted WHERE partition = $1', [partition])
    const adopted = rows[0]?.next_offset ?? 0
    const events = misplaced
      .filter(({ offset }) => offset >= adopted)
      .map(({ offset, event }) => ({
        ...event,
        id: event.id ?? digest('adopted', topicId, String(partition), String(offset)),
      }))
    if (events.length === 0) return
    await append(events)
    await pool.query(
      `INSERT INTO log_adopted AS a (partition, next_offset) VALUES ($1, $2)
       ON CONFLICT (partition) DO UPDATE SET next_offset = greatest(a.next_offset, excluded.next_offset)`,
      [partition, misplaced.at(-1)!.offset + 1],
    )
  }
}
