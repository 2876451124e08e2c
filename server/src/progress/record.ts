/**
 * The ledger's rule, pure: what one update does to one record.
 *
 * Words: an *update* is one increment, a *record* the totals of one file of one client, an *issue* an error or a
 * warning with its line. The first e-mail that reports on a file owns its record; `isLast` locks it.
 */
import { digest } from '../platform/digest.ts'

/** Digests that are at hand, since a file's updates come in great numbers: of so many files at most. */
const MAX_KNOWN_IDS = 2_000
let knownIds = new Map<string, string>()

/** A record's id is what makes it unique: a digest of client and filename, neither of which holds NUL. */
export function recordIdOf(clientKrn: string, filename: string): string {
  const name = `${clientKrn}\0${filename}`
  const known = knownIds.get(name)
  if (known !== undefined) return known
  const id = digest('record', name)
  if (knownIds.size === MAX_KNOWN_IDS) knownIds = new Map()
  knownIds.set(name, id)
  return id
}

export interface Counts {
  done: number
  warn: number
  failed: number
}

/** `line` as a person sees it in the file; 0 for the file as a whole. */
export interface Issue {
  line: number
  message: string
}

export type IssueKind = 'errors' | 'warnings'
/** `correction`: rows of a completed record that came back corrected; only an import can send that. */
export type Channel = 'http' | 'sqs' | 'kafka' | 'import' | 'correction'

/** What makes an update the same update when it is delivered again. Both are 128-bit digests in UUID form. */
export interface UpdateId {
  /** Digest of channel, scope and the sender's key. */
  id: string
  /** How long it is remembered: a request's for days, a message's for weeks, as long as its queue may deliver it again. */
  kind: IdKind
  /** Digest of what was asked: the same id with another fingerprint is a caller's mistake. */
  fingerprint: string
  /** The sender's key as it was given, for the audit. */
  key: string
}

export type IdKind = 'request' | 'message'

/** One increment, already validated. */
export interface Update {
  /** Id of the record that it is about: {@link recordIdOf} its client and filename. */
  recordId: string
  clientKrn: string
  filename: string
  email: string
  channel: Channel
  counts: Counts
  /** Sets the record's total when given. */
  total?: number | undefined
  isLast: boolean
  errors: Issue[]
  warnings: Issue[]
  /** Without an id every delivery counts. */
  id?: UpdateId | undefined
  /** Its place in a log, such as `progress-updates/3/1234`: what the audit calls it when its sender gave it no id. */
  place?: string | undefined
  /** Of its place, the offset in its partition. */
  offset?: number | undefined
  /** Makes its record: refused where somebody else has done so. Only an import sends that. */
  isFirst?: boolean | undefined
}

/** The totals of a record, as of `sequence` updates. */
export interface Totals {
  counts: Counts
  /** Rows expected, `null` while nobody has said. */
  total: number | null
  isCompleted: boolean
  errorsTotal: number
  warningsTotal: number
  sequence: number
}

/** What the rule needs to know of a record. */
export interface RecordState extends Totals {
  id: string
  email: string
}

export type Refusal = 'forbidden' | 'completed' | 'overflow'
export type Verdict = { result: 'created' | 'updated'; state: RecordState } | { result: Refusal }

/**
 * Applies one update to a record, or to none when the file is new.
 *
 * Counts add up and never reach beyond 2^53 − 1, alone or together, so that every number stays exact in JSON:
 * an update that would is refused whole (`overflow`).
 *
 */
export function applyUpdate(state: RecordState | undefined, update: Update): Verdict {
  if (state && (update.isFirst || state.email !== update.email)) return { result: 'forbidden' }
  if (state && update.channel === 'correction') return correct(state, update)
  if (state?.isCompleted) return { result: 'completed' }
  const counts = addCounts(state?.counts ?? { done: 0, warn: 0, failed: 0 }, update.counts)
  if (!Number.isSafeInteger(counts.done + counts.warn + counts.failed)) return { result: 'overflow' }
  return {
    result: state ? 'updated' : 'created',
    state: {
      id: update.recordId,
      email: update.email,
      counts,
      total: update.total ?? state?.total ?? null,
      isCompleted: update.isLast,
      errorsTotal: (state?.errorsTotal ?? 0) + update.errors.length,
      warningsTotal: (state?.warningsTotal ?? 0) + update.warnings.length,
      sequence: (state?.sequence ?? 0) + 1,
    },
  }
}

/** What {@link correctRecord} has moved, where it is applied for the second time: in a copy of the record. */
function correct(state: RecordState, update: Update): Verdict {
  const counts = addCounts(state.counts, update.counts)
  return { result: 'updated', state: { ...state, counts, sequence: state.sequence + 1 } }
}

/**
 * Moves rows from failed to done, in a completed record too: what nobody but the importer may do, for rows that were
 * refused and came back corrected. Never more than have failed; `undefined` when that is none.
 */
export function correctRecord(state: RecordState, rows: number): RecordState | undefined {
  const { done, warn, failed } = state.counts
  const moved = Math.min(rows, failed)
  if (moved === 0) return undefined
  const counts = { done: done + moved, warn, failed: failed - moved }
  return { ...state, counts, sequence: state.sequence + 1 }
}

function addCounts(a: Counts, b: Counts): Counts {
  return { done: a.done + b.done, warn: a.warn + b.warn, failed: a.failed + b.failed }
}
