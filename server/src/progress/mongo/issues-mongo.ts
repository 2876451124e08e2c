import type { AppliedUpdate } from '../batch.ts'
import type { Issue, IssueKind } from '../record.ts'
import type { IssueWindow, NumberedIssue } from '../store.ts'
import type { Collections, IssuePiece, LastWrite } from './mongo-documents.ts'
import { pieceId, pieceIds, type Settler } from './settle-mongo.ts'

/** Issues in one document: of 4,096 characters each they stay far below the 16 MiB that a document may have. */
const MAX_PIECE = 256
/** Documents that are sent at a time. */
const MAX_SENT = 64

/** The issues of one write, numbered on from the totals that it has read. */
export function cutIntoPieces(
  recordId: string,
  write: string,
  applied: readonly AppliedUpdate[],
  at: Date,
): IssuePiece[] {
  const pieces: IssuePiece[] = []
  const last = applied.at(-1)?.state
  const cut = (kind: IssueKind, issues: Issue[], total: number) => {
    for (let start = 0; start < issues.length; start += MAX_PIECE) {
      const some = issues.slice(start, start + MAX_PIECE)
      const from = total - issues.length + start + 1
      const place = { recordId, kind, from, to: from + some.length - 1 }
      pieces.push({ _id: pieceId(write, pieces.length), write, ...place, issues: some, isVisible: false, at })
    }
  }
  if (last) {
    cut(
      'errors',
      applied.flatMap(({ update }) => update.errors),
      last.errorsTotal,
    )
    cut(
      'warnings',
      applied.flatMap(({ update }) => update.warnings),
      last.warningsTotal,
    )
  }
  return pieces
}

export async function insertPieces(issues: Collections['issues'], pieces: IssuePiece[]): Promise<void> {
  for (let start = 0; start < pieces.length; start += MAX_SENT)
    await issues.insertMany(pieces.slice(start, start + MAX_SENT), { ordered: false })
}

/** Removes what writes that never happened have left. Only as good as it goes: nobody sees it, and it is swept. */
export async function dropPieces(issues: Collections['issues'], writes: LastWrite[]): Promise<void> {
  const ids = writes.flatMap(pieceIds)
  if (ids.length > 0) await issues.deleteMany({ _id: { $in: ids }, isVisible: false }).catch(() => {})
}

/** The issues of each window: those that are visible, and those of the records' last writes. */
export async function readIssues(
  { progress, issues }: Collections,
  windows: readonly IssueWindow[],
): Promise<NumberedIssue[][]> {
  const found = windows.map((): NumberedIssue[] => [])
  const wanted = windows.filter(({ after, upTo }) => after < upTo)
  if (wanted.length === 0) return found
  // First these: what is no longer the last write when it is read has become visible before.
  const records = await progress
    .find({ _id: { $in: [...new Set(wanted.map(({ recordId }) => recordId))] } })
    .project<{ last: { write: string } }>({ 'last.write': 1 })
    .toArray()
  const lastWrites = new Set(records.map(({ last }) => last.write))
  const pieces = await issues
    .find({
      $or: wanted.map(({ recordId, kind, after, upTo }) => ({
        recordId,
        kind,
        to: { $gt: after, $lt: upTo + MAX_PIECE },
        from: { $lte: upTo },
      })),
    })
    .toArray()
  pieces.sort((a, b) => a.from - b.from)
  const byRecord = Map.groupBy(
    pieces.filter(({ isVisible, write }) => isVisible || lastWrites.has(write)),
    ({ recordId, kind }) => `${recordId} ${kind}`,
  )
  for (const [index, { recordId, kind, after, upTo }] of windows.entries()) {
    for (const { from, issues: some } of byRecord.get(`${recordId} ${kind}`) ?? []) {
      for (const [place, { line, message }] of some.entries()) {
        const ordinal = from + place
        if (ordinal > after && ordinal <= upTo) found[index]!.push({ ordinal, line, message })
      }
    }
  }
  return found
}

const HOUR_MS = 3_600_000

/**
 * Clears up after processes that died between writing issues and the record they belong to, or right after that.
 *
 * Before a piece is deleted its record's version is moved on, so that whoever may still be about to write the record
 * finds another version than it has read. A record that does not exist cannot be moved: there a day has to pass.
 */
export async function sweepIssues(
  { progress, issues }: Collections,
  settler: Settler,
  now: Date,
): Promise<void> {
  const old = await issues
    .find({ isVisible: false, at: { $lt: new Date(now.getTime() - HOUR_MS) } })
    .project<Pick<IssuePiece, '_id' | 'recordId' | 'write' | 'at'>>({ recordId: 1, write: 1, at: 1 })
    .limit(1_000)
    .toArray()
  for (const [recordId, pieces] of Map.groupBy(old, (piece) => piece.recordId)) {
    const record = await progress.findOne({ _id: recordId })
    if (record) {
      await settler.settle(new Map([[recordId, record.last]]))
      const { clientKrn, filename, version } = record
      const fenced = await progress.updateOne(
        { _id: recordId, clientKrn, filename, version },
        { $inc: { version: 1 } },
      )
      if (fenced.matchedCount === 0) continue
    }
    const lost = pieces.filter(({ at }) => record || now.getTime() - at.getTime() > 24 * HOUR_MS)
    await issues.deleteMany({ _id: { $in: lost.map(({ _id }) => _id) }, isVisible: false })
  }
}
