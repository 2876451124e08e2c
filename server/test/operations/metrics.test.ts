import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { startEmbeddedPostgres } from '../../src/platform/postgres/embedded.ts'
import { freezePostgres, openTestPool } from '../helpers/database.ts'
import { readSamples, scrape } from '../helpers/metrics.ts'
import { atEnd, suiteScope } from '../helpers/scope.ts'
import { createTestDir, startServer, update } from '../helpers/server.ts'
import { until } from '../helpers/until.ts'
import { importFile, upload, uploadJob, validRows } from '../jobs/helpers.ts'

const route = '/clients/:clientKrn/progress'
const requests = (status: number) =>
  `pebbles_http_request_duration_seconds_count{method="POST",route="${route}",status="${status}"}`

describe('metrics', () => {
  const scope = suiteScope()
  const started = startServer(scope)

  test('P23 updates over HTTP are counted by what became of them, requests by route and status', async () => {
    const server = await started
    const before = await scrape(server)
    const updates = (samples: typeof before, result: string) =>
      samples[`pebbles_updates_total{channel="http",result="${result}"}`] ?? 0
    const others = await server.token('bob@example.com')
    const headers = { 'idempotency-key': 'once' }
    const report = (more = {}) =>
      server.call('POST', '/clients/krn:metrics/progress', { body: update('a.csv'), ...more })
    const statuses: number[] = []
    for (const more of [{ headers }, { headers }, { headers }, {}, { token: others }, { body: {} }])
      statuses.push((await report(more)).status)
    assert.deepEqual(statuses, [200, 200, 200, 200, 403, 400])

    const after = await scrape(server)
    assert.equal(updates(after, 'applied') - updates(before, 'applied'), 2)
    assert.equal(updates(after, 'duplicate') - updates(before, 'duplicate'), 2)
    assert.equal(updates(after, 'refused') - updates(before, 'refused'), 1)
    assert.equal(after[requests(200)], 4)
    assert.equal(after[requests(403)], 1)
    assert.equal(after[requests(400)], 1)
    assert.ok(after['pebbles_ledger_batch_duration_seconds_count{result="written"}']! >= 3)
    assert.equal(after.pebbles_ledger_pending, 0)
    assert.ok(after.pebbles_process_resident_memory_bytes! > 0)
  })

  test('P23 nothing in the metrics names a tenant, a file, a person or a path that was asked for', async () => {
    const server = await started
    const mark = randomBytes(8).toString('hex')
    const token = await server.token(`${mark}@example.com`, mark)
    const calls = [
      server.call('POST', `/clients/${mark}/progress`, { token, body: update(mark) }),
      server.call('POST', `/clients/other/progress`, { token, body: update(mark) }),
      server.call('GET', `/clients/${mark}/progress?filename=${mark}&x=${mark}`, { token }),
      server.call('GET', `/${mark}`),
      server.call('POST', `/clients/${mark}/${mark}`),
      upload(server, `name,email,phone,company\n`, {
        filename: `${mark}.csv`,
        token,
        query: `?dataset=${mark}`,
      }),
    ]
    for (const { status } of await Promise.all(calls)) assert.ok(status > 0)
    const text = await (await fetch(`${server.url}/metrics`)).text()
    assert.ok(!text.includes(mark))
    assert.equal(
      readSamples(text)['pebbles_http_request_duration_seconds_count{method="GET",route="",status="404"}'],
      1,
    )
  })

  test('P23 a live view is not taken for a slow request', async () => {
    const server = await started
    const { id } = await importFile(server, validRows(1, 'live'))
    const read = async (jobId: string) => {
      const response = await fetch(`${server.url}/api/jobs/${jobId}/stream`)
      await response.text()
      return response.status
    }
    assert.deepEqual([await read(id), await read('nobody')], [200, 404])
    const ofStreams = Object.keys(await scrape(server)).filter((name) => name.includes('/stream"'))
    assert.ok(ofStreams.length > 0)
    for (const name of ofStreams) assert.match(name, /status="404"/)
  })

  test('P23 imports that were made are counted as well', async () => {
    const server = await started
    const applied = 'pebbles_updates_total{channel="import",result="applied"}'
    const before = (await scrape(server))[applied] ?? 0
    await importFile(server, validRows(3))
    // One report for the total, one for the only batch. The commit is seen a moment before it is counted.
    const reports = async () => ((await scrape(server))[applied] ?? 0) - before
    await until('both are counted', async () => (await reports()) >= 2)
    assert.equal(await reports(), 2)
  })

  test('F7 P23 jobs that wait and are under way are told, those that have ended are not', async (t) => {
    const server = await startServer(t, { PEBBLES_ROLES: 'api' })
    const pool = openTestPool(t, server.databaseUrl)
    for (const status of ['pending', 'pending', 'processing', 'completed', 'failed', 'cancelled']) {
      const jobId = await uploadJob(server, validRows(1))
      await pool.query('UPDATE jobs SET status = $1 WHERE id = $2', [status, jobId])
    }
    const samples = await scrape(server)
    assert.equal(samples['pebbles_jobs{status="pending"}'], 2)
    assert.equal(samples['pebbles_jobs{status="processing"}'], 1)
    assert.equal(Object.keys(samples).filter((name) => name.startsWith('pebbles_jobs')).length, 2)
  })

  test('P23 N2 while the database is frozen metrics are there, but for what only it knows', async (t) => {
    const dataDir = join(await createTestDir(t), 'postgres')
    const postgres = await startEmbeddedPostgres({ dataDir, settings: { fsync: 'off' } })
    atEnd(t, () => postgres.stop())
    const server = await startServer(t, { DATABASE_URL: postgres.url })
    const { thaw } = await freezePostgres(t, { url: postgres.url, dataDir })
    const [frozen, readyz] = await Promise.all([scrape(server), server.call('GET', '/readyz')])
    assert.equal(readyz.status, 503)
    thaw()
    assert.equal(frozen.pebbles_ledger_pending, 0)
    assert.ok(!('pebbles_jobs{status="pending"}' in frozen))
    // What was frozen is asked again, though not at once.
    await until(
      'they are told again',
      async () => (await scrape(server))['pebbles_jobs{status="pending"}'] === 0,
    )
  })
})
