import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { atEnd, type Scope } from './scope.ts'

/** What happens to a request: it passes, its connection breaks, it is answered but never arrives, or only later. */
export type Fate = 'passes' | 'broken' | 'lost' | { arrivesAfterMs: number }

export interface SqsProxy {
  url: string
  /** How often each message was delivered, by its MessageId. */
  deliveries: Map<string, number>
  /** Of those requests that did not pass. */
  readonly disturbed: number
}

/**
 * An HTTP proxy in front of SQS (AWS JSON protocol 1.0) for faults that no server can be asked to make. It counts what
 * was really delivered: an answer with messages that did not reach the consumer does not count.
 */
export async function startSqsProxy(
  scope: Scope,
  target: string,
  fateOf: (action: string) => Fate,
): Promise<SqsProxy> {
  const { hostname, port } = new URL(target)
  const deliveries = new Map<string, number>()
  let disturbed = 0

  async function pass(
    incoming: IncomingMessage,
    body: Buffer,
    left?: AbortSignal,
  ): Promise<{ status: number; body: Buffer; type: string }> {
    return new Promise((resolve, reject) => {
      const { method, url: path, headers } = incoming
      const upstream = request({ hostname, port, method, path, headers, signal: left }, async (answer) => {
        const type = String(answer.headers['content-type'])
        resolve({ status: answer.statusCode!, body: await buffer(answer), type })
      })
      upstream.on('error', reject)
      upstream.end(body)
    })
  }

  async function handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const action = String(incoming.headers['x-amz-target']).split('.')[1] ?? ''
    const body = await buffer(incoming)
    const fate = fateOf(action)
    if (fate === 'broken') return void response.destroy()
    if (fate !== 'passes') {
      disturbed++
      if (fate !== 'lost') setTimeout(() => void pass(incoming, body).catch(() => {}), fate.arrivesAfterMs)
      const { Entries = [] } = JSON.parse(String(body))
      const Successful = Entries.map(({ Id }: { Id: string }) => ({ Id }))
      response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' })
      response.end(JSON.stringify({ Successful, Failed: [] }))
      return
    }
    // A long poll that its caller has left must not go on taking messages.
    const left = new AbortController()
    response.once('close', () => left.abort())
    const answer = await pass(incoming, body, left.signal)
    if (response.destroyed) return
    response.writeHead(answer.status, { 'content-type': answer.type, 'content-length': answer.body.length })
    response.end(answer.body)
    if (action !== 'ReceiveMessage' || answer.status !== 200) return
    for (const { MessageId } of JSON.parse(String(answer.body)).Messages ?? [])
      deliveries.set(MessageId, (deliveries.get(MessageId) ?? 0) + 1)
  }

  const server = createServer((incoming, response) => {
    handle(incoming, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  atEnd(scope, () => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  const { port: own } = server.address() as { port: number }
  return {
    url: `http://127.0.0.1:${own}`,
    deliveries,
    get disturbed() {
      return disturbed
    },
  }
}

/** Messages that were delivered more than once. */
export const deliveredAgain = ({ deliveries }: SqsProxy): number =>
  [...deliveries.values()].filter((times) => times > 1).length
