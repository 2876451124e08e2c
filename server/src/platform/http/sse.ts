import type { FastifyReply, FastifyRequest } from 'fastify'

const HEARTBEAT_MS = 15_000
/** A reader that has taken nothing for this long is cut off; it comes back with its Last-Event-ID. */
const STALLED_MS = 60_000
/** Time that a reader has to take what is left once the stream was closed. */
const ENDING_MS = 5_000
const RECONNECT_MS = 2_000

const opened = new WeakSet<FastifyReply>()

/** Whether the reply has become a stream. */
export const isEventStream = (reply: FastifyReply): boolean => opened.has(reply)

export interface EventStream {
  /** Begins the answer. Until then the request can still be refused, by throwing. */
  open(): void
  /** Sends one event (WHATWG HTML § 9.2). `id` is what the browser gives back as `Last-Event-ID`. */
  send(data: unknown, options?: { id?: number | string; event?: string }): void
  /** False before `open`, after `close`, and while the reader is slower than we are: keep what is newest, and send it on `onDrain`. */
  readonly isReady: boolean
  onDrain(listener: () => void): void
  /** Called once, also when the request was refused; at once when the reader has left already. */
  onClose(listener: () => void): void
  /** Sends what is left and ends. A reader that does not take it is cut off after 5 s. */
  close(): void
}

/** Makes of a reply a stream of server-sent events that, once opened, stays open until either side closes it. */
export function createEventStream(request: FastifyRequest, reply: FastifyReply): EventStream {
  const { raw } = reply
  // Not the reply's: a reply that waits behind another on its connection has no socket, and never hears of its end.
  const { socket } = request.raw
  const closers: (() => void)[] = []
  let state: 'new' | 'open' | 'ending' | 'closed' = 'new'
  let lastProgressAt = Date.now()
  let heartbeat: NodeJS.Timeout | undefined
  let cutOff: NodeJS.Timeout | undefined

  function onClosed(): void {
    if (state === 'closed') return
    state = 'closed'
    clearInterval(heartbeat)
    clearTimeout(cutOff)
    socket.off('close', onClosed)
    for (const close of closers.splice(0)) close()
  }

  function beat(): void {
    if (!raw.writableNeedDrain) raw.write(':\n\n')
    else if (Date.now() - lastProgressAt > STALLED_MS) socket.destroy()
  }

  // A socket that is closed already says so no more.
  if (socket.destroyed) onClosed()
  else socket.on('close', onClosed)
  raw.on('close', onClosed)
  raw.on('drain', () => {
    lastProgressAt = Date.now()
  })
  // A peer that goes away is the normal end of a stream; 'close' follows.
  raw.on('error', (error) => request.log.debug({ err: error }, 'event stream broke'))

  return {
    open() {
      reply.hijack()
      opened.add(reply)
      if (state !== 'new') return
      state = 'open'
      raw.writeHead(200, {
        ...headersSetBefore(reply),
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
        // The stream is the last thing on its connection: a server that stops need not wait for it to idle.
        connection: 'close',
      })
      raw.write(`retry: ${RECONNECT_MS}\n\n`)
      heartbeat = setInterval(beat, HEARTBEAT_MS)
    },
    send(data, { id, event } = {}) {
      if (state !== 'open') return
      if (!raw.writableNeedDrain) lastProgressAt = Date.now()
      raw.write(
        `${id === undefined ? '' : `id: ${id}\n`}${event ? `event: ${event}\n` : ''}data: ${JSON.stringify(data)}\n\n`,
      )
    },
    get isReady() {
      return state === 'open' && !raw.writableNeedDrain
    },
    onDrain: (listener) => void raw.on('drain', listener),
    onClose(listener) {
      if (state === 'closed') listener()
      else closers.push(listener)
    },
    close() {
      if (state === 'new') socket.destroy()
      if (state !== 'open') return
      state = 'ending'
      clearInterval(heartbeat)
      raw.end()
      cutOff = setTimeout(() => socket.destroy(), ENDING_MS)
    },
  }
}

/** Headers of hooks (CORS, rate limit) that `hijack` would lose. */
function headersSetBefore(reply: FastifyReply): Record<string, string | string[]> {
  return Object.fromEntries(
    Object.entries(reply.getHeaders()).map(([name, value]) => [
      name,
      Array.isArray(value) ? value : String(value),
    ]),
  )
}

/** The sequence that a reconnecting reader saw last. */
export function lastEventId(request: FastifyRequest): number | undefined {
  const header = request.headers['last-event-id']
  return typeof header === 'string' && /^\d{1,16}$/.test(header) ? Number(header) : undefined
}
