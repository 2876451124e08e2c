import { once } from 'node:events'
import { connect } from 'node:net'
import { isOnPath } from './install.ts'
import { freePort, startProcess } from './process.ts'
import type { Service, StartOptions } from './service.ts'

export interface RedisOptions extends StartOptions {
  /** Further settings of redis.conf, or others than the defaults. */
  settings?: Record<string, string>
}

/** The machine's own. */
export const redis: Service<RedisOptions> = {
  name: 'redis',
  title: 'Redis',
  missing() {
    return isOnPath('redis-server')
      ? false
      : 'there is no redis-server here; with apt: apt-get install redis-server'
  },
  async install() {
    const missing = redis.missing('')
    if (missing) throw new Error(missing)
  },
  async start(options) {
    const port = options.port ?? (await freePort())
    const settings = {
      port: String(port),
      bind: '127.0.0.1',
      dir: options.dataDir,
      save: '',
      appendonly: options.durable ? 'yes' : 'no',
      appendfsync: 'everysec',
      ...options.settings,
    }
    const { url } = redis.at(port)
    const { requirepass } = options.settings ?? {}
    const withPassword = requirepass ? url.replace('//', `//:${requirepass}@`) : url
    return startProcess(options, {
      command: 'redis-server',
      args: Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
      port,
      url: withPassword,
      env: { REDIS_URL: withPassword },
      answers: () => redis.answers(port),
    })
  },
  at(port) {
    const url = `redis://127.0.0.1:${port}`
    return { url, env: { REDIS_URL: url } }
  },
  async answers(port) {
    const socket = connect(port, '127.0.0.1')
    socket.setTimeout(1_000, () => socket.destroy(new Error('no answer')))
    try {
      socket.write('PING\r\n')
      const [answer] = (await once(socket, 'data')) as [Buffer]
      // It loads its file first. Whoever gives no password is refused, and that is an answer.
      return /^(\+PONG|-NOAUTH)/.test(answer.toString())
    } finally {
      socket.destroy()
    }
  },
}
