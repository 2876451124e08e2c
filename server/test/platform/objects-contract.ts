import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { test } from 'node:test'
import type { ObjectStore } from '../../src/platform/objects/objects.ts'
import type { Scope } from '../helpers/scope.ts'

export interface TestObjects {
  objects: ObjectStore
  /** How much there is, staged things and what is left of them included. */
  count(): Promise<number>
}

export const sourceOf = (...chunks: (string | Buffer)[]) =>
  Readable.from(chunks.map((chunk) => Buffer.from(chunk)))

/** Yields these and fails. */
export function brokenSource(...chunks: Buffer[]): Readable {
  async function* chunksAndFailure() {
    yield* chunks
    throw new Error('gone')
  }
  return Readable.from(chunksAndFailure())
}

/** More than one part of an upload to S3. */
export const LARGE = Buffer.from('0123456789'.repeat(900_000))

/** What every place of objects promises; `open` makes a new and empty one. */
export function objectsContract(open: (scope: Scope) => Promise<TestObjects>): void {
  async function put(objects: ObjectStore, name: string, content: string | Buffer): Promise<void> {
    await (await objects.stage(name, sourceOf(content), { maxBytes: content.length })).keep()
  }

  for (const [what, content] of [
    ['small', Buffer.from('abc'.repeat(200_000))],
    ['large', LARGE],
  ] as const) {
    test(`F1 a ${what} object appears whole, under its name, only when it is kept`, async (t) => {
      const { objects, count } = await open(t)
      const staged = await objects.stage('uploads/a', sourceOf(content.subarray(0, 9), content.subarray(9)), {
        maxBytes: content.length,
      })
      assert.equal(staged.sizeBytes, content.length)
      assert.equal(staged.sha256, createHash('sha256').update(content).digest('hex'))
      await assert.rejects(text(objects.read('uploads/a')), { code: 'ENOENT' })
      await staged.keep()
      assert.ok((await buffer(objects.read('uploads/a'))).equals(content))
      assert.equal(
        await text(objects.read('uploads/a', { start: 1, end: 4 })),
        content.toString('latin1', 1, 4),
      )
      const late = content.length - 5
      assert.ok((await buffer(objects.read('uploads/a', { start: late }))).equals(content.subarray(late)))
      assert.equal(await text(objects.read('uploads/a', { start: content.length })), '')
      await staged.discard()
      assert.equal(await text(objects.read('uploads/a', { end: 3 })), content.toString('latin1', 0, 3))
      await objects.remove('uploads/a')
      await objects.remove('uploads/a')
      assert.equal(await count(), 0)
    })

    test(`F1 what is discarded, too large, or breaks off leaves nothing, when it is ${what}`, async (t) => {
      const { objects, count } = await open(t)
      const maxBytes = content.length
      const staged = await objects.stage('a', sourceOf(content), { maxBytes })
      await staged.discard()
      await staged.discard()
      await assert.rejects(objects.stage('a', sourceOf(content, 'x'), { maxBytes }), { code: 'too_large' })
      await assert.rejects(objects.stage('a', brokenSource(content), { maxBytes }), /gone/)
      assert.equal(await count(), 0)
    })

    test(`S3 of many that create one ${what} object a single one does, and it is whole`, async (t) => {
      const { objects, count } = await open(t)
      const name = 'raw/dt=2026-11-24/hour=10/a.gz'
      const answers = await Promise.all(
        ['1', '2', '3'].map((mark) => objects.createOnly(name, [content, Buffer.from(mark)])),
      )
      assert.deepEqual(answers.sort(), ['created', 'exists', 'exists'])
      const found = await buffer(objects.read(name))
      assert.ok(found.subarray(0, -1).equals(content))
      assert.equal(await objects.createOnly(name, [Buffer.from('another')]), 'exists')
      assert.ok((await buffer(objects.read(name))).equals(found))
      assert.equal(await count(), 1)
    })
  }

  test('F1 an empty object is one', async (t) => {
    const { objects } = await open(t)
    await put(objects, 'empty', '')
    assert.equal(await text(objects.read('empty')), '')
    assert.equal(await text(objects.read('empty', { end: 4_096 })), '')
    assert.equal(await objects.createOnly('empty', []), 'exists')
    assert.equal(await objects.createOnly('new', []), 'created')
  })

  test('F1 a folder is listed page by page, in the order of the names', async (t) => {
    const { objects } = await open(t)
    assert.deepEqual(await objects.list('uploads', { limit: 9 }), [])
    const names = ['uploads/b', 'uploads/a', 'uploads/bb/deeper', 'uploads/c', 'other', 'uploads2/x']
    for (const name of names) await put(objects, name, 'x')
    const first = await objects.list('uploads', { limit: 2 })
    assert.deepEqual(
      first.map(({ name }) => name),
      ['uploads/a', 'uploads/b'],
    )
    assert.ok(Math.abs(Date.now() - first[0]!.writtenAt.getTime()) < 60_000)
    const [last, ...rest] = await objects.list('uploads', { after: 'uploads/b', limit: 2 })
    assert.deepEqual([last?.name, rest], ['uploads/c', []])
  })

  test('F1 a name never leads out of the place', async (t) => {
    const { objects } = await open(t)
    for (const name of ['../a', '/a', 'a/../b', 'a//b', '', '.a', 'a\0']) {
      assert.throws(() => objects.read(name), /not the name/)
    }
  })
}
