import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { type PassThrough, Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import {
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3'
import type { S3Location } from '../../src/platform/objects/objects.ts'
import { openObjects, requireObjects } from '../../src/platform/objects/open.ts'
import { openS3Objects } from '../../src/platform/objects/s3.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { s3Missing, sharedS3, startS3 } from '../helpers/services.ts'
import { brokenSource, LARGE, objectsContract, sourceOf } from './objects-contract.ts'

const MiB = 1024 * 1024

/** An empty folder of the bucket of a server, the one of all test files unless another is given. */
async function open(scope: Scope, env = sharedS3()) {
  Object.assign(process.env, env)
  const { S3_ENDPOINT: endpoint, S3_BUCKET: Bucket = '', AWS_REGION: region = '' } = env
  const prefix = `test/${randomUUID()}`
  const objects = await openObjects({ bucket: Bucket, prefix, region, endpoint })
  const client = new S3Client({ region, endpoint: endpoint!, forcePathStyle: true })
  atEnd(scope, () => {
    objects[Symbol.dispose]()
    client.destroy()
  })
  const below = { Bucket, Prefix: `${prefix}/` }
  const uploads = async () => (await client.send(new ListMultipartUploadsCommand(below))).Uploads ?? []
  const count = async () =>
    ((await client.send(new ListObjectsV2Command(below))).KeyCount ?? 0) + (await uploads()).length
  const begin = (name: string) =>
    client.send(new CreateMultipartUploadCommand({ Bucket, Key: `${prefix}/${name}` }))
  return { objects, count, uploads, begin }
}

/** A TCP proxy that loses the answer to the first request whose line matches: S3 has done it, and nobody knows. */
async function startAnswerLoser(scope: Scope, upstreamUrl: string, requestLine: RegExp) {
  const { hostname, port } = new URL(upstreamUrl)
  const sockets = new Set<Socket>()
  let lost = 0
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    let isLosing = false
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from)
      from.on('error', () => {}).on('close', () => to.destroy())
    }
    client.on('data', (bytes) => {
      isLosing ||= lost === 0 && requestLine.test(bytes.toString('latin1'))
      upstream.write(bytes)
    })
    upstream.on('data', (bytes) => {
      if (!isLosing) return client.write(bytes)
      lost++
      return client.destroy()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  atEnd(scope, () => {
    for (const socket of sockets) socket.destroy()
    return new Promise((resolve) => server.close(resolve))
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, lost: () => lost }
}

describe('objects in S3', { skip: s3Missing() }, () => {
  before(() => Object.assign(process.env, sharedS3()))

  objectsContract(open)

  test('F1 an upload that breaks off behind its first parts leaves no object and no open upload', async (t) => {
    const { objects, count, uploads } = await open(t)
    const source = brokenSource(LARGE)
    const staged = objects.stage('a', source, { maxBytes: 2 * LARGE.length })
    await assert.rejects(staged, /gone/)
    assert.equal(await count(), 0)
    // It was more than a file in memory: the same without the fault is an open upload until it is kept.
    await objects.stage('a', sourceOf(LARGE), { maxBytes: LARGE.length })
    assert.equal((await uploads()).length, 1)
  })

  test('F1 what a process that died left half-written is removed when it is old enough', async (t) => {
    const { objects, uploads, begin } = await open(t)
    for (const name of ['uploads/a', 'uploads/b']) await begin(name)
    await objects.removeStaged(new Date(Date.now() - 60_000))
    assert.equal((await uploads()).length, 2)
    await objects.removeStaged(new Date(Date.now() + 60_000))
    assert.equal((await uploads()).length, 0)
  })

  test('F1 a list is as long as asked for, also when one answer is not', async (t) => {
    const { objects } = await open(t)
    const paged = openS3Objects(objects.location as S3Location, { pageObjects: 2 })
    atEnd(t, () => paged[Symbol.dispose]())
    const names = Array.from({ length: 9 }, (_, n) => `many/${n}`)
    for (const name of names) await objects.createOnly(name, [])
    for (const limit of [7, 100]) {
      const found = await paged.list('many', { after: names[0], limit })
      assert.deepEqual(
        found.map(({ name }) => name),
        names.slice(1, 1 + limit),
      )
    }
  })

  test('F1 an upload of 40 MB takes the memory of two parts', async (t) => {
    const { objects } = await open(t)
    const chunk = Buffer.alloc(64 * 1024, 'x')
    // What is garbage does not count.
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const used = () => {
      // The second one waits for what the first one is still clearing away.
      collect()
      collect()
      return process.memoryUsage().arrayBuffers
    }
    let most = 0
    function* chunks() {
      for (let sent = 0; sent < 40 * MiB; sent += chunk.length) {
        if (sent % (2 * MiB) === 0) most = Math.max(most, used())
        yield chunk
      }
    }
    const before = used()
    await objects.stage('a', Readable.from(chunks()), { maxBytes: 40 * MiB })
    const needed = Math.round((most - before) / MiB)
    assert.ok(needed >= 8 && needed <= 20, `${needed} MiB`)
  })

  test('F1 more uploads than there is room for at a time wait for each other', async (t) => {
    const { objects, count } = await open(t)
    await Promise.all(
      Array.from({ length: 40 }, async (_, n) => {
        const staged = await objects.stage(`uploads/${n}`, sourceOf('x'), { maxBytes: 1 })
        await (n % 2 ? staged.keep() : staged.discard())
      }),
    )
    assert.equal(await count(), 20)
  })

  test('F1 S3 away: nothing is claimed to be kept, and it is used again when it is back', async (t) => {
    const server = await startS3(t)
    const { objects, count } = await open(t, server.env)
    const small = await objects.stage('small', sourceOf('x'), { maxBytes: 1 })
    const large = await objects.stage('large', sourceOf(LARGE), { maxBytes: LARGE.length })
    await server.kill()
    const away = { code: 'unavailable', retryable: true }
    const failures = [
      small.keep(),
      large.keep(),
      objects.stage('b', sourceOf(LARGE), { maxBytes: LARGE.length }),
      objects.createOnly('c', [Buffer.from('x')]),
      text(objects.read('d')),
      objects.remove('e'),
      objects.list('uploads', { limit: 1 }),
      objects.removeStaged(new Date()),
    ]
    await Promise.all(failures.map((failure) => assert.rejects(failure, away)))
    await assert.rejects(requireObjects(objects), {
      code: 'unavailable',
      message: /the bucket pebbles at http:\/\/127\.0\.0\.1:\d+ \(S3_BUCKET, S3_ENDPOINT/,
    })
    await large.discard()
    await server.restart()
    await small.keep()
    assert.equal(await text(objects.read('small')), 'x')
    await objects.removeStaged(new Date(Date.now() + 60_000))
    assert.equal(await count(), 1)
  })

  test('F1 a completion whose answer gets lost is looked up, and the object is kept', async (t) => {
    const proxy = await startAnswerLoser(t, sharedS3().S3_ENDPOINT!, /^POST \S+\?uploadId=/)
    const { objects, count } = await open(t, { ...sharedS3(), S3_ENDPOINT: proxy.url })
    const staged = await objects.stage('a', sourceOf(LARGE), { maxBytes: LARGE.length })
    await staged.keep()
    assert.equal(proxy.lost(), 1)
    assert.ok((await buffer(objects.read('a'))).equals(LARGE))
    assert.equal(await count(), 1)
  })

  test('N2 reading goes on where it broke off', async (t) => {
    const server = await startS3(t)
    const { objects } = await open(t, server.env)
    await objects.createOnly('a', [LARGE, LARGE])
    const source = objects.read('a', { start: 7 }) as PassThrough
    // Until nobody reads on, so that S3 is gone and back before anybody asks.
    while (!source.writableNeedDrain) await delay(5)
    await server.kill()
    await server.restart()
    assert.ok((await buffer(source)).equals(Buffer.concat([LARGE, LARGE]).subarray(7)))
  })
})
