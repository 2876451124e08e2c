import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { test } from 'node:test'
import { openObjectFolder } from '../../src/platform/objects/folder.ts'
import { createTestDir } from '../helpers/server.ts'

const files = async (dir: string) =>
  (await readdir(dir, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).length

test('an object appears whole, under its name, only when it is kept', async (t) => {
  const dir = await createTestDir(t)
  const objects = await openObjectFolder(dir)
  const content = Buffer.from('abc'.repeat(200_000))
  const staged = await objects.stage(
    'uploads/a',
    Readable.from([content.subarray(0, 9), content.subarray(9)]),
    {
      maxBytes: content.length,
    },
  )
  assert.equal(staged.sizeBytes, content.length)
  assert.equal(staged.sha256, createHash('sha256').update(content).digest('hex'))
  await assert.rejects(text(objects.read('uploads/a')), { code: 'ENOENT' })
  await staged.keep()
  assert.deepEqual(await buffer(objects.read('uploads/a')), content)
  assert.equal(await text(objects.read('uploads/a', { start: 1, end: 4 })), 'bca')
  assert.equal(await text(objects.read('uploads/a', { start: content.length })), '')
  await objects.remove('uploads/a')
  await objects.remove('uploads/a')
  assert.equal(await files(dir), 0)
})

test('what is discarded, too large, or breaks off leaves nothing', async (t) => {
  const dir = await createTestDir(t)
  const objects = await openObjectFolder(dir)
  const staged = await objects.stage('a', Readable.from([Buffer.from('x')]), { maxBytes: 1 })
  await staged.discard()
  await assert.rejects(objects.stage('a', Readable.from([Buffer.from('xy')]), { maxBytes: 1 }), {
    code: 'too_large',
  })
  async function* broken() {
    yield Buffer.from('x')
    throw new Error('gone')
  }
  await assert.rejects(objects.stage('a', Readable.from(broken()), { maxBytes: 9 }), /gone/)
  assert.equal(await files(dir), 0)
})

test('what a process that died left half-written is removed when it is old enough', async (t) => {
  const dir = await createTestDir(t)
  await mkdir(join(dir, 'partial'))
  for (const name of ['old', 'new']) await writeFile(join(dir, 'partial', name), 'x')
  const longAgo = new Date(Date.now() - 25 * 3_600_000)
  await utimes(join(dir, 'partial', 'old'), longAgo, longAgo)
  const objects = await openObjectFolder(dir)
  await objects.removeStaged(new Date(Date.now() - 24 * 3_600_000))
  assert.deepEqual(await readdir(join(dir, 'partial')), ['new'])
})

test('a folder is listed page by page, in the order of the names', async (t) => {
  const objects = await openObjectFolder(await createTestDir(t))
  assert.deepEqual(await objects.list('uploads', { limit: 9 }), [])
  for (const name of ['uploads/b', 'uploads/a', 'uploads/c', 'other']) {
    await (await objects.stage(name, Readable.from([Buffer.from('x')]), { maxBytes: 1 })).keep()
  }
  const first = await objects.list('uploads', { limit: 2 })
  assert.deepEqual(
    first.map(({ name }) => name),
    ['uploads/a', 'uploads/b'],
  )
  assert.ok(Math.abs(Date.now() - first[0]!.writtenAt.getTime()) < 60_000)
  const [last, ...rest] = await objects.list('uploads', { after: 'uploads/b', limit: 2 })
  assert.deepEqual([last?.name, rest], ['uploads/c', []])
})

test('a name never leads out of the folder', async (t) => {
  const objects = await openObjectFolder(await createTestDir(t))
  for (const name of ['../a', '/a', 'a/../b', 'a//b', '', '.a', 'a\0']) {
    assert.throws(() => objects.read(name), /not the name/)
  }
})
