import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { chmod, chown, open, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { sweep } from '../../src/jobs/upload/sweep.ts'
import { createLog } from '../../src/platform/log.ts'
import { openObjectFolder } from '../../src/platform/objects/folder.ts'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import type { Scope } from '../helpers/scope.ts'
import { createTestDir, spawnServer, startServer, type TestServer } from '../helpers/server.ts'
import { mountSmallDisk, noSmallDisk, type SmallDisk } from '../helpers/small-disk.ts'
import { until } from '../helpers/until.ts'
import { importFile, objectsDir, upload, validRows, waitForEnd } from './helpers.ts'

const MiB = 1024 * 1024
const HUGE_BYTES = 10_000_000_000

/** A file of 10 GB that takes no room. */
async function makeSparseFile(scope: Scope): Promise<string> {
  const path = join(await createTestDir(scope), 'sparse.csv')
  await using file = await open(path, 'w')
  await file.write('name,email,phone,company\n')
  await file.truncate(HUGE_BYTES)
  return path
}

/** Bytes of all files below a folder. */
async function sizeOf(folder: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile())
      bytes += (await stat(join(entry.parentPath, entry.name)).catch(() => ({ size: 0 }))).size
  }
  return bytes
}

/** Sends a file as a form, until there is an answer. */
async function sendFile(server: TestServer, path: string, { isLengthTold }: { isLengthTold: boolean }) {
  const head = '--b\r\ncontent-disposition: form-data; name="file"; filename="sparse.csv"\r\n\r\n'
  const tail = '\r\n--b--\r\n'
  const sending = request(`${server.url}/api/jobs/upload`, {
    method: 'POST',
    headers: {
      'content-type': 'multipart/form-data; boundary=b',
      ...(isLengthTold && { 'content-length': head.length + HUGE_BYTES + tail.length }),
    },
  })
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    sending.on('response', resolve).on('error', reject)
  })
  const file = createReadStream(path, { highWaterMark: 256 * 1024 })
  sending.write(head)
  let sentBytes = 0
  file.on('data', (chunk) => {
    sentBytes += chunk.length
  })
  file.pipe(sending, { end: false })
  let mostBytes = 0
  let isAnswered = false
  const watch = (async () => {
    while (!isAnswered) {
      mostBytes = Math.max(mostBytes, await sizeOf(join(server.dataDir, 'objects')))
      await delay(10)
    }
  })()
  const response = await answered
  file.destroy()
  let text = ''
  for await (const chunk of response) text += chunk
  isAnswered = true
  await watch
  sending.on('error', () => {})
  sending.destroy()
  return { status: response.statusCode, body: JSON.parse(text), mostBytes, sentBytes }
}

describe('uploads beyond the limit', () => {
  for (const isLengthTold of [true, false]) {
    const how = isLengthTold ? 'whose length is told' : 'in chunks, whose length nobody tells'
    test(`F1 10 GB ${how} are refused with 413, and never fill the disk`, async (t) => {
      const server = await startServer(t, { MAX_UPLOAD_BYTES: String(8 * MiB) })
      const path = await makeSparseFile(t)
      const { status, body, mostBytes, sentBytes } = await sendFile(server, path, { isLengthTold })
      assert.deepEqual([status, body.code, body.errors[0].field], [413, 'too_large', 'file'])
      assert.ok(mostBytes <= 8 * MiB, `${mostBytes} bytes lay on the disk`)
      assert.ok(sentBytes < HUGE_BYTES / 10, `${sentBytes} bytes were sent before the answer`)
      const objects = join(server.dataDir, 'objects')
      await until('nothing stays behind', async () => (await sizeOf(objects)) === 0)
      assert.equal((await importFile(server, validRows(3, 'after'))).successCount, 3)
    })
  }
})

test('F1 N2 what a client left behind that stopped half-way, and a server that was killed meanwhile, the sweep removes', async (t) => {
  const DATABASE_URL = await createTestDatabase(t)
  const PEBBLES_DATA = await createTestDir(t)
  const server = await spawnServer(t, { DATABASE_URL, PEBBLES_DATA })
  const sending = request(`${server.url}/api/jobs/upload`, {
    method: 'POST',
    headers: { 'content-type': 'multipart/form-data; boundary=b', 'content-length': 50_000_000 },
  })
  sending.on('error', () => {})
  sending.write('--b\r\ncontent-disposition: form-data; name="file"; filename="half.csv"\r\n\r\n')
  sending.write(validRows(100_000, 'half'))
  const pool = openTestPool(t, DATABASE_URL)
  const dir = await objectsDir(pool, PEBBLES_DATA)
  const partial = join(dir, 'partial')
  while ((await sizeOf(partial)) < MiB) await delay(10)
  await server.kill()
  const [left] = await readdir(partial)
  assert.ok(left)
  const objects = await openObjectFolder(dir)
  const clean = () => sweep({ pool, objects, log: createLog('silent') }, { limit: 100 })
  await clean()
  assert.equal((await readdir(partial)).length, 1, 'an upload of today may still be going on')
  const longAgo = new Date(Date.now() - 25 * 3_600_000)
  await utimes(join(partial, left), longAgo, longAgo)
  await clean()
  assert.deepEqual(await readdir(dir, { recursive: true }), ['partial'])
})

