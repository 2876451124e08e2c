import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { suiteScope } from '../../server/test/helpers/scope.ts'
import { spawnServer, startServer, type TestServer, update } from '../../server/test/helpers/server.ts'
import { readEvents, type ServerEvent } from '../src/event-stream.ts'
import { type LiveRecord, type PebblesApiError, watchJob, watchJobs, watchProgress } from '../src/index.ts'
import { startProxy } from './helpers/proxy.ts'

const CLIENT = 'krn:clnt:watch'
const PATH = `/clients/${CLIENT}/progress`

describe('watchProgress', () => {
  const scope = suiteScope()
  let server: TestServer
  before(async () => {
    server = await startServer(scope)
  })
  const report = (filename: string, more = {}, to = server) =>
    to.call('POST', PATH, { body: update(filename, more) })

  test('follows one file from what it is to its completion, and ends', async () => {
    await report('one.csv')
    await report('other.csv')
    const seen: LiveRecord[] = []
    for await (const record of watchProgress({ url: server.url, clientKrn: CLIENT, filename: 'one.csv' })) {
      if (seen.push(record) === 1) void report('one.csv', { isLast: true })
    }
    assert.ok(seen.every(({ filename }) => filename === 'one.csv'))
    assert.equal(seen[0]!.counts.done, 1)
    assert.equal(seen.at(-1)!.counts.done, 2)
    assert.equal(seen.at(-1)!.isCompleted, true)
  })

  test('follows all files of a client until the loop is left', async () => {
    await report('a.csv')
    await report('b.csv')
    const names = new Set<string>()
    for await (const { filename } of watchProgress({ url: server.url, clientKrn: CLIENT })) {
      names.add(filename)
      if (names.has('a.csv') && names.has('b.csv')) break
    }
    assert.ok(names.has('b.csv'))
  })

  test('comes back after the server was killed, says what it saw last, and misses nothing', async () => {
    const first = await spawnServer(scope)
    const proxy = await startProxy(scope, first.url)
    await report('restart.csv', {}, first)
    const seen: number[] = []
    const retries: (Error | undefined)[] = []
    let second: TestServer | undefined
    const options = {
      url: proxy.url,
      clientKrn: CLIENT,
      filename: 'restart.csv',
      onRetry: (error: Error | undefined) => retries.push(error),
    }
    for await (const { counts } of watchProgress(options)) {
      seen.push(counts.done)
      if (second) continue
      await first.kill()
      second = await spawnServer(scope, { DATABASE_URL: first.databaseUrl, PEBBLES_DATA: first.dataDir })
      await report('restart.csv', {}, second)
      proxy.target = second.url
      setTimeout(() => void report('restart.csv', { isLast: true }, second), 1_000)
    }
    assert.equal(seen.at(-1), 3)
    assert.deepEqual(seen, [...new Set(seen)], 'no state comes twice')
    assert.ok(retries.length > 0)
    const streams = proxy.seen.filter(({ path }) => path.includes('/stream'))
    assert.equal(streams.at(-1)!.lastEventId, '1')
  })

  test('waits through refusals that pass', async () => {
    const proxy = await startProxy(scope, server.url)
    proxy.decide = (_request, index) => (index < 2 ? { status: 503 } : 'pass')
    await report('busy.csv', { isLast: true })
    const seen = await collect(watchProgress({ url: proxy.url, clientKrn: CLIENT, filename: 'busy.csv' }))
    assert.equal(seen.length, 1)
    assert.equal(proxy.seen.length, 3)
  })

  test('ends at 204, and at once when aborted', async () => {
    const proxy = await startProxy(scope, server.url)
    proxy.decide = () => ({ status: 204 })
    assert.deepEqual(await collect(watchProgress({ url: proxy.url, clientKrn: CLIENT })), [])

    const abort = new AbortController()
    setTimeout(() => abort.abort(), 100)
    const quiet = { clientKrn: 'krn:clnt:quiet', signal: abort.signal }
    assert.deepEqual(await collect(watchProgress({ url: server.url, ...quiet })), [])
    assert.deepEqual(await collect(watchProgress({ url: 'http://127.0.0.1:9', ...quiet })), [])
  })

  test('a refusal is thrown', async () => {
    const closed = await startServer(scope, { PUBLIC_READ: 'false' })
    const watch = (token?: string) =>
      watchProgress({ url: closed.url, clientKrn: CLIENT, token, filename: 'closed.csv' }).next()
    await assert.rejects(watch(), (error: PebblesApiError) => error.status === 401)
    await report('closed.csv', {}, closed)
    const { value } = await watch(await closed.token())
    assert.equal((value as LiveRecord).counts.done, 1)
  })
})

