import { connect, createServer, type Socket } from 'node:net'
import { atEnd, type Scope } from './scope.ts'

export interface Gate {
  /** The server, by way of the gate. */
  url: string
  /** From now on nothing passes either way; connections stay, and new ones are not answered: a server that froze. */
  shut(): void
  /** What was held back passes. */
  open(): void
}

/** A TCP proxy that can be shut, in front of any server that is told by a URL. */
export async function startGate(scope: Scope, serverUrl: string): Promise<Gate> {
  const target = new URL(serverUrl)
  const sockets = new Set<Socket>()
  let isShut = false
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname)
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from)
      from.on('error', () => to.destroy()).on('close', () => sockets.delete(from))
      from.pipe(to)
      if (isShut) from.pause()
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  atEnd(scope, () => {
    for (const socket of sockets) socket.destroy()
    return new Promise((resolve) => server.close(resolve))
  })
  const url = new URL(serverUrl)
  url.hostname = '127.0.0.1'
  url.port = String((server.address() as { port: number }).port)
  return {
    url: url.href,
    shut() {
      isShut = true
      for (const socket of sockets) socket.pause()
    },
    open() {
      isShut = false
      for (const socket of sockets) socket.resume()
    },
  }
}
