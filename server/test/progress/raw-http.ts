import { request } from 'node:http'
import { connect } from 'node:net'

/** What came back, as it came: no JSON is parsed and no header is joined. */
export interface RawAnswer {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
}

export interface RawRequest {
  method: string
  path: string
  headers?: Record<string, string>
  /** Sent with Content-Length; an array of chunks is sent without. */
  body?: string | Uint8Array | Uint8Array[]
}

/** One request on a connection of its own: `fetch` would mend paths, bodies and headers on their way. */
export function sendRaw(url: string, { method, path, headers = {}, body }: RawRequest): Promise<RawAnswer> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const length =
      body === undefined || Array.isArray(body) ? {} : { 'content-length': Buffer.byteLength(body) }
    const sent = request({ hostname, port, method, path, headers: { ...length, ...headers }, agent: false })
    let isAnswered = false
    sent.on('response', (response) => {
      isAnswered = true
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const { statusCode = 0, headers } = response
        resolve({ status: statusCode, headers, text: Buffer.concat(chunks).toString('utf8') })
      })
    })
    // A server that refuses early may close while the rest of the body is still on its way.
    sent.on('error', (error) => {
      if (!isAnswered) reject(error)
    })
    if (Array.isArray(body)) for (const chunk of body) sent.write(chunk)
    else if (body !== undefined) sent.write(body)
    sent.end()
  })
}

export interface Talk {
  /** Everything that the server said. */
  said: string
  /** The server closed the connection; otherwise we did. */
  isClosedByServer: boolean
}

/**
 * Sends bytes, whatever they are, and listens until the server closes the connection, `waitMs` have passed, or, where that
 * is enough, the server has said anything.
 */
export function talk(
  url: string,
  bytes: (string | Uint8Array)[],
  { waitMs = 60_000, reset = false, leavesWhenAnswered = false } = {},
): Promise<Talk> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname)
    const heard: Buffer[] = []
    let isClosedByServer = true
    const leave = () => {
      isClosedByServer = false
      if (reset) socket.resetAndDestroy()
      else socket.destroy()
    }
    const timer = setTimeout(leave, waitMs)
    socket.on('data', (chunk: Buffer) => {
      heard.push(chunk)
      if (leavesWhenAnswered) leave()
    })
    // A reset is one of the ways in which a server closes.
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(timer)
      resolve({ said: Buffer.concat(heard).toString('latin1'), isClosedByServer })
    })
    for (const part of bytes) socket.write(part)
  })
}
