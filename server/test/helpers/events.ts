import { atEnd, type Scope } from './scope.ts'

export interface ServerEvent {
  id: string | undefined
  event: string | undefined
  // biome-ignore lint/suspicious/noExplicitAny: tests look at whatever came
  data: any
  at: number
}

export interface EventReader {
  status: number
  headers: Headers
  events: ServerEvent[]
  comments: number
  /** Waits until an event satisfies the condition, or fails after 10 s. */
  until(condition: (event: ServerEvent) => boolean): Promise<ServerEvent>
  /** Resolves when the server has closed the stream. */
  ended: Promise<void>
  close(): void
}

/** Reads server-sent events as a browser would. */
export async function readEvents(
  scope: Scope,
  url: string,
  headers: Record<string, string> = {},
): Promise<EventReader> {
  const abort = new AbortController()
  atEnd(scope, () => abort.abort())
  const response = await fetch(url, { headers, signal: abort.signal })
  const events: ServerEvent[] = []
  let comments = 0
  let wake = () => {}

  async function read(): Promise<void> {
    let rest = ''
    try {
      for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
        const blocks = (rest + chunk).split('\n\n')
        rest = blocks.pop()!
        for (const block of blocks) take(block)
        wake()
      }
    } catch (error) {
      if (!abort.signal.aborted) throw error
    }
  }

  function take(block: string): void {
    const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1]
    if (block.startsWith(':')) comments++
    const data = field('data')
    if (data !== undefined)
      events.push({ id: field('id'), event: field('event'), data: JSON.parse(data), at: Date.now() })
  }

  async function until(condition: (event: ServerEvent) => boolean): Promise<ServerEvent> {
    const deadline = Date.now() + 60_000
    for (;;) {
      const found = events.find(condition)
      if (found) return found
      if (Date.now() > deadline) throw new Error(`no such event among ${JSON.stringify(events)}`)
      await new Promise<void>((resolve) => {
        wake = resolve
        setTimeout(resolve, 100)
      })
    }
  }

  return {
    status: response.status,
    headers: response.headers,
    events,
    get comments() {
      return comments
    },
    until,
    ended: response.body ? read() : Promise.resolve(),
    close: () => abort.abort(),
  }
}
