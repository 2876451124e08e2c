import assert from 'node:assert/strict'
import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { openObjectFolder } from '../../src/platform/objects/folder.ts'
import { createTestDir } from '../helpers/server.ts'
import { objectsContract } from './objects-contract.ts'

describe('objects in a folder', () => {
  objectsContract(async (scope) => {
    const dir = await createTestDir(scope)
    const count = async () =>
      (await readdir(dir, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).length
    return { objects: await openObjectFolder(dir), count }
  })

  test('F1 what a process that died left half-written is removed when it is old enough', async (t) => {
    const dir = await createTestDir(t)
    await mkdir(join(dir, 'partial'))
    for (const name of ['old', 'new']) await writeFile(join(dir, 'partial', name), 'x')
    const longAgo = new Date(Date.now() - 25 * 3_600_000)
    await utimes(join(dir, 'partial', 'old'), longAgo, longAgo)
    const objects = await openObjectFolder(dir)
    await objects.removeStaged(new Date(Date.now() - 24 * 3_600_000))
    assert.deepEqual(await readdir(join(dir, 'partial')), ['new'])
  })
})
