import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import type { RunningService } from '../../../scripts/services/service.ts'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import { createMongoDatabase } from '../helpers/mongo.ts'
import { type Scope, suiteScope } from '../helpers/scope.ts'
import { createTestDir, spawnServer, startServer, type TestServer, update } from '../helpers/server.ts'
import { mongoMissing, startMongo } from '../helpers/services.ts'
import { until } from '../helpers/until.ts'
import { importFile, uploadJob, validRows, waitForEnd } from './helpers.ts'

const PATH = '/clients/krn:dev/progress'

describe('imports with their records in MongoDB', { skip: mongoMissing() }, () => {
  const scope = suiteScope()
  let mongo: RunningService
  before(async () => {
    mongo = await startMongo(scope)
  })

  async function environment(t: Scope) {
    const [DATABASE_URL, PEBBLES_DATA] = await Promise.all([createTestDatabase(t), createTestDir(t)])
    return {
      DATABASE_URL,
      PEBBLES_DATA,
      MONGO_URI: createMongoDatabase(t, mongo.url),
      IMPORT_BATCH_ROWS: '20',
    }
  }

  test('P16 N2 the counts of an import and of its correction come to its record, each event once', async (t) => {
    const server = await startServer(t, await environment(t))
    const content = `${validRows(100, 'a')}Ann,wrong,,Ann Ltd\nBob,bob@example.com,,\n`
    const job = await importFile(server, content, { filename: 'a.csv' })
    const record = await recordWith(server, 'a.csv', (found) => found.isCompleted)
    assert.deepEqual(record.counts, { done: 100, warn: 0, failed: 2 })
    assert.deepEqual([record.total, record.errorsTotal], [102, 2])
    assert.match(record.errors[0].message, /email/)
    const corrected = 'rowNumber,name,email,phone,company,error\n102,Ann,ann@example.com,,Ann Ltd,\n'
    await importFile(server, corrected, { filename: 'b.csv', parent: job.id })
    const after = await recordWith(server, 'a.csv', ({ counts }) => counts.done === 101)
    assert.deepEqual(after.counts, { done: 101, warn: 0, failed: 1 })
    const { body: events } = await server.call('GET', `${PATH}/${record.id}/events`)
    assert.deepEqual(
      events.map(({ sequence }: { sequence: number }) => sequence),
      events.map((_: unknown, index: number) => index + 1),
    )
    assert.deepEqual(
      [events.at(-1).channel, events.at(-1).counts, events.at(-1).countsAfter],
      ['correction', { done: 1, warn: 0, failed: -1 }, after.counts],
    )
    assert.equal(
      (await server.call('GET', `/api/jobs/${job.id}/balance`, { token: null })).body.balanced,
      true,
    )
  })

  test('P16 N2 killed with -9 while it imports, and MongoDB too: in the end every count is there once', async (t) => {
    const env = await environment(t)
    const pool = openTestPool(t, env.DATABASE_URL)
    let server = await spawnServer(t, env)
    const id = await uploadJob(server, validRows(1_000, 'k'), { filename: 'k.csv' })
    for (const rows of [100, 300]) {
      await until(`${rows} rows are imported`, async () => {
        const found = await pool.query('SELECT processed_rows::int AS n FROM jobs WHERE id = $1', [id])
        return found.rows[0].n >= rows
      })
      if (rows === 300) await mongo.kill()
      else {
        await server.kill()
        server = await spawnServer(t, env)
      }
    }
    const job = await waitForEnd(server, id)
    assert.deepEqual(
      [job.status, job.successCount],
      ['completed', 1_000],
      'an import does not wait for MongoDB',
    )
    await mongo.restart()
    const record = await recordWith(server, 'k.csv', (found) => found.isCompleted)
    assert.deepEqual(record.counts, { done: 1_000, warn: 0, failed: 0 })
    const { rows } = await pool.query("SELECT sequence::int FROM records WHERE filename = 'k.csv'")
    assert.equal(record.sequence, rows[0].sequence)
  })

  test('P16 a name that a worker has, or a record that it closes: the import goes on under another', async (t) => {
    const server = await startServer(t, await environment(t))
    // The same person: nothing but the name tells the worker's record from the import's.
    const token = await server.token('alice@example.com', 'krn:dev')
    const report = (filename: string, more = {}) =>
      server.call('POST', PATH, { body: update(filename, more), token })
    await report('taken.csv')
    await importFile(server, validRows(50, 't'), { filename: 'taken.csv', token })
    const moved = await recordWith(server, 'taken (2).csv', (found) => found.isCompleted)
    assert.deepEqual([moved.counts, moved.total], [{ done: 50, warn: 0, failed: 0 }, 50])
    const { body: taken } = await server.call('GET', `${PATH}?filename=taken.csv`)
    assert.deepEqual([taken.counts.done, taken.sequence, taken.isCompleted], [1, 1, false])

    const id = await uploadJob(server, validRows(2_000, 'c'), { filename: 'closed.csv', token })
    await recordWith(server, 'closed.csv', ({ counts }) => counts.done > 0)
    const closing = await report('closed.csv', { isLast: true })
    assert.equal(closing.status, 200, JSON.stringify(closing.body))
    await waitForEnd(server, id, token)
    const again = await recordWith(server, 'closed (2).csv', (found) => found.isCompleted)
    assert.deepEqual([again.counts, again.total], [{ done: 2_000, warn: 0, failed: 0 }, 2_000])
  })

  test('P16 a process without MONGO_URI does not start on a database whose records are in MongoDB', async (t) => {
    const { MONGO_URI, ...env } = await environment(t)
    const server = await startServer(t, { ...env, MONGO_URI })
    await server.stop()
    await assert.rejects(startServer(t, env), /MONGO_URI/)
  })
})

// biome-ignore lint/suspicious/noExplicitAny: tests look at whatever came back
async function recordWith(server: TestServer, filename: string, condition: (record: any) => boolean) {
  // biome-ignore lint/suspicious/noExplicitAny: tests look at whatever came back
  let record: any
  await until('the record is so', async () => {
    const { status, body } = await server.call('GET', `${PATH}?filename=${encodeURIComponent(filename)}`)
    record = body
    return status === 200 && condition(body)
  })
  return record
}
