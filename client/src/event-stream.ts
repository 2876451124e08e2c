import { PebblesConnectionError } from './errors.ts'

/** One server-sent event. */
export interface ServerEvent {
  /** `message` unless the service named it otherwise. */
  event: string
  data: string
  /** Newest id of the stream so far, for Last-Event-ID. */
  id: string | undefined
}

/** The service sends at least a comment every 15 seconds; a stream that is silent for longer is dead. */
const SILENCE_MS = 45_000

/**
 * Reads server-sent events (WHATWG HTML § 9.2.6) until the service ends the stream.
 *
 * @param onRetryMs hears how long the service wants a reader to wait before it comes back
 * @throws PebblesConnectionError when the stream breaks or falls silent
 */
export async function* readEvents(
  body: ReadableStream<Uint8Array>,
  onRetryMs: (ms: number) => void,
): AsyncGenerator<ServerEvent, void> {
  let id: string | undefined
  let event = ''
  let data: string[] = []
  for await (const line of readLines(body)) {
    if (line === '') {
      if (data.length > 0) yield { event: event || 'message', data: data.join('\n'), id }
      event = ''
      data = []
      continue
    }
    const [, field, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line)!
    if (field === 'data') data.push(value)
    else if (field === 'event') event = value
    else if (field === 'id') id = value
    else if (field === 'retry' && /^\d{1,6}$/.test(value)) onRetryMs(Number(value))
  }
}

async function* readLines(body: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let rest = ''
  try {
    for (;;) {
      const { done, value } = await readSoon(reader)
      if (done) return
      rest += decoder.decode(value, { stream: true })
      const lines = rest.split(/\r\n|\n|\r(?!$)/)
      rest = lines.pop()!
      yield* lines
    }
  } finally {
    // Also when the caller has had enough: closes the connection. That it is broken already is no news.
    await reader.cancel().catch(() => {})
  }
}

async function readSoon(reader: ReadableStreamDefaultReader<Uint8Array>) {
  let timer: ReturnType<typeof setTimeout> | undefined
  const silence = new Promise<never>((_, reject) => {
    const late = () =>
      reject(new PebblesConnectionError(`Nothing was heard for ${SILENCE_MS / 1000} seconds.`))
    timer = setTimeout(late, SILENCE_MS)
  })
  try {
    return await Promise.race([reader.read(), silence])
  } catch (cause) {
    if (cause instanceof PebblesConnectionError) throw cause
    throw new PebblesConnectionError('The stream broke.', { cause })
  } finally {
    clearTimeout(timer)
  }
}
