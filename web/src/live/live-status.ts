/**
 * How the page hears of changes. *connecting*: for the first time; *live*: events are pushed; *reconnecting*: they were,
 * and soon will be again; *polling*: they cannot be had, so the page asks, as long as something is under way.
 */
export type LiveStatus = 'connecting' | 'live' | 'reconnecting' | 'polling'

/** Tries in a row that fail before the page goes over to asking. */
export const TRIES = 3
/** Between further tries while it asks. */
export const TRY_AGAIN_MS = 30_000
export const POLL_MS = 3_000

export interface LiveState {
  status: LiveStatus
  failures: number
}

export const CONNECTING: LiveState = { status: 'connecting', failures: 0 }

export type LiveStateEvent = 'open' | 'lost' | 'refused'

/** `lost`: the stream ended or could not be had; `refused`: it never will be, for this caller or from this service. */
export function nextLiveState({ status, failures }: LiveState, event: LiveStateEvent): LiveState {
  if (event === 'open') return { status: 'live', failures: 0 }
  const count = failures + 1
  if (event === 'refused' || count >= TRIES || status === 'polling')
    return { status: 'polling', failures: count }
  return { status: status === 'connecting' ? 'connecting' : 'reconnecting', failures: count }
}

/** How often to ask; false when nobody has to: events come by themselves, or nothing is under way. */
export function pollInterval(status: LiveStatus, isAnythingActive: boolean): number | false {
  return status !== 'live' && isAnythingActive ? POLL_MS : false
}
