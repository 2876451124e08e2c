/**
 * Files on their way to the service, as a pure state machine. Words: a file *waits* for its turn, is *sent* byte by
 * byte, *settles* while the service stores it, and is *sent whole* when it has become a job. It can *fail* in between and
 * be sent again under the same key, so that an answer that got lost does not make a second job.
 */

export const UPLOAD_STATES = ['waiting', 'sending', 'settling', 'failed'] as const
export type UploadState = (typeof UPLOAD_STATES)[number]

export interface UploadItem {
  id: string
  filename: string
  sizeBytes: number
  dataset: string
  /** The job whose refused rows the file corrects. */
  parentId: string | undefined
  state: UploadState
  sentBytes: number
  startedAtMs: number | undefined
  /** Why it failed: in one line, and fault by fault. */
  reason: { title: string; faults: string[] } | undefined
}

export type UploadQueue = readonly UploadItem[]

/** `done` and `cancel` take a file from the queue. */
export const UPLOAD_EVENTS = ['start', 'progress', 'sent', 'done', 'fail', 'retry', 'cancel'] as const
export type UploadEventType = (typeof UPLOAD_EVENTS)[number]

type Next = UploadState | 'gone' | null

/** Total: null where an event is ignored, because it comes too late. */
export const UPLOAD_TRANSITIONS: Record<UploadState, Record<UploadEventType, Next>> = {
  waiting: {
    start: 'sending',
    progress: null,
    sent: null,
    done: null,
    fail: null,
    retry: null,
    cancel: 'gone',
  },
  sending: {
    start: null,
    progress: 'sending',
    sent: 'settling',
    done: 'gone',
    fail: 'failed',
    retry: null,
    cancel: 'gone',
  },
  settling: {
    start: null,
    progress: null,
    sent: null,
    done: 'gone',
    fail: 'failed',
    retry: null,
    cancel: 'gone',
  },
  failed: {
    start: null,
    progress: null,
    sent: null,
    done: null,
    fail: null,
    retry: 'waiting',
    cancel: 'gone',
  },
}

export type UploadEvent = { id: string } & (
  | { type: 'start'; atMs: number }
  | { type: 'progress'; sentBytes: number; totalBytes: number }
  | { type: 'sent' | 'done' | 'retry' | 'cancel' }
  | { type: 'fail'; reason: NonNullable<UploadItem['reason']> }
)

export function applyUploadEvent(queue: UploadQueue, event: UploadEvent): UploadQueue {
  const item = queue.find(({ id }) => id === event.id)
  const next = item ? UPLOAD_TRANSITIONS[item.state][event.type] : null
  if (!item || next === null) return queue
  if (next === 'gone') return queue.filter(({ id }) => id !== event.id)
  const changed = { ...item, state: next, ...changesOf(item, event) }
  return queue.map((each) => (each === item ? changed : each))
}

function changesOf(item: UploadItem, event: UploadEvent): Partial<UploadItem> {
  switch (event.type) {
    case 'start':
      return { startedAtMs: event.atMs, sentBytes: 0 }
    case 'progress':
      return { sentBytes: fileBytes(item, event) }
    case 'sent':
      return { sentBytes: item.sizeBytes }
    case 'fail':
      return { reason: event.reason }
    case 'retry':
      return { reason: undefined, sentBytes: 0, startedAtMs: undefined }
    default:
      return {}
  }
}

/** A browser counts the form around the file as well. */
function fileBytes(
  { sizeBytes, sentBytes }: UploadItem,
  sent: { sentBytes: number; totalBytes: number },
): number {
  const around = Math.max(0, sent.totalBytes - sizeBytes)
  return Math.min(sizeBytes, Math.max(sentBytes, sent.sentBytes - around))
}

/** Files that are sent at a time: a browser has about six connections to a host, and the live view needs one. */
export const MAX_SENDING = 2

/** Ids of the files whose turn it is. */
export function nextToStart(queue: UploadQueue): string[] {
  const sending = queue.filter(({ state }) => state === 'sending' || state === 'settling').length
  const waiting = queue.filter(({ state }) => state === 'waiting')
  return waiting.slice(0, Math.max(0, MAX_SENDING - sending)).map(({ id }) => id)
}

/** Bytes per second so far; undefined in the first second, when it would only jump. */
export function speedOf({ state, sentBytes, startedAtMs }: UploadItem, nowMs: number): number | undefined {
  if (state !== 'sending' || startedAtMs === undefined || nowMs - startedAtMs < 1000) return undefined
  return (1000 * sentBytes) / (nowMs - startedAtMs)
}
