import type { Issue, IssueKind } from '../record.ts'
import type { Applied, IssueWindow, ProgressRecord, RecordStore } from '../store.ts'
import { SHOWN_ISSUES } from './schema.ts'

/** Issues on one page of a list, all records together: what keeps a page's size independent of the records on it. */
const MAX_PAGE_ISSUES = 5_000

export interface ShownIssues {
  errors: Issue[]
  warnings: Issue[]
}

/** What says which issues of a record are shown: its totals, now or as they were after some update. */
type Shown = { recordId: string } & Pick<Applied['totals'], 'errorsTotal' | 'warningsTotal'>

/**
 * The newest 1,000 issues of each kind, for each of these, in one query. Issues never change, so an outcome that is
 * given again later shows exactly those of the first time.
 */
export async function shownIssues(store: RecordStore, records: readonly Shown[]): Promise<ShownIssues[]> {
  const windows = records.flatMap(({ recordId, errorsTotal, warningsTotal }) => [
    newest(recordId, 'errors', errorsTotal),
    newest(recordId, 'warnings', warningsTotal),
  ])
  const isAny = windows.some(({ upTo }) => upTo > 0)
  const found = isAny ? await store.issues(windows) : []
  const shown = (index: number) => (found[index] ?? []).map(({ line, message }) => ({ line, message }))
  return records.map((_, index) => ({ errors: shown(2 * index), warnings: shown(2 * index + 1) }))
}

function newest(recordId: string, kind: IssueKind, total: number): IssueWindow {
  return { recordId, kind, after: Math.max(0, total - SHOWN_ISSUES), upTo: total }
}

/** Records as `GET` shows them. */
export async function showRecords(store: RecordStore, records: readonly ProgressRecord[]) {
  const issues = await shownIssues(
    store,
    records.map((record) => ({ ...record, recordId: record.id })),
  )
  return records.map((record, index) => ({ ...showTotals(record), ...issues[index]! }))
}

/** A record as live views show it. */
export function showTotals(record: ProgressRecord) {
  return { ...record, createdAt: record.createdAt.toISOString(), updatedAt: record.updatedAt.toISOString() }
}

/** Cuts a page where the issues to be shown on it become too many; at least one record stays. */
export function cutPage(records: ProgressRecord[]): ProgressRecord[] {
  let issues = 0
  const end = records.findIndex(({ errorsTotal, warningsTotal }) => {
    issues += Math.min(errorsTotal, SHOWN_ISSUES) + Math.min(warningsTotal, SHOWN_ISSUES)
    return issues > MAX_PAGE_ISSUES
  })
  return end === -1 ? records : records.slice(0, Math.max(1, end))
}
