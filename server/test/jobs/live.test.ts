import assert from 'node:assert/strict'
import { once } from 'node:events'
import { get } from 'node:http'
import { createInterface } from 'node:readline'
import { before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { openTestPool } from '../helpers/database.ts'
import { suiteScope } from '../helpers/scope.ts'
import { startServer, type TestServer } from '../helpers/server.ts'
import { until } from '../helpers/until.ts'
import { HEADER, importFile, readEvents, uploadJob, validRows, waitForEnd } from './helpers.ts'

describe('GET /api/jobs/:id/stream', () => {
  const scope = suiteScope()
  let server: TestServer
  before(async () => {
    server = await startServer(scope, { IMPORT_BATCH_ROWS: '5' })
  })

  const open = (jobId: string, lastEventId?: string) =>
    fetch(`${server.url}/api/jobs/${jobId}/stream`, {
      headers: lastEventId === undefined ? {} : { 'last-event-id': lastEventId },
    })

  test('F3 F13 begins with a snapshot, moves at most every 300 ms, ends with the job, and agrees with the detail', async () => {
    const jobId = await uploadJob(server, `${validRows(1_500, 'live')},bad,,\n`)
    const response = await open(jobId)
    assert.match(response.headers.get('content-type')!, /^text\/event-stream/)
    const events = await readEvents(response)
    const job = await waitForEnd(server, jobId)
    assert.ok(events.length >= 3, `${events.length} events`)
    for (const [index, { id, data }] of events.entries()) {
      assert.deepEqual(Object.keys(data), [
        'jobId',
        'processedRows',
        'totalRows',
        'successCount',
        'failedCount',
        'status',
      ])
      assert.equal(data.processedRows, data.successCount + data.failedCount)
      const before = events[index - 1]
      if (!before) continue
      assert.ok(Number(id) > Number(before.id))
      assert.ok(data.processedRows >= before.data.processedRows)
    }
    // Over all of them: where they arrive, one may be held up and the next one not.
    const tookMs = events.at(-1)!.atMs - events[0]!.atMs
    assert.ok(events.length <= 2 + tookMs / 300, `${events.length} events in ${tookMs} ms`)
    const { processedRows, totalRows, successCount, failedCount, status } = job
    assert.deepEqual(events.at(-1)!.data, {
      jobId,
      processedRows,
      totalRows,
      successCount,
      failedCount,
      status,
    })
    assert.deepEqual([status, totalRows, successCount, failedCount], ['completed', 1_501, 1_500, 1])
    assert.ok(events.some(({ data }) => data.status === 'processing' && data.totalRows === 1_501))
  })

  test('F3 of a job that has ended it sends the end; whoever has seen that comes back to a 204', async () => {
    for (const content of [HEADER, '']) {
      const job = await importFile(server, content)
      const events = await readEvents(await open(job.id))
      assert.equal(events.length, 1)
      assert.equal(events[0]!.data.status, job.status)
      assert.equal((await open(job.id, events[0]!.id)).status, 204)
      const early = await readEvents(await open(job.id, '1'))
      assert.deepEqual(early[0]!.data, events[0]!.data)
    }
  })

  test('F3 many watch one job, and each is told its end', async () => {
    const jobId = await uploadJob(server, validRows(200, 'many'))
    const all = await Promise.all(Array.from({ length: 10 }, async () => readEvents(await open(jobId))))
    for (const events of all) assert.equal(events.at(-1)!.data.status, 'completed')
  })

  test('N3 the importer shows in the live view of the ledger', async () => {
    const token = await server.token('alice@example.com', 'krn:watch')
    const [response] = await once(
      get(`${server.url}/clients/krn:watch/progress/stream`, { agent: false }),
      'response',
    )
    const counts: number[] = []
    const reading = (async () => {
      for await (const line of createInterface({ input: response })) {
        if (line.startsWith('data: ')) counts.push(JSON.parse(line.slice(6)).counts.done)
        if (counts.at(-1) === 1_000) return
      }
    })()
    await importFile(server, validRows(1_000, 'watch'), { token })
    await reading
    response.destroy()
    assert.ok(counts.length >= 2)
  })

  test('F3 a HEAD is answered, and opens no stream', async () => {
    const jobId = await uploadJob(server, HEADER)
    const { status } = await fetch(`${server.url}/api/jobs/${jobId}/stream`, { method: 'HEAD' })
    assert.equal(status, 404)
  })

  /**
   * The race: the reader leaves while its job is looked up, so its connection has closed before the view listens for
   * that. Views that never left filled the hub for good. The lock keeps the look-up waiting for as long as it takes.
   */
  test('F3 a reader that leaves while its job is looked up does not take a place for ever', async (t) => {
    const own = await startServer(t, { PEBBLES_ROLES: 'api', LIVE_VIEWS: '2' })
    const jobId = await uploadJob(own, HEADER)
    const path = `${own.url}/api/jobs/${jobId}/stream`
    const locker = await openTestPool(t, own.databaseUrl).connect()
    await locker.query('BEGIN')
    await locker.query('LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE')
    const requests = Array.from({ length: 5 }, () => get(path, { agent: false }).on('error', () => {}))
    await delay(300)
    for (const request of requests) request.destroy()
    await delay(100)
    await locker.query('COMMIT')
    locker.release()
    await until('there is room', async () => {
      const [response] = await once(get(path, { agent: false }), 'response')
      response.destroy()
      return response.statusCode === 200
    })
  })

  test('stopping the server closes open streams', async () => {
    const own = await startServer(scope, { PEBBLES_ROLES: 'api' })
    const jobId = await uploadJob(own, validRows(1))
    const [response] = await once(get(`${own.url}/api/jobs/${jobId}/stream`, { agent: false }), 'response')
    const lines = createInterface({ input: response })
    const seen: string[] = []
    for await (const line of lines) {
      seen.push(line)
      if (line.startsWith('data: ')) void own.stop()
    }
    assert.match(seen.join(), /"status":"pending"/)
    await own.stop()
  })
})
