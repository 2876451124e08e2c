import { numberArray, plainArray } from '../../platform/postgres/arrays.ts'
import type { Database } from '../../platform/postgres/database.ts'
import { isConnectionLoss, orAway } from '../../platform/postgres/database.ts'
import { recordIdOf } from '../record.ts'
import type {
  IssueWindow,
  NumberedIssue,
  ProgressEvent,
  ProgressRecord,
  RecordCursor,
  RecordFilter,
  RecordStore,
  RefusedUpdate,
} from '../store.ts'
import { type AllNew, applyLogBatch, readPosition } from './apply-log-postgres.ts'
import { applyBatch } from './apply-postgres.ts'
import { bindIdToday } from './ids-postgres.ts'
import { type EventRow, eventsOf } from './runs-postgres.ts'

const ISSUE_KINDS = { errors: 0, warnings: 1 } as const

/** The record store on PostgreSQL ≥ 15. Tables: `migrations/0001_ledger.sql`. */
export function createPostgresStore({
  pool,
  lanes,
  logs,
}: Pick<Database, 'pool' | 'lanes' | 'logs'>): RecordStore {
  const allNew: AllNew = new Set()
  /** For work that may be repeated: once more when the pool's connection turned out to be dead. */
  const repeatable = <T>(work: () => Promise<T>): Promise<T> =>
    orAway(work().catch((error) => (isConnectionLoss(error) ? work() : Promise.reject(error))))

  const query = (name: string, text: string, values: unknown[]): Promise<Row[]> =>
    repeatable(async () => (await pool.query({ name, text, values })).rows)

  async function list(filter: RecordFilter, page: { limit: number; after?: RecordCursor | undefined }) {
    const { clientKrn, filename, email } = filter
    if (filename !== undefined) {
      const found = await byIds([recordIdOf(clientKrn, filename)])
      return found.filter((record) => email === undefined || record.email === email)
    }
    const values: unknown[] = [clientKrn]
    const bind = (value: unknown) => `$${values.push(value)}`
    let where = 'client_krn = $1'
    if (email !== undefined) where += ` AND email = ${bind(email)}`
    if (page.after) {
      const at = bind(new Date(page.after.updatedAtMs))
      where += ` AND listed_at <= date_trunc('second', ${at}::timestamptz)
                 AND (updated_at, id) < (${at}::timestamptz, ${bind(page.after.id)}::uuid)`
    }
    const text = `SELECT * FROM records WHERE ${where}
                  ORDER BY listed_at DESC, updated_at DESC, id DESC LIMIT ${bind(page.limit)}`
    // One name per shape of the question, so that each is prepared once.
    return (await query(`list-records-${email !== undefined}-${!!page.after}`, text, values)).map(toRecord)
  }

  async function byIds(ids: string[]): Promise<ProgressRecord[]> {
    return (await query('records-by-ids', 'SELECT * FROM records WHERE id = ANY ($1::uuid[])', [ids])).map(
      toRecord,
    )
  }

  async function issues(windows: readonly IssueWindow[]): Promise<NumberedIssue[][]> {
    const found = windows.map((): NumberedIssue[] => [])
    const rows = await query(
      'read-issues',
      `SELECT w.place, i.ordinal, i.line, i.message
       FROM unnest($1::uuid[], $2::smallint[], $3::bigint[], $4::bigint[])
            WITH ORDINALITY AS w (record_id, kind, after, up_to, place)
       CROSS JOIN LATERAL (
         SELECT ordinal, line, message FROM issues
         WHERE record_id = w.record_id AND kind = w.kind AND ordinal > w.after AND ordinal <= w.up_to
         ORDER BY ordinal) i
       ORDER BY w.place, i.ordinal`,
      [
        plainArray(windows.map(({ recordId }) => recordId)),
        numberArray(windows.map(({ kind }) => ISSUE_KINDS[kind])),
        numberArray(windows.map(({ after }) => after)),
        numberArray(windows.map(({ upTo }) => upTo)),
      ],
    )
    for (const { place, ordinal, line, message } of rows) found[place - 1]!.push({ ordinal, line, message })
    return found
  }

  async function events(recordId: string, page: { limit: number; after: number }): Promise<ProgressEvent[]> {
    // From the row that has the event before the page, since an event's own counts are a difference, to the one that
    // has the page's last: sequences have no gaps, rows may hold several.
    const rows = (await query(
      'read-events',
      `SELECT * FROM events
       WHERE record_id = $1 AND sequence >= $2
         AND sequence <= coalesce((SELECT min(sequence) FROM events WHERE record_id = $1 AND sequence >= $3), $3)
       ORDER BY sequence`,
      [recordId, page.after, page.after + page.limit],
    )) as EventRow[]
    return eventsOf(rows)
      .filter(({ sequence }) => sequence > page.after)
      .slice(0, page.limit)
  }

  async function refusals(
    recordId: string,
    page: { limit: number; after: number },
  ): Promise<RefusedUpdate[]> {
    const rows = await query(
      'read-refusals',
      'SELECT * FROM refusals WHERE record_id = $1 AND id > $2 ORDER BY id LIMIT $3',
      [recordId, page.after, page.limit],
    )
    return rows.map(({ id, at, channel, update_id, email, result, done, warn, failed }) => {
      return { ordinal: id, at, channel, updateId: update_id, email, result, counts: { done, warn, failed } }
    })
  }

  return {
    apply: (updates) => applyBatch(lanes, updates),
    applyFrom: (batch) => applyLogBatch(logs, allNew, batch),
    position: (source) => repeatable(() => readPosition(pool, source)),
    list,
    byIds,
    issues,
    events,
    refusals,
    bindKey: ({ id, fingerprint }) => repeatable(() => bindIdToday(pool, id, fingerprint)),
  }
}

// biome-ignore lint/suspicious/noExplicitAny: rows come untyped from the driver; this is where they get their type.
type Row = any

function toRecord(row: Row): ProgressRecord {
  return {
    id: row.id,
    clientKrn: row.client_krn,
    filename: row.filename,
    email: row.email,
    counts: { done: row.done, warn: row.warn, failed: row.failed },
    total: row.total,
    isCompleted: row.is_completed,
    errorsTotal: row.errors_total,
    warningsTotal: row.warnings_total,
    sequence: row.sequence,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}
