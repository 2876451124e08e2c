import { type JobsEvent, type PebblesApiError, watchJobs } from '@pebbles/client'
import { CONNECTING, type LiveState, nextLiveState, TRY_AGAIN_MS } from './live-status.ts'

export interface FollowJobsOptions {
  url: string
  token: string | undefined
  signal: AbortSignal
  onEvent: (event: JobsEvent) => void
  onState: (state: LiveState) => void
  /** The token is not, or no longer, valid. */
  onUnauthorized: () => void
}

/**
 * Follows the live view of all jobs. Read with fetch, not EventSource, which can send no token. The SDK comes back after
 * a lost connection by itself; after some failures in a row it is left alone for a while each time.
 */
export async function followJobs(options: FollowJobsOptions): Promise<void> {
  const { url, token, signal, onEvent, onState, onUnauthorized } = options
  let state = CONNECTING
  const move = (event: Parameters<typeof nextLiveState>[1]) => {
    state = nextLiveState(state, event)
    onState(state)
  }
  while (!signal.aborted) {
    const attempt = new AbortController()
    const end = () => attempt.abort()
    signal.addEventListener('abort', end)
    try {
      const events = watchJobs({
        ...{ url, token, signal: attempt.signal },
        onOpen: () => move('open'),
        onRetry: (error) => {
          // A service that stops closes its streams in good order; it is not a failure yet.
          if (error || state.status !== 'live') move('lost')
          else onState({ ...state, status: 'reconnecting' })
          if (state.status === 'polling') end()
        },
      })
      for await (const event of events) onEvent(event)
    } catch (error) {
      if ((error as PebblesApiError).status === 401) return onUnauthorized()
      move('refused')
    } finally {
      signal.removeEventListener('abort', end)
    }
    if (!signal.aborted) await pause(TRY_AGAIN_MS, signal)
  }
}

/** Waits; not longer than until the browser is online again. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      removeEventListener('online', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end)
    addEventListener('online', end)
  })
}
