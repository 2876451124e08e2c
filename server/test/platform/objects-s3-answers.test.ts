import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { watchObjects } from '../../src/platform/objects/answers.ts'
import { openObjects } from '../../src/platform/objects/open.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { s3Missing, sharedS3 } from '../helpers/services.ts'

/** A TCP proxy that counts requests and can be cut. */
async function startProxy(scope: Scope, upstreamUrl: string) {
  const { hostname, port } = new URL(upstreamUrl)
  const sockets = new Set<Socket>()
  const proxy = {
    url: '',
    requests: 0,
    isCut: false,
    end() {
      for (const socket of sockets) socket.destroy()
    },
  }
  const server = createServer((client) => {
    if (proxy.isCut) return void client.destroy()
    const upstream = connect(Number(port), hostname)
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from)
      from.on('error', () => {}).on('close', () => to.destroy())
    }
    client.on('data', (bytes) => {
      if (/^[A-Z]+ \/\S* HTTP/.test(bytes.subarray(0, 2_000).toString('latin1'))) proxy.requests++
    })
    client.pipe(upstream).pipe(client)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  atEnd(scope, () => {
    proxy.end()
    server.close()
  })
  proxy.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return proxy
}

test('S7 whether S3 answers is known from what is done there: probes ask once, or not at all', {
  skip: s3Missing(),
}, async (t) => {
  const env = sharedS3()
  Object.assign(process.env, env)
  const proxy = await startProxy(t, env.S3_ENDPOINT!)
  const { S3_BUCKET: bucket = '', AWS_REGION: region = '' } = env
  const location = { bucket, region, prefix: `test/${randomUUID()}`, endpoint: proxy.url }
  const { objects, answers } = watchObjects(await openObjects(location))
  atEnd(t, () => objects[Symbol.dispose]())
  const probe = () => Promise.all(Array.from({ length: 20 }, answers))
  const all = (isThere: boolean) => Array(20).fill(isThere)
  const create = (name: string) => objects.createOnly(name, [Buffer.from('x')])

  assert.deepEqual([await probe(), await probe()], [all(true), all(true)])
  assert.equal(proxy.requests, 1)

  proxy.isCut = true
  proxy.end()
  await assert.rejects(create('uploads/a'), { code: 'unavailable' })
  const before = proxy.requests
  assert.deepEqual(await probe(), all(false))
  assert.equal(proxy.requests, before)

  proxy.isCut = false
  assert.equal(await create('uploads/b'), 'created')
  const after = proxy.requests
  assert.deepEqual(await probe(), all(true))
  assert.equal(proxy.requests, after)

  // Whoever sends a file and goes away tells nothing of S3.
  const source = new PassThrough()
  source.write('x')
  const staging = objects.stage('uploads/c', source, { maxBytes: 10 })
  source.destroy(new Error('gone'))
  await assert.rejects(staging)
  assert.deepEqual(await probe(), all(true))
})
