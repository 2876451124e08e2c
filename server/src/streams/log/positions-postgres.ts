import type { Pool } from 'pg'

const QUERY_TIMEOUT_MS = 3_000

/** Where a group of readers is in each partition: what lies before is done with. A partition that nobody began is left out. */
export async function readPositions(pool: Pool, group: string): Promise<Map<number, number>> {
  const { rows } = await pool.query<{ partition: number; position: number }>({
    name: 'read-positions',
    text: 'SELECT partition, position FROM log_checkpoints WHERE reader_group = $1',
    values: [group],
    query_timeout: QUERY_TIMEOUT_MS,
  } as { name: string; text: string; values: string[] })
  return new Map(rows.map(({ partition, position }) => [partition, position]))
}
