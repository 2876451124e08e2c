import { Redis, type RedisOptions } from 'ioredis'
import { PebblesError } from '../errors.ts'

const TIMEOUT_MS = 2_000
const MAX_RECONNECT_MS = 1_000

export interface RedisConnection extends Disposable {
  readonly client: Redis
}

export interface RedisConnectionOptions {
  url: string
  /**
   * Whether commands wait while Redis is away, as the connection of a worker has to; else they fail at once, and after
   * two seconds without an answer.
   */
  waits: boolean
  log: (message: string, error: Error) => void
}

/**
 * Connects to Redis. Later the connection is made again by itself, however long Redis is away.
 *
 * @throws PebblesError `unavailable` when Redis does not answer, or does not let us in; the password is never named
 */
export async function connectRedis({ url, waits, log }: RedisConnectionOptions): Promise<RedisConnection> {
  let isUp = false
  let isClosed = false
  const options: RedisOptions = {
    lazyConnect: true,
    connectTimeout: 5_000,
    // Also of the copies that BullMQ makes of a connection, which otherwise would go on trying after the end.
    retryStrategy: (times) => (isClosed ? null : Math.min(MAX_RECONNECT_MS, 50 * 2 ** times)),
    maxRetriesPerRequest: null,
    ...(!waits && { enableOfflineQueue: false, maxRetriesPerRequest: 0, commandTimeout: TIMEOUT_MS }),
  }
  const client = new Redis(url, options)
  let lastError: Error | undefined
  client.on('error', (error) => {
    lastError = error
    if (isUp) log('the connection to Redis broke, or could not be made again', error)
  })
  const close = () => {
    isClosed = true
    client.disconnect()
  }
  try {
    await client.connect()
    await client.ping()
    isUp = true
  } catch (error) {
    close()
    throw new PebblesError(
      'unavailable',
      `Redis cannot be used at ${redisAddress(url)} (REDIS_URL, or REDIS_HOST and REDIS_PORT).`,
      {
        cause: lastError ?? error,
      },
    )
  }
  return { client, [Symbol.dispose]: close }
}

/** A URL of Redis without user and password. */
export function redisAddress(url: string): string {
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname}`
}

/**
 * A queue's keys must never be evicted for want of memory.
 *
 * @throws PebblesError `misconfigured` when this Redis would do that
 */
export async function requireNoEviction(client: Redis, url: string): Promise<void> {
  const policy = /^maxmemory_policy:(\S+)/m.exec(await client.info('memory'))?.[1]
  if (policy === undefined || policy === 'noeviction') return
  throw new PebblesError(
    'misconfigured',
    `Redis at ${redisAddress(url)} drops keys when its memory is full (maxmemory-policy ${policy}). A queue needs one with "maxmemory-policy noeviction".`,
  )
}
