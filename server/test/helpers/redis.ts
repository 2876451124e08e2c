import { Redis } from 'ioredis'
import { redis } from '../../../scripts/services/redis.ts'
import type { RunningService } from '../../../scripts/services/service.ts'
import type { Scope } from './scope.ts'
import { startOwn } from './services.ts'

export interface RedisServer extends RunningService {
  /** One command, on a connection of its own. */
  send(command: string, ...args: string[]): Promise<unknown>
}

/** A Redis of its own that keeps nothing on disk, so that it comes back empty; gone afterwards. */
export async function startRedis(scope: Scope, settings: Record<string, string> = {}): Promise<RedisServer> {
  const server = await startOwn(redis, scope, { settings })
  return Object.assign(server, {
    async send(command: string, ...args: string[]) {
      const client = new Redis(server.url, { lazyConnect: true, retryStrategy: () => null })
      client.on('error', () => {})
      try {
        await client.connect()
        return await client.call(command, ...args)
      } finally {
        client.disconnect()
      }
    },
  })
}
