import { isRetryable } from './errors.ts'
import { readEvents, type ServerEvent } from './event-stream.ts'
import { type Connection, createCaller } from './request.ts'
import { retryDelayMs, sleep } from './retry.ts'

export interface FollowOptions extends Connection {
  /** Ends the iteration, also while it waits. */
  signal?: AbortSignal | undefined
  /** Hears whenever the stream was opened. */
  onOpen?: (() => void) | undefined
  /** Hears whenever the stream was lost or could not be opened (`error` is undefined when the service closed it). */
  onRetry?: ((error: Error | undefined, context: { failures: number; delayMs: number }) => void) | undefined
}

/** How long to wait for a stream that the service closed in good order, unless it says otherwise. */
const RECONNECT_MS = 2_000

/**
 * Follows a stream of server-sent events through lost connections and restarts of the service, giving back the id
 * of the last event. Ends when the service answers 204 (there is nothing more to come) or the signal is aborted.
 *
 * @throws PebblesApiError when the service refuses
 */
export async function* followEvents(path: string, options: FollowOptions): AsyncGenerator<ServerEvent, void> {
  const { signal, onOpen, onRetry } = options
  const caller = createCaller(options)
  let lastId: string | undefined
  let reconnectMs = RECONNECT_MS
  let failures = 0
  while (!signal?.aborted) {
    const connection = new AbortController()
    const abort = () => connection.abort()
    signal?.addEventListener('abort', abort)
    let lost: Error | undefined
    try {
      const headers = {
        accept: 'text/event-stream',
        ...(lastId !== undefined && { 'last-event-id': lastId }),
      }
      const response = await caller.open(path, { headers, signal: connection.signal })
      if (response.status === 204 || !response.body) return
      onOpen?.()
      for await (const event of readEvents(response.body, (ms) => (reconnectMs = ms))) {
        failures = 0
        lastId = event.id ?? lastId
        yield event
      }
    } catch (error) {
      if (signal?.aborted) return
      if (!isRetryable(error)) throw error
      lost = error
    } finally {
      signal?.removeEventListener('abort', abort)
      connection.abort()
    }
    const delayMs = lost ? retryDelayMs(++failures, lost) : reconnectMs * (0.5 + Math.random())
    onRetry?.(lost, { failures, delayMs })
    await sleep(delayMs, signal, { keepsAlive: true })
  }
}
