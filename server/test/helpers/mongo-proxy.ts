import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { atEnd, type Scope } from './scope.ts'

export interface MongoProxy {
  /** The database, by way of the proxy. */
  url: string
  /**
   * The client of the next write to `progress` loses its connection instead of an answer. The server gets the write
   * only `deliverAfterMs` later. `Infinity`: it never gets it. `'next'`: it gets it when the next write comes, before
   * that one.
   *
   * @param refuseAfter nobody else gets through either, until `stopRefusing`
   */
  loseNextWrite(options: { deliverAfterMs: number | 'next'; refuseAfter?: boolean }): void
  /** Lets new connections through again. */
  stopRefusing(): void
  readonly lost: number
  /** Resolves when nothing that was lost can have an effect any more: the server has closed its connection. */
  settled(): Promise<unknown>
}

/** The first pair of an update or insert command, as BSON has it. */
const WRITES = ['update', 'insert'].map((command) =>
  Buffer.concat([Buffer.from(`\x02${command}\0\x09\0\0\0progress\0`, 'latin1')]),
)

/** A TCP proxy in front of MongoDB for faults that no server can be asked to make. */
export async function startMongoProxy(scope: Scope, databaseUrl: string): Promise<MongoProxy> {
  const target = new URL(databaseUrl)
  const sockets = new Set<Socket>()
  let next: { deliverAfterMs: number | 'next'; refuseAfter?: boolean } | undefined
  const lost: Promise<void>[] = []
  let isRefusing = false
  let held: (() => Promise<unknown>) | undefined
  const server = createServer((client) => {
    if (isRefusing) {
      client.on('error', () => {}).destroy()
      return
    }
    const upstream = connect(Number(target.port), target.hostname)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    }
    let isLost = false
    client.on('data', (bytes) => {
      if ((!next && !held) || !WRITES.some((write) => bytes.includes(write))) {
        upstream.write(bytes)
        return
      }
      if (!next) {
        const deliver = held!
        held = undefined
        void deliver().then(() => upstream.write(bytes))
        return
      }
      const { deliverAfterMs, refuseAfter = false } = next
      next = undefined
      isLost = true
      lost.push(new Promise((resolve) => upstream.once('close', () => resolve())))
      isRefusing = refuseAfter
      client.destroy()
      if (deliverAfterMs === Number.POSITIVE_INFINITY) upstream.destroy()
      else if (deliverAfterMs === 'next') {
        held = () => {
          upstream.write(bytes)
          return once(upstream, 'data')
        }
      } else setTimeout(() => upstream.write(bytes), deliverAfterMs)
      if (refuseAfter) for (const socket of sockets) if (socket !== upstream) socket.destroy()
    })
    upstream.on('data', (bytes) => {
      if (isLost) upstream.end()
      else client.write(bytes)
    })
    client.on('close', () => {
      if (!isLost) upstream.end()
    })
    upstream.on('close', () => client.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  atEnd(scope, () => {
    for (const socket of sockets) socket.destroy()
    return new Promise((resolve) => server.close(resolve))
  })
  const url = new URL(databaseUrl)
  url.port = String((server.address() as { port: number }).port)
  return {
    url: url.href,
    loseNextWrite(options) {
      next = options
    },
    stopRefusing() {
      isRefusing = false
    },
    get lost() {
      return lost.length
    },
    settled: () => Promise.all(lost),
  }
}
