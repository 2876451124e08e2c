import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { createEventStream, type EventStream } from '../../src/platform/http/sse.ts'
import { networkOf } from '../../src/platform/http/stream-limit.ts'
import { openTestPool, takeDatabaseAway } from '../helpers/database.ts'
import { readEvents } from '../helpers/events.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { startServer } from '../helpers/server.ts'
import { until } from '../helpers/until.ts'
import { uploadJob } from '../jobs/helpers.ts'

const PATH = '/clients/c/progress/stream'

describe('streams of live views', { concurrency: true }, () => {
  test('clients that leave before their stream begins do not stay in a hub', async (t) => {
    const server = await startServer(t, { PEBBLES_ROLES: 'api', LIVE_VIEWS: '3' })
    const jobId = await uploadJob(server, 'name,email,phone,company\n')
    const look = openTestPool(t, server.databaseUrl)
    for (const path of [`/api/jobs/${jobId}/stream`, PATH]) {
      const lock = await look.connect()
      // Held back where the request waits for the database: it is then that its client leaves.
      await lock.query('BEGIN; LOCK TABLE jobs, records IN ACCESS EXCLUSIVE MODE')
      for (let n = 0; n < 5; n++) {
        const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
        socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
        await sleep(50)
        socket.destroy()
      }
      await sleep(50)
      await lock.query('COMMIT')
      lock.release()
      await until('there is room for three', async () => {
        const readers = await Promise.all([1, 2, 3].map(() => readEvents(t, server.url + path)))
        for (const reader of readers) reader.close()
        return readers.every(({ status }) => status === 200)
      })
    }
  })

  test('one address has its share of live views, and gets it back when it leaves', async (t) => {
    const server = await startServer(t, { PEBBLES_ROLES: 'api', LIVE_VIEWS_PER_ADDRESS: '2' })
    const first = await readEvents(t, server.url + PATH)
    await readEvents(t, server.url + PATH)
    const refused = await server.call('GET', PATH)
    assert.deepEqual([refused.status, refused.body.code], [429, 'rate_limited'])
    assert.ok(Number(refused.headers.get('retry-after')) > 0)
    first.close()
    await until('its place is free', async () => (await readEvents(t, server.url + PATH)).status === 200)
  })

  test('beyond all live views of a process a viewer is told to come back', async (t) => {
    const server = await startServer(t, { PEBBLES_ROLES: 'api', LIVE_VIEWS: '1' })
    await readEvents(t, server.url + PATH)
    const refused = await server.call('GET', PATH)
    assert.deepEqual([refused.status, refused.body.code], [503, 'overloaded'])
    assert.ok(Number(refused.headers.get('retry-after')) > 0)
  })

  test('while the database is away a live view is a 503, not a 200 that ends', async (t) => {
    const server = await startServer(t, { PEBBLES_ROLES: 'api', LIVE_VIEWS: '1' })
    const giveBack = await takeDatabaseAway(server.databaseUrl)
    // Twice: a refused one must not count against the limit of one.
    for (let n = 0; n < 2; n++) {
      const { status, body, headers } = await server.call('GET', PATH)
      assert.deepEqual([status, body.code], [503, 'unavailable'])
      assert.match(headers.get('content-type')!, /^application\/problem\+json/)
    }
    await giveBack()
    assert.equal((await readEvents(t, server.url + PATH)).status, 200)
  })

  test('a closed stream whose reader takes nothing is cut off after some seconds', async (t) => {
    const { stream, leave } = await openRawStream(t)
    stream.open()
    while (stream.isReady) {
      stream.send('x'.repeat(65_536))
      // Once the loop breaks the kernel's buffers are full, not only Node's.
      await sleep(1)
    }
    const closed = Promise.withResolvers<void>()
    stream.onClose(closed.resolve)
    stream.close()
    assert.equal(stream.isReady, false)
    await closed.promise
    leave()
  })

  test('a stream on a socket that is closed already is closed at once, and begins nothing', async (t) => {
    const { stream, leave, again } = await openRawStream(t)
    const closed = Promise.withResolvers<void>()
    stream.onClose(closed.resolve)
    leave()
    await closed.promise
    let calls = 0
    for (const late of [stream, again()]) {
      late.open()
      late.onClose(() => calls++)
      assert.equal(late.isReady, false)
    }
    assert.equal(calls, 2)
  })

  test('of an IPv6 address the network counts', () => {
    assert.equal(networkOf('203.0.113.9'), '203.0.113.9')
    assert.equal(networkOf('::ffff:203.0.113.9'), '::ffff:203.0.113.9')
    assert.equal(networkOf('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2')
    assert.equal(networkOf('2001:db8::1'), '2001:db8:0:0')
    assert.equal(networkOf('::1'), '0:0:0:0')
    assert.equal(networkOf('2001::1:2:3:4:5'), '2001:0:0:1')
  })
})

/** A stream to a client that reads nothing. */
async function openRawStream(
  scope: Scope,
): Promise<{ stream: EventStream; leave: () => void; again: () => EventStream }> {
  const server = createServer().listen(0, '127.0.0.1')
  atEnd(scope, () => server.close())
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  socket.on('error', () => {})
  socket.pause()
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  const [raw, answer] = await once(server, 'request')
  const request = { raw, log: { debug() {} } } as unknown as FastifyRequest
  const reply = { hijack() {}, raw: answer, getHeaders: () => ({}) } as unknown as FastifyReply
  const again = () => createEventStream(request, reply)
  return { stream: again(), leave: () => socket.destroy(), again }
}
