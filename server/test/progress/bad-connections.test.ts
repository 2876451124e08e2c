import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { suiteScope } from '../helpers/scope.ts'
import { startServer, type TestServer, update } from '../helpers/server.ts'
import { sendRaw, type Talk, talk } from './raw-http.ts'

const UPDATES = '/clients/krn:clnt:sockets/progress'

/** What arrives on a connection need not be HTTP: it is told so, the connection ends, and the server lives on. */
describe('bad connections', () => {
  const scope = suiteScope()
  let server: TestServer
  let head: string
  const body = JSON.stringify(update('half.csv'))

  before(async () => {
    server = await startServer(scope)
    head =
      `POST ${UPDATES} HTTP/1.1\r\nHost: pebbles\r\nContent-Type: application/json\r\n` +
      `Authorization: Bearer ${await server.token()}\r\n`
  })

  async function assertAlive(): Promise<void> {
    const health = await sendRaw(server.url, { method: 'GET', path: '/health' })
    assert.equal(health.text, 'OK')
  }

  async function assertNothingCounted(): Promise<void> {
    await assertAlive()
    const { body } = await server.call('GET', UPDATES)
    assert.deepEqual(body, [])
  }

  /** The only answer is a problem with this status, and the server ended the connection. */
  function assertRefused({ said, isClosedByServer }: Talk, status: number): void {
    assert.match(said, new RegExp(`^HTTP/1\\.1 ${status} `))
    assert.match(said, /\r\nConnection: close\r\n/i)
    assert.match(said, /\r\nContent-Type: application\/problem\+json/i)
    const problem = JSON.parse(said.slice(said.indexOf('\r\n\r\n') + 4))
    assert.equal(problem.status, status)
    for (const name of ['type', 'title', 'detail', 'code']) assert.equal(typeof problem[name], 'string')
    assert.ok(isClosedByServer)
  }

  const unreadable: Record<string, [number, (head: string) => string | Uint8Array]> = {
    'random bytes': [400, () => Uint8Array.from({ length: 5_000 }, (_, i) => (i * 7919) % 251)],
    'the beginning of TLS': [400, () => Uint8Array.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3])],
    'the beginning of HTTP/2': [400, () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    'a method that does not exist': [400, () => 'BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n'],
    'a path with a space': [400, () => 'GET /a b HTTP/1.1\r\nHost: x\r\n\r\n'],
    'a header without a colon': [400, () => 'GET /health HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n'],
    'a header with NUL': [400, () => 'GET /health HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n'],
    'a header of 100,000 bytes': [
      431,
      () => `GET /health HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(1e5)}\r\n\r\n`,
    ],
    '10,000 headers': [431, () => `GET /health HTTP/1.1\r\nHost: x\r\n${'X: y\r\n'.repeat(1e4)}\r\n`],
    'a path of 100,000 bytes': [431, () => `GET /${'a'.repeat(1e5)} HTTP/1.1\r\nHost: x\r\n\r\n`],
    'a Content-Length in letters': [400, (head) => `${head}Content-Length: ten\r\n\r\n${body}`],
    'a negative Content-Length': [400, (head) => `${head}Content-Length: -1\r\n\r\n${body}`],
    'a Content-Length beyond 64 bits': [400, (head) => `${head}Content-Length: 99999999999999999999\r\n\r\n`],
    'two lengths': [400, (head) => `${head}Content-Length: 1\r\nContent-Length: 2\r\n\r\n${body}`],
    'a length and chunks at once': [
      400,
      (head) => `${head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    'an unknown transfer coding': [
      400,
      (head) => `${head}Transfer-Encoding: chunked, magic\r\n\r\n0\r\n\r\n`,
    ],
  }
  for (const [name, [status, bytes]] of Object.entries(unreadable)) {
    test(`${name} is answered ${status}, and the connection ends`, async () => {
      assertRefused(await talk(server.url, [bytes(head)]), status)
      await assertNothingCounted()
    })
  }

  test('a chunk whose size is no number is never counted', async () => {
    const answer = await talk(server.url, [
      `${head}Transfer-Encoding: chunked\r\n\r\nXYZ\r\n${body}\r\n0\r\n\r\n`,
    ])
    assert.ok(answer.isClosedByServer)
    await assertNothingCounted()
  })

  for (const reset of [false, true]) {
    const how = reset ? 'resets' : 'closes'
    test(`half a body of a sender that ${how} is never counted`, async () => {
      const half = `${head}Content-Length: ${body.length}\r\n\r\n${body.slice(0, 20)}`
      const { said } = await talk(server.url, [half], { waitMs: 100, reset })
      assert.equal(said, '')
      await assertNothingCounted()
    })

    test(`half a chunked body of a sender that ${how} is never counted`, async () => {
      const half = `${head}Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n`
      const { said } = await talk(server.url, [half], { waitMs: 100, reset })
      assert.equal(said, '')
      await assertNothingCounted()
    })

    test(`half a head of a sender that ${how} harms nobody`, async () => {
      await talk(server.url, [head.slice(0, 40)], { waitMs: 50, reset })
      await assertNothingCounted()
    })

    test(`a live view of a sender that ${how} at once harms nobody`, async () => {
      await talk(server.url, [`GET ${UPDATES}/stream HTTP/1.1\r\nHost: x\r\n\r\n`], { waitMs: 20, reset })
      await assertNothingCounted()
    })
  }

  test('a body longer than its Content-Length is read to its length; the rest is no request', async () => {
    const { said, isClosedByServer } = await talk(server.url, [`${head}Content-Length: 5\r\n\r\n${body}`])
    assert.ok(isClosedByServer)
    // Either the five bytes are refused, or the connection ends before: never is the rest taken for an update.
    assert.ok(said === '' || said.startsWith('HTTP/1.1 400 '), said)
    await assertNothingCounted()
  })

  test('a body of 1 GB that is announced only is refused before it is sent', async () => {
    const { said } = await talk(server.url, [`${head}Content-Length: 1000000000\r\n\r\n{`], {
      leavesWhenAnswered: true,
    })
    assert.match(said, /^HTTP\/1\.1 413 /)
    await assertNothingCounted()
  })

  test('who sends too much reads why, though most of it is still on its way', async () => {
    const [, authorization = ''] = /Authorization: (.*)/.exec(head)!
    const headers = { authorization, 'content-type': 'application/json' }
    const large = Buffer.alloc(12_000_000, 0x20)
    for (let i = 0; i < 10; i++) {
      const body = i % 2 === 0 ? large : [large]
      const answer = await sendRaw(server.url, { method: 'POST', path: UPDATES, headers, body })
      assert.equal(answer.status, 413)
    }
  })

  test('a body is not waited for when the token is bad', async () => {
    const bytes = `${head.replace(/Bearer .*/, 'Bearer x')}Content-Length: 1000000\r\n\r\n{`
    const { said } = await talk(server.url, [bytes], { leavesWhenAnswered: true })
    assert.match(said, /^HTTP\/1\.1 401 /)
  })

  test('HEAD of a live view does not stay open', async () => {
    const { said, isClosedByServer } = await talk(server.url, [
      `HEAD ${UPDATES}/stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
    ])
    assert.match(said, /^HTTP\/1\.1 4/)
    assert.ok(isClosedByServer)
  })

  test('a request for another protocol is answered in this one, and a tunnel is not opened', async () => {
    const upgrade = 'Upgrade: websocket\r\nConnection: Upgrade, close\r\n'
    const { said } = await talk(server.url, [`GET /health HTTP/1.1\r\nHost: x\r\n${upgrade}\r\n`])
    assert.match(said, /^HTTP\/1\.1 200 /)
    const tunnel = await talk(server.url, [
      'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n',
    ])
    assert.ok(tunnel.isClosedByServer)
    assert.doesNotMatch(tunnel.said, /^HTTP\/1\.1 2/)
    await assertNothingCounted()
  })

  test('garbage behind an update is not answered in the place of the update', async () => {
    const bytes = `${head}Content-Length: ${body.length}\r\n\r\n${body}\0\0garbage\r\n\r\n`
    const { said, isClosedByServer } = await talk(server.url, [bytes])
    assert.ok(isClosedByServer)
    assert.ok(said === '' || said.startsWith('HTTP/1.1 200 '), said)
    await assertAlive()
  })

  test('200 broken connections at once harm no valid request', async () => {
    const broken = Array.from({ length: 200 }, (_, i) =>
      talk(server.url, [Object.values(unreadable)[i % 16]![1](head)], { reset: i % 2 === 0 }),
    )
    const updates = Array.from({ length: 20 }, () =>
      server.call('POST', UPDATES, { body: update('alive.csv') }),
    )
    for (const { status } of await Promise.all(updates)) assert.equal(status, 200)
    await Promise.all(broken)
    const { body } = await server.call('GET', `${UPDATES}?filename=alive.csv`)
    assert.equal(body.counts.done, 20)
  })
})
