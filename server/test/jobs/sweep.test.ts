import assert from 'node:assert/strict'
import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { v7 as uuidv7 } from 'uuid'
import { sweep } from '../../src/jobs/upload/sweep.ts'
import { createLog } from '../../src/platform/log.ts'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import type { Scope } from '../helpers/scope.ts'
import { createTestDir, startServer } from '../helpers/server.ts'
import { until } from '../helpers/until.ts'
import { objectsDir } from './helpers.ts'
import { openWorker, type WorkerBench } from './worker-helpers.ts'

const log = createLog('silent')
const LONG_AGO = new Date(Date.now() - 25 * 3_600_000)

async function writeOld(path: string, at = LONG_AGO): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true })
  await writeFile(path, 'x')
  await utimes(path, at, at)
}

const open = async (scope: Scope) =>
  openWorker(scope, { url: await createTestDatabase(scope), batchRows: 10 })

const uploads = async ({ dir }: WorkerBench) => (await readdir(join(dir, 'uploads'))).sort()

test('files without a job go after a day; those of jobs, those of today and those of others stay', async (t) => {
  const worker = await open(t)
  const kept = await worker.newJob('x')
  await writeOld(join(worker.dir, 'uploads', kept))
  const today = uuidv7()
  await writeOld(join(worker.dir, 'uploads', today), new Date())
  await writeOld(join(worker.dir, 'uploads', 'README'))
  await writeOld(join(worker.dir, 'uploads', uuidv7()))
  await writeOld(join(worker.dir, 'partial', 'old'))
  await writeOld(join(worker.dir, 'partial', 'new'), new Date())
  assert.equal(await sweep({ ...worker, log }, { limit: 10 }), undefined)
  assert.deepEqual(await uploads(worker), [kept, today, 'README'].sort())
  assert.deepEqual(await readdir(join(worker.dir, 'partial')), ['new'])
})

test('a run looks at so many files and no more, and the next one goes on behind them', async (t) => {
  const worker = await open(t)
  const jobs: string[] = []
  for (let n = 0; n < 3; n++) {
    jobs.push(await worker.newJob('x'))
    await writeOld(join(worker.dir, 'uploads', jobs[n]!))
    await writeOld(join(worker.dir, 'uploads', uuidv7()))
  }
  let after: string | undefined
  const left: number[] = []
  do {
    after = await sweep({ ...worker, log }, { after, limit: 2 })
    left.push((await uploads(worker)).length)
  } while (after)
  assert.deepEqual([left, await uploads(worker)], [[5, 4, 3, 3], jobs])
})

test('nothing is removed while the database cannot tell whose it is', async (t) => {
  const worker = await open(t)
  await writeOld(join(worker.dir, 'uploads', uuidv7()))
  await worker.pool.query('ALTER TABLE jobs RENAME TO elsewhere')
  await assert.rejects(sweep({ ...worker, log }, { limit: 10 }))
  assert.equal((await uploads(worker)).length, 1)
})

test('a server that imports sweeps when it has started', async (t) => {
  const PEBBLES_DATA = await createTestDir(t)
  const DATABASE_URL = await createTestDatabase(t)
  const dir = await objectsDir(openTestPool(t, DATABASE_URL), PEBBLES_DATA)
  const ofAnother = join(PEBBLES_DATA, 'objects', uuidv7(), 'uploads')
  await writeOld(join(ofAnother, uuidv7()))
  const files = ['uploads', 'partial'].map((folder) => join(dir, folder, uuidv7()))
  for (const path of files) await writeOld(path)
  await startServer(t, { PEBBLES_DATA, DATABASE_URL })
  for (const folder of ['uploads', 'partial'])
    await until(`${folder} is swept`, async () => (await readdir(join(dir, folder))).length === 0)
  assert.equal((await readdir(ofAnother)).length, 1, 'what belongs to another database stays')
})
