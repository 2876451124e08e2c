import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import { Registry } from 'prom-client'
import { createLog } from '../../src/platform/log.ts'
import { openObjects } from '../../src/platform/objects/open.ts'
import { readRawFrom } from '../../src/streams/archive/archive-sources.ts'
import { startArchiver } from '../../src/streams/archive/archiver.ts'
import type { EventLog } from '../../src/streams/log/log.ts'
import { createStreams } from '../../src/streams/streams-postgres.ts'
import { readSamples } from '../helpers/metrics.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { createTestDir } from '../helpers/server.ts'
import { s3Missing, sharedS3, startS3 } from '../helpers/services.ts'
import { openRig } from './archive-rig.ts'

/** A place of its own in a bucket. */
async function openPlace(scope: Scope, env: Record<string, string>) {
  Object.assign(process.env, env)
  const { S3_ENDPOINT: endpoint = '', S3_BUCKET: bucket = '', AWS_REGION: region = '' } = env
  const prefix = `archives/${randomUUID()}`
  const location = { bucket, prefix, region, endpoint }
  const objects = await openObjects(location)
  const client = new S3Client({ region, endpoint, forcePathStyle: true })
  atEnd(scope, () => {
    objects[Symbol.dispose]()
    client.destroy()
  })
  async function list() {
    const found = await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: `${prefix}/raw/` }))
    return (found.Contents ?? []).map(({ Key = '', LastModified, ETag }) => ({
      name: Key.slice(prefix.length + 1),
      written: LastModified!.getTime(),
      ETag,
    }))
  }
  return {
    objects,
    location,
    list,
    /** A folder with all of it. */
    async download(): Promise<string> {
      const dir = await createTestDir(scope)
      for (const { name } of await list()) {
        await mkdir(dirname(join(dir, name)), { recursive: true })
        await writeFile(join(dir, name), await buffer(objects.read(name)))
      }
      return dir
    },
  }
}

/** A TCP proxy that keeps requests to write raw events back until they are let go, whether or not their sender still lives. */
async function startHolder(scope: Scope, upstreamUrl: string) {
  const { hostname, port } = new URL(upstreamUrl)
  const sockets = new Set<Socket>()
  const held: { upstream: Socket; chunks: Buffer[] }[] = []
  let answered = 0
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    const connection = { upstream, chunks: [] as Buffer[] }
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
    }
    client.on('data', (bytes) => {
      if (/^PUT \S+\/raw\//.test(bytes.toString('latin1'))) held.push(connection)
      if (held.includes(connection)) connection.chunks.push(bytes)
      else upstream.write(bytes)
    })
    upstream.on('data', (bytes) => {
      if (held.includes(connection)) answered++
      else client.write(bytes)
    })
    client.on('close', () => {
      if (!held.includes(connection)) upstream.end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  atEnd(scope, () => {
    for (const socket of sockets) socket.destroy()
    return new Promise((resolve) => server.close(resolve))
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    held: () => held.length,
    answered: () => answered,
    letGo() {
      for (const { upstream, chunks } of held) upstream.write(Buffer.concat(chunks))
    },
  }
}

describe('archives in S3', { skip: s3Missing() }, () => {
  test('S3 a process dies with its requests under way, and they reach S3 when another one has written the same: they change nothing', async (t) => {
    const place = await openPlace(t, sharedS3())
    const holder = await startHolder(t, sharedS3().S3_ENDPOINT!)
    const rig = await openRig(t, { location: place.location })
    await rig.append(200)
    const zombie = await rig.spawn({ location: { ...place.location, endpoint: holder.url } })
    await rig.until('requests on their way', async () => holder.held() >= 2)
    await zombie.kill()
    assert.equal((await rig.intents()).length, 2)
    assert.deepEqual(await place.list(), [])
    await rig.spawn()
    await rig.allArchived()
    const written = await place.list()
    holder.letGo()
    await rig.until('answers to the late requests', async () => holder.answered() >= 2)
    assert.deepEqual(await place.list(), written)
    await rig.checkEachOnce(await place.download())
  })

  test('S3 N5 S3 is away, then back, then frozen: what waits is bounded, nothing is lost, and it goes on by itself', async (t) => {
    const server = await startS3(t)
    const { objects, download, list } = await openPlace(t, server.env)
    const rig = await openRig(t)
    for (let n = 0; n < 60; n++) await rig.append(250)
    let readBytes = 0
    const watched: EventLog = {
      ...rig.log,
      openReader() {
        const reader = rig.log.openReader()
        return {
          async read(...asked) {
            const slice = await reader.read(...asked)
            for (const { payloads } of slice.runs) for (const { length } of payloads) readBytes += length
            return slice
          },
          [Symbol.asyncDispose]: () => reader[Symbol.asyncDispose](),
        }
      },
    }
    await server.kill()
    const registry = new Registry()
    const archiver = startArchiver({
      sources: [readRawFrom(watched)],
      partitions: 2,
      streams: createStreams(rig.pool, 60_000),
      pool: rig.pool,
      objects,
      format: 'ndjson',
      limits: { maxRows: 1e6, maxBytes: 200_000, maxAgeMs: 200 },
      maxPendingBytes: 200_000,
      registry,
      logger: createLog('silent'),
    })
    atEnd(t, () => archiver[Symbol.asyncDispose]())
    const samples = async () => readSamples(await registry.metrics())
    await rig.until('failures', async () => (await samples())['pebbles_s3_errors_total{writer="raw"}']! >= 4)
    assert.equal(archiver.health().status, 'waiting')
    assert.match(archiver.health().lastError!.message, /cannot be reached/)
    // Two parts, each of which reads at most so much beyond its half.
    assert.ok(readBytes > 100_000 && readBytes < 600_000, `${readBytes} bytes were read`)

    await server.restart()
    await rig.until('objects', async () => (await list()).length >= 2)
    server.freeze()
    await sleep(1_500)
    server.thaw()
    await rig.allArchived()
    assert.equal(archiver.health().status, 'running')
    assert.ok(readBytes > 1_200_000)
    await rig.checkEachOnce(await download())
  })
})
