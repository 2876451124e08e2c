import { connect, createServer, type Socket } from 'node:net'
import { atEnd, type Scope } from './scope.ts'

export interface CommitProxy {
  /** The database, by way of the proxy. */
  url: string
  /**
   * The client of the next COMMIT loses its connection instead of an answer, and the server gets the COMMIT only
   * `deliverAfterMs` later: the transaction stays open until then, and takes effect all the same. `Infinity`: it never
   * gets it, and rolls back at once.
   */
  loseNextCommit(options: { deliverAfterMs: number; refuseAfter?: boolean }): void
  /** Lets new connections through again. */
  stopRefusing(): void
  readonly lost: number
  /** Resolves when nothing that was lost can have an effect any more: the server has closed its connection. */
  settled(): Promise<unknown>
}

/** `COMMIT` as a simple query of its own (PostgreSQL § 54.7), not the `ON COMMIT …` of a temporary table. */
const COMMIT = 'COMMIT\0'

/**
 * A TCP proxy in front of PostgreSQL for faults that no server can be asked to make.
 *
 * @param commit text by which that is known which commits: a statement that is a transaction by itself has another one
 */
export async function startCommitProxy(
  scope: Scope,
  databaseUrl: string,
  commit = COMMIT,
): Promise<CommitProxy> {
  const target = new URL(databaseUrl)
  const sockets = new Set<Socket>()
  let next: { deliverAfterMs: number; refuseAfter?: boolean } | undefined
  const lost: Promise<void>[] = []
  let isRefusing = false
  const server = createServer((client) => {
    if (isRefusing) {
      client.once('data', () => client.end(refusal())).on('error', () => {})
      return
    }
    const upstream = connect(Number(target.port), target.hostname)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    }
    let isLost = false
    client.on('data', (bytes) => {
      if (!next || !bytes.includes(commit)) {
        upstream.write(bytes)
        return
      }
      const { deliverAfterMs, refuseAfter = false } = next
      next = undefined
      isLost = true
      isRefusing = refuseAfter
      lost.push(new Promise((resolve) => upstream.once('close', () => resolve())))
      client.destroy()
      if (deliverAfterMs === Number.POSITIVE_INFINITY) upstream.destroy()
      else setTimeout(() => upstream.end(bytes), deliverAfterMs)
    })
    upstream.on('data', (bytes) => client.write(bytes))
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
    loseNextCommit(options) {
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

/** An ErrorResponse (PostgreSQL § 54.7) that promises nothing for another try. */
function refusal(): Buffer {
  const fields = Buffer.from('SFATAL\0VFATAL\0CXX000\0Mnot today\0\0')
  const head = Buffer.alloc(5)
  head.write('E')
  head.writeInt32BE(fields.length + 4, 1)
  return Buffer.concat([head, fields])
}
