import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { atEnd, type Scope } from './scope.ts'
import { createTestDir } from './server.ts'

export interface RedisServer {
  url: string
  /** `kill -9`: what was only in memory is gone, and nothing of it is anywhere else. */
  kill(): Promise<void>
  /** It keeps its connections and answers nothing, until it is thawed. */
  freeze(): void
  thaw(): void
  /** Starts it again on the same port, empty. */
  start(): Promise<void>
  /** One command, on a connection of its own. */
  send(command: string, ...args: string[]): Promise<unknown>
}

/** Why tests that need a Redis are left out, or `false`. In CI there is no leaving out. */
export function redisMissing(): string | false {
  if (spawnSync('redis-server', ['--version']).status === 0) return false
  if (process.env.CI) throw new Error('CI needs redis-server; with apt: apt-get install redis-server')
  return 'there is no redis-server here; with apt: apt-get install redis-server'
}

/** A Redis of its own that keeps nothing on disk, stopped afterwards. */
export async function startRedis(scope: Scope, settings: Record<string, string> = {}): Promise<RedisServer> {
  const port = await freePort()
  const dir = await createTestDir(scope)
  const { requirepass } = settings
  const url = `redis://${requirepass ? `:${requirepass}@` : ''}127.0.0.1:${port}`
  const given = { port: String(port), bind: '127.0.0.1', dir, save: '', appendonly: 'no', ...settings }
  const args = Object.entries(given).flatMap(([name, value]) => [`--${name}`, value])
  let child: ChildProcess | undefined
  const server: RedisServer = {
    url,
    async kill() {
      const running = child
      child = undefined
      if (!running || running.exitCode !== null) return
      const exited = once(running, 'exit')
      running.kill('SIGKILL')
      await exited
    },
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    async start() {
      child = spawn('redis-server', args, { stdio: 'ignore' })
      for (let attempt = 0; ; attempt++) {
        if (child.exitCode !== null || attempt === 200) throw new Error('redis-server did not start')
        if (await server.send('PING').catch(() => false)) return
        await delay(25)
      }
    },
    async send(command, ...args) {
      const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null })
      client.on('error', () => {})
      try {
        await client.connect()
        return await client.call(command, ...args)
      } finally {
        client.disconnect()
      }
    },
  }
  atEnd(scope, () => server.kill())
  await server.start()
  return server
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  return port
}
