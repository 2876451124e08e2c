import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { atEnd, type Scope } from '../../../server/test/helpers/scope.ts'

/** What becomes of a request: it goes through, it or its answer is lost, or it is answered on the way. */
export type Fate =
  | 'pass'
  | 'lose request'
  | 'lose answer'
  | { status: number; headers?: Record<string, string>; body?: string }

export interface SeenRequest {
  method: string
  path: string
  key: string | undefined
  token: string | undefined
  lastEventId: string | undefined
  body: string
  atMs: number
}

export interface LossyProxy {
  url: string
  /** Everything that arrived, in order. */
  seen: SeenRequest[]
  /** Decides about each request; `pass` by default. */
  decide: (request: SeenRequest, index: number) => Fate | Promise<Fate>
  /** Where requests go. */
  target: string
}

/** A loopback proxy that loses what a bad network would lose. */
export async function startProxy(scope: Scope, target: string): Promise<LossyProxy> {
  const proxy: LossyProxy = { url: '', seen: [], decide: () => 'pass', target }
  const server = createServer((incoming, outgoing) => void handle(proxy, incoming, outgoing))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  atEnd(scope, () => {
    server.closeAllConnections()
    server.close()
  })
  proxy.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return proxy
}

async function handle(proxy: LossyProxy, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const { method = '', url: path = '', headers } = incoming
  const body = await text(incoming)
  const key = headers['idempotency-key'] as string | undefined
  const lastEventId = headers['last-event-id'] as string | undefined
  const seen = { method, path, key, token: headers.authorization, lastEventId, body, atMs: Date.now() }
  const fate = await proxy.decide(seen, proxy.seen.push(seen) - 1)
  if (fate === 'lose request') return void outgoing.destroy()
  if (typeof fate === 'object') return void outgoing.writeHead(fate.status, fate.headers).end(fate.body)
  const { 'transfer-encoding': _, ...rest } = headers
  const onward = request(`${proxy.target}${path}`, { method, headers: rest }, (answer) => {
    if (fate === 'lose answer') return void answer.resume().on('end', () => outgoing.destroy())
    outgoing.writeHead(answer.statusCode!, answer.headers)
    answer.pipe(outgoing)
    answer.on('error', () => outgoing.destroy())
  })
  onward.on('error', () => outgoing.destroy())
  outgoing.on('close', () => onward.destroy())
  onward.end(body)
}
