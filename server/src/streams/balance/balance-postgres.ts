import type { Pool } from 'pg'
import { orAway } from '../../platform/postgres/database.ts'
import type { EventLog } from '../log/log.ts'
import type { Found } from './balance.ts'

export interface BooksQuestion {
  clientKrn: string
  stream: string
  isRecount: boolean
  /** Whether events are archived. */
  isArchived: boolean
}

/**
 * Counts what is there of a stream, in one statement, and so at one instant, also while events come in. A log that is
 * not in the database counts what it holds behind the positions of that instant, and nobody else counts what it takes
 * in.
 *
 * With `isRecount` it counts the aggregates one by one, too: as much of an index as there are, bounded by the pool's 30 s.
 *
 * @throws PebblesError `unavailable`, also when counting took too long
 */
export async function countStreamBooks(
  pool: Pool,
  log: Pick<EventLog, 'partitions' | 'isInDatabase' | 'count'>,
  { clientKrn, stream, isRecount, isArchived }: BooksQuestion,
): Promise<Found> {
  const recount = isRecount
    ? '(SELECT coalesce(sum(events), 0) FROM aggregates a WHERE a.scope_id = s.id)::bigint'
    : 'NULL'
  const text = `
    SELECT
      (SELECT coalesce(sum(events), 0) FROM log_received WHERE client_krn = $1 AND stream = $2)::bigint AS received,
      ${eventsBehind('aggregator')} AS in_flight,
      ${archivedAs('raw')} AS archived,
      ${archivedAs('never')} AS never_archived,
      ${isArchived ? eventsBehind('archiver') : 'NULL'} AS archive_in_flight,
      coalesce(sum(p.counted), 0)::bigint AS counted,
      coalesce(sum(p.late), 0)::bigint AS late,
      coalesce(sum(p.revised), 0)::bigint AS revised,
      coalesce(sum(p.open), 0)::bigint AS open,
      (SELECT coalesce(sum(events), 0) FROM closings c WHERE c.scope_id = s.id)::bigint AS closings,
      (SELECT count(*) FROM late_events l WHERE l.scope_id = s.id) AS late_events,
      (SELECT count(*) FROM late_events l WHERE l.scope_id = s.id AND l.revised) AS revised_events,
      ${positionsOf('aggregator')} AS positions,
      ${positionsOf('archiver')} AS archive_positions,
      ${recount} AS aggregates
    FROM (SELECT (SELECT id FROM stream_scopes WHERE client_krn = $1 AND stream = $2) AS id) s
    LEFT JOIN scope_progress p ON p.scope_id = s.id
    GROUP BY s.id`
  const { rows } = await orAway(pool.query(text, [clientKrn, stream, log.partitions]))
  const { closings, late_events, revised_events, aggregates, ...row } = rows[0]
  const tables = {
    closings,
    lateEvents: late_events,
    revisedEvents: revised_events,
    aggregates: aggregates ?? undefined,
  }
  const { counted, late, revised, open } = row
  let { received, in_flight: inFlight, archive_in_flight: archiveInFlight } = row
  if (!log.isInDatabase) {
    const froms = isArchived ? [row.positions, row.archive_positions] : [row.positions]
    ;[inFlight = 0, archiveInFlight = 0] = await log.count(clientKrn, stream, froms)
    received = counted + late + open + inFlight
  }
  const { archived, never_archived: never } = row
  const archive = isArchived ? { archived, never, inFlight: archiveInFlight } : undefined
  return { received, counted, late, revised, open, inFlight, archive, tables }
}

/** Events of the stream that lie in the log behind the position of a group. */
const eventsBehind = (group: string) => `
  (SELECT coalesce(sum(least(r.events, r.last_offset + 1 - coalesce(c.position, 0))), 0)
   FROM log_partitions p
   LEFT JOIN log_checkpoints c ON c.partition = p.partition AND c.reader_group = '${group}'
   JOIN log_runs r ON r.partition = p.partition AND r.last_offset >= coalesce(c.position, 0)
   WHERE r.client_krn = $1 AND r.stream = $2)::bigint`

const archivedAs = (kind: 'raw' | 'never') => `
  (SELECT coalesce(sum(archived_rows), 0) FROM archived
   WHERE client_krn = $1 AND stream = $2 AND kind = '${kind}')::bigint`

/** Where a group is in each partition. */
const positionsOf = (group: string) => `
  (SELECT json_agg(coalesce(c.position, 0) ORDER BY n)
   FROM generate_series(0, $3::int - 1) n
   LEFT JOIN log_checkpoints c ON c.partition = n AND c.reader_group = '${group}')`
