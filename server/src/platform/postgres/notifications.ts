import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'

/** Characters of one NOTIFY: PostgreSQL refuses payloads of 8,000 bytes and more. */
const MAX_PAYLOAD_BYTES = 7_500

export interface Notifier extends AsyncDisposable {
  /** Tells every listener of the channel, in this and other processes, within `intervalMs`. */
  notify(ids: Iterable<string>): void
}

/**
 * Announces ids on a NOTIFY channel, at most once per interval and never inside the transactions that changed them:
 * a transaction with a NOTIFY takes a database-wide lock until it has committed, which would put all writers in a row.
 * An announcement is a hint and may be lost when the process dies; listeners look for themselves from time to time.
 */
export function createNotifier(options: {
  pool: pg.Pool
  channel: string
  intervalMs: number
  log: (message: string, error: Error) => void
}): Notifier {
  const { pool, channel, intervalMs, log } = options
  let ids = new Set<string>()
  let timer: NodeJS.Timeout | undefined
  let sending: Promise<unknown> = Promise.resolve()

  function flush(): void {
    timer = undefined
    const payloads = packPayloads(ids)
    ids = new Set()
    const sent = pool
      .query('SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload', [channel, payloads])
      .catch((error) => log('changes could not be announced', error))
    sending = Promise.all([sending, sent])
  }

  return {
    notify(changed) {
      for (const id of changed) ids.add(id)
      if (ids.size > 0) timer ??= setTimeout(flush, intervalMs)
    },
    async [Symbol.asyncDispose]() {
      if (timer) {
        clearTimeout(timer)
        flush()
      }
      await sending
    },
  }
}

function packPayloads(ids: Iterable<string>): string[] {
  const payloads: string[] = []
  let current = ''
  for (const id of ids) {
    if (current.length + id.length + 1 > MAX_PAYLOAD_BYTES) {
      payloads.push(current)
      current = ''
    }
    current += current ? `,${id}` : id
  }
  if (current) payloads.push(current)
  return payloads
}

export interface ListenOptions {
  url: string
  /** The ids announced, per channel. */
  channels: Record<string, (ids: string[]) => void>
  /** Called after a connection was lost and made again: anything may have been missed. */
  onReconnect: () => void
  log: (message: string, error: Error) => void
  /** A connection that was dropped without a word is noticed after this time and the next. Default: 15 s. */
  checkEveryMs?: number
  /** Time for connecting, and for each answer. Default: 10 s. */
  timeoutMs?: number
}

const CHECK_MS = 15_000
const TIMEOUT_MS = 10_000
const RECONNECT_MS = 1_000

/** A connection that listens. */
interface Listening {
  client: pg.Client
  /** Aborted when the connection has ended. */
  ended: AbortSignal
}

/**
 * Listens on one connection of its own, which is made again whenever it breaks or no longer answers.
 *
 * @throws what connecting threw, the first time; later it is logged and tried again
 */
export async function listenForChanges(options: ListenOptions): Promise<AsyncDisposable> {
  const { onReconnect, log, checkEveryMs = CHECK_MS } = options
  const closing = new AbortController()
  const first = await startListening(options, closing.signal)
  // One loop, so that there is never more than one connection.
  const running = keepListening(first)

  async function keepListening(listening: Listening | undefined): Promise<void> {
    for (;;) {
      if (listening) {
        await untilLost(listening)
        await endClient(listening.client)
      }
      await delay(RECONNECT_MS, undefined, { signal: closing.signal }).catch(() => {})
      if (closing.signal.aborted) return
      listening = await startListening(options, closing.signal).catch((error) => {
        if (!closing.signal.aborted) log('the listening connection could not be made', error)
        return undefined
      })
      if (listening) onReconnect()
    }
  }

  async function untilLost({ client, ended }: Listening): Promise<void> {
    const signal = AbortSignal.any([ended, closing.signal])
    try {
      for (;;) {
        await delay(checkEveryMs, undefined, { signal })
        await client.query('SELECT 1')
      }
    } catch (error) {
      if (!signal.aborted) log('the listening connection does not answer', error as Error)
    }
  }

  return {
    async [Symbol.asyncDispose]() {
      closing.abort()
      await running
    },
  }
}

/** Connects and listens; leaves nothing open when that fails or is aborted. */
async function startListening(options: ListenOptions, signal: AbortSignal): Promise<Listening> {
  const { url, channels, log, timeoutMs = TIMEOUT_MS } = options
  const client = new pg.Client({
    connectionString: url,
    keepAlive: true,
    application_name: 'pebbles-listen',
    connectionTimeoutMillis: timeoutMs,
    query_timeout: timeoutMs,
  })
  const ended = new AbortController()
  const cut = () => cutConnection(client)
  client.on('error', (error) => {
    if (!signal.aborted) log('the listening connection broke', error)
  })
  client.on('end', () => ended.abort())
  client.on('notification', ({ channel, payload = '' }) => channels[channel]?.(payload.split(',')))
  signal.addEventListener('abort', cut)
  try {
    await client.connect()
    for (const channel of Object.keys(channels)) await client.query(`LISTEN ${pg.escapeIdentifier(channel)}`)
    signal.throwIfAborted()
    return { client, ended: ended.signal }
  } catch (error) {
    await endClient(client)
    throw error
  } finally {
    signal.removeEventListener('abort', cut)
  }
}

const END_MS = 1_000

/** Ends a connection, also when the other side does not answer. */
async function endClient(client: pg.Client): Promise<void> {
  const timer = setTimeout(() => cutConnection(client), END_MS)
  await client.end().catch(() => {})
  clearTimeout(timer)
}

function cutConnection(client: pg.Client): void {
  const { connection } = client as unknown as { connection: { stream: Duplex } }
  connection.stream.destroy()
}