describe('watchJob', () => {
  const scope = suiteScope()
  let server: TestServer
  before(async () => {
    server = await startServer(scope)
  })

  async function upload(csv: string): Promise<string> {
    const form = new FormData()
    form.append('file', new Blob([csv]), 'customers.csv')
    const response = await fetch(`${server.url}/api/jobs/upload`, { method: 'POST', body: form })
    return ((await response.json()) as { jobId: string }).jobId
  }

  test('follows a job to its end, and an ended one is told once', async () => {
    const jobId = await upload('name,email,phone,company\nA,a@example.com,,Acme\nB,nothing,,Acme\n')
    const states = await collect(watchJob({ url: server.url, jobId }))
    const end = {
      jobId,
      processedRows: 2,
      totalRows: 2,
      successCount: 1,
      failedCount: 1,
      status: 'completed',
    }
    assert.deepEqual(states.at(-1), end)
    assert.deepEqual(await collect(watchJob({ url: server.url, jobId })), [end])
  })

  test('a failed job ends it too, and there is no job without an id', async () => {
    const jobId = await upload('no header\n')
    assert.equal((await collect(watchJob({ url: server.url, jobId }))).at(-1)!.status, 'failed')
    await assert.rejects(collect(watchJob({ url: server.url, jobId: 'none' })), { status: 404 })
  })
})

test('server-sent events are read however they are cut, and whatever ends their lines', async () => {
  const source = [
    ': a comment\r\nretry: 250\r\n\r\n',
    'id: 7\r\nevent: reset\r\ndata: {}\r\n\r\n',
    'data: first\ndata:second\ndata\n\n',
    'id\ndata: ä😀\r\r',
    'data: never ended',
  ].join('')
  const bytes = new TextEncoder().encode(source)
  for (const size of [1, 2, 3, 5, bytes.length]) {
    const events: ServerEvent[] = []
    let retryMs = 0
    for await (const event of readEvents(cut(bytes, size), (ms) => (retryMs = ms))) events.push(event)
    assert.deepEqual(events, [
      { event: 'reset', data: '{}', id: '7' },
      { event: 'message', data: 'first\nsecond\n', id: '7' },
      { event: 'message', data: 'ä😀', id: '' },
    ])
    assert.equal(retryMs, 250)
  }
})

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}

function cut(bytes: Uint8Array, size: number): ReadableStream<Uint8Array> {
  let at = 0
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close()
      controller.enqueue(bytes.slice(at, at + size))
      at += size
    },
  })
}

describe('watchJobs', () => {
  test('W3 tells of every job of a client, also after the connection was lost', async (t) => {
    const first = await startServer(t)
    const proxy = await startProxy(t, first.url)
    const form = (name: string) => {
      const body = new FormData()
      body.append('file', new Blob(['name,email,phone,company\n']), name)
      return { method: 'POST', body }
    }
    const seen: string[] = []
    let snapshots = 0
    for await (const { event, data } of watchJobs({ url: proxy.url })) {
      if (event === 'snapshot') {
        const name = ++snapshots === 1 ? 'before.csv' : 'after.csv'
        void fetch(`${proxy.target}/api/jobs/upload`, form(name))
        if (snapshots === 2) seen.push(...data.jobs.map(({ filename }) => filename))
      }
      if (event !== 'job' || data.status !== 'completed') continue
      seen.push(data.filename)
      if (data.filename === 'after.csv') break
      await first.stop()
      const second = await startServer(t, { DATABASE_URL: first.databaseUrl, PEBBLES_DATA: first.dataDir })
      proxy.target = second.url
    }
    assert.equal(snapshots, 2)
    assert.deepEqual(new Set(seen), new Set(['before.csv', 'after.csv']))
  })
})