describe('a full disk', { skip: noSmallDisk }, () => {
  test('F1 during an upload: 503 with the reason, nothing stays behind, and with room again it works', async (t) => {
    const PEBBLES_DATA = await createTestDir(t)
    const disk = mountSmallDisk(t, join(PEBBLES_DATA, 'objects'), '4m')
    const server = await startServer(t, { PEBBLES_DATA })
    const large = validRows(80_000, 'large')
    assert.ok(large.length > 4 * MiB)
    const { status, headers, body } = await upload(server, large)
    assert.deepEqual(
      [status, body.code, body.detail],
      [503, 'unavailable', 'There is no room for files at the moment.'],
    )
    assert.ok(Number(headers.get('retry-after')) > 0)
    assert.equal(await sizeOf(disk.path), 0)
    assert.equal((await importFile(server, validRows(100, 'small'))).successCount, 100)
    disk.grow('32m')
    assert.equal((await importFile(server, large)).successCount, 80_000)
  })

  /** The state of the only job; undefined while the database is away. */
  async function look(url: string) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 })
    client.on('error', () => {})
    try {
      await client.connect()
      const { rows } = await client.query(
        `SELECT status, success_count::int AS success, (SELECT count(*)::int FROM customers) AS stored,
                (SELECT max(done)::int FROM records) AS done
         FROM jobs`,
      )
      return rows[0] as { status: string; success: number; stored: number; done: number }
    } catch {
      return undefined
    } finally {
      await client.end().catch(() => {})
    }
  }

  const ROWS = 20_000

  /** An import that comes to a halt for want of room, waits, and is exact when there is room again. */
  async function importOnFullDisk(server: TestServer, disk: SmallDisk): Promise<void> {
    const { url } = JSON.parse(await readFile(join(server.dataDir, 'postgres', 'running.json'), 'utf8'))
    const { body } = await upload(server, validRows(ROWS, 'full'))
    const fullAt = Date.now() + 60_000
    // No room for a batch any more, or none for the log of changes, which ends PostgreSQL.
    for (let still = 0, before = -1; still < 6; ) {
      const now = await look(url)
      if (now) {
        assert.ok(['pending', 'processing'].includes(now.status), now.status)
        assert.deepEqual([now.stored, now.done], [now.success, now.success])
        assert.ok(now.success < ROWS)
      }
      still = now === undefined || (now.success > 0 && now.success === before) ? still + 1 : 0
      before = now?.success ?? -1
      assert.ok(Date.now() < fullAt, 'the disk did not become full')
      await delay(200)
    }
    assert.equal((await fetch(`${server.url}/livez`)).status, 200)
    disk.grow('1g')
    const job = await waitForEnd(server, body.jobId, null)
    assert.deepEqual([job.status, job.error, job.successCount, job.failedCount], ['completed', null, ROWS, 0])
    const end = await look(url)
    assert.deepEqual(end, { status: 'completed', success: ROWS, stored: ROWS, done: ROWS })
  }

  /** An import that fails for want of room, and goes on where it was when it is retried with room. */
  async function importWithoutRoom(server: TestServer, disk: SmallDisk): Promise<void> {
    const { url } = JSON.parse(await readFile(join(server.dataDir, 'postgres', 'running.json'), 'utf8'))
    const { body } = await upload(server, validRows(ROWS, 'full'))
    const job = await waitForEnd(server, body.jobId, null)
    assert.equal(job.status, 'failed')
    assert.match(job.error, /^The disk of the database is full\./)
    assert.ok(job.successCount > 0 && job.successCount < ROWS, `${job.successCount} rows were imported`)
    const then = await look(url)
    assert.deepEqual([then?.stored, then?.done], [job.successCount, job.successCount])
    disk.grow('1g')
    assert.equal((await fetch(`${server.url}/api/jobs/${body.jobId}/retry`, { method: 'POST' })).status, 200)
    const retried = await waitForEnd(server, body.jobId, null)
    assert.deepEqual(
      [retried.status, retried.error, retried.successCount, retried.failedCount],
      ['completed', null, ROWS, 0],
    )
    assert.deepEqual(await look(url), { status: 'completed', success: ROWS, stored: ROWS, done: ROWS })
  }

  const used = async (folder: string) => Math.ceil((await sizeOf(folder)) / MiB)
  const env = { DATABASE_URL: '', IMPORT_BATCH_ROWS: '1000' }

  test('N2 F12 under the tables, during an import: the job fails with that reason, and a retry is exact', async (t) => {
    const PEBBLES_DATA = await createTestDir(t)
    await chmod(PEBBLES_DATA, 0o755)
    const first = await spawnServer(t, { ...env, PEBBLES_DATA })
    await first.stop()
    const base = join(PEBBLES_DATA, 'postgres', 'cluster', 'base')
    // Databases that we made have the highest numbers.
    const path = join(base, String(Math.max(...(await readdir(base)).map(Number))))
    const { uid, gid } = await stat(path)
    await rename(path, `${path}-before`)
    const disk = mountSmallDisk(t, path, '512m')
    await chown(path, uid, gid)
    await chmod(path, 0o700)
    execFileSync('cp', ['-a', `${path}-before/.`, path])
    await rm(`${path}-before`, { recursive: true })
    const server = await spawnServer(t, { ...env, PEBBLES_DATA })
    disk.grow(`${(await used(path)) + 3}m`)
    await importWithoutRoom(server, disk)
  })

  test('N2 under all of PostgreSQL, which that ends: the job waits, and is exact when there is room again', async (t) => {
    const PEBBLES_DATA = await createTestDir(t)
    await chmod(PEBBLES_DATA, 0o755)
    const disk = mountSmallDisk(t, join(PEBBLES_DATA, 'postgres'), '512m')
    const server = await spawnServer(t, { ...env, PEBBLES_DATA })
    disk.grow(`${(await used(disk.path)) + 6}m`)
    await importOnFullDisk(server, disk)
  })
})
