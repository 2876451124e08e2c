import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { openTestPool } from '../helpers/database.ts'
import { type EventReader, readEvents } from '../helpers/events.ts'
import { type Scope, suiteScope } from '../helpers/scope.ts'
import { startServer, type TestServer } from '../helpers/server.ts'
import { HEADER, importFile, uploadJob, validRows, waitForEnd } from './helpers.ts'

const NONE = { total: 0, pending: 0, processing: 0, completed: 0, failed: 0, cancelled: 0 }

describe('all jobs of a client', () => {
  const scope = suiteScope()
  let server: TestServer
  let pool: pg.Pool
  before(async () => {
    server = await startServer(scope, { IMPORT_BATCH_ROWS: '20' })
    pool = openTestPool(scope, server.databaseUrl)
  })

  const tokenOf = (client: string) => server.token('alice@example.com', client)
  const statsOf = async (token: string) => (await server.call('GET', '/api/jobs/stats', { token })).body
  const watch = (t: Scope, token: string): Promise<EventReader> =>
    readEvents(t, `${server.url}/api/jobs/stream`, { authorization: `Bearer ${token}` })

  test('W3 the counts are those of the list, status by status, and of no other client', async () => {
    const [token, other] = [await tokenOf('krn:count'), await tokenOf('krn:count-other')]
    assert.deepEqual(await statsOf(token), NONE)
    const ids: string[] = []
    for (let n = 0; n < 3; n++) ids.push((await importFile(server, HEADER, { token })).id)
    await importFile(server, '', { token })
    await pool.query(`UPDATE jobs SET status = 'cancelled' WHERE id = $1`, [ids[0]])
    assert.deepEqual(await statsOf(token), { ...NONE, total: 4, completed: 2, failed: 1, cancelled: 1 })
    assert.deepEqual(await statsOf(other), NONE)
  })

  test('W3 counting reads one index and no job', async () => {
    const client = await pool.connect()
    await client.query('BEGIN')
    // A table of a handful of rows is read whole; this shows what is done with a large one.
    await client.query('SET LOCAL enable_seqscan = off')
    const { rows } = await client.query(
      `EXPLAIN SELECT status, count(*) FROM jobs WHERE client_krn = 'krn:x' GROUP BY status`,
    )
    await client.query('ROLLBACK')
    client.release()
    assert.match(JSON.stringify(rows), /Index Only Scan using jobs_client_status/)
  })

  test('W3 F13 the live view begins with a snapshot, tells every job from its creation to its end, and agrees with the list', async (t) => {
    const token = await tokenOf('krn:live')
    const earlier = await importFile(server, HEADER, { token, filename: 'earlier.csv' })
    const reader = await watch(t, token)
    assert.match(reader.headers.get('content-type')!, /^text\/event-stream/)
    await reader.until(({ event }) => event === 'stats')
    assert.deepEqual(
      reader.events.map(({ event }) => event),
      ['snapshot', 'stats'],
    )
    const { errors: _, ...state } = earlier
    assert.deepEqual(reader.events[0]!.data, { jobs: [state], next: null })
    assert.deepEqual(reader.events[1]!.data, { ...NONE, total: 1, completed: 1 })

    const jobId = await uploadJob(server, `${validRows(4_000, 'overview')},bad,,\n`, { token })
    const ended = await waitForEnd(server, jobId, token)
    await reader.until(({ event, data }) => event === 'job' && data.status === 'completed')
    await reader.until(({ event, data }) => event === 'stats' && data.completed === 2)
    const states = reader.events.filter(({ event, data }) => event === 'job' && data.id === jobId)
    assert.ok(states.length >= 3, `${states.length} states`)
    for (const [index, { data }] of states.entries()) {
      assert.equal(data.processedRows, data.successCount + data.failedCount)
      const last = states[index - 1]
      if (!last) continue
      assert.ok(data.sequence > last.data.sequence)
    }
    // Over all of them: where they arrive, one may be held up and the next one not.
    const tookMs = states.at(-1)!.at - states[0]!.at
    assert.ok(states.length <= 2 + tookMs / 300, `${states.length} states in ${tookMs} ms`)
    const { errors: __, ...end } = ended
    assert.deepEqual(states.at(-1)!.data, end)
    assert.deepEqual(reader.events.findLast(({ event }) => event === 'stats')!.data, await statsOf(token))
  })

  test('W3 a client hears nothing of another', async (t) => {
    const [token, other] = [await tokenOf('krn:mine'), await tokenOf('krn:theirs')]
    const reader = await watch(t, other)
    await reader.until(({ event }) => event === 'stats')
    await importFile(server, validRows(100, 'mine'), { token })
    await importFile(server, HEADER, { token: other, filename: 'theirs.csv' })
    await reader.until(({ event, data }) => event === 'stats' && data.completed === 1)
    const told = reader.events.filter(({ event }) => event === 'job')
    assert.ok(told.length > 0)
    assert.ok(told.every(({ data }) => data.filename === 'theirs.csv'))
    assert.ok(reader.events.every(({ event, data }) => event !== 'stats' || data.total <= 1))
  })

  test('W3 the snapshot has the newest 100 jobs, and the cursor behind them', async (t) => {
    const token = await tokenOf('krn:hundred')
    await uploadJob(server, HEADER, { token })
    await pool.query(
      `INSERT INTO jobs (id, client_krn, email, filename, ledger_filename, ledger_number, dataset, object_name,
                         size_bytes, sha256, status, created_at)
       SELECT gen_random_uuid(), client_krn, email, filename, n || '.csv', n, dataset, object_name, 1, sha256,
              'completed', now() - n * interval '1 minute'
       FROM jobs, generate_series(1, 104) AS n WHERE client_krn = 'krn:hundred'`,
    )
    const reader = await watch(t, token)
    const { jobs, next } = (await reader.until(({ event }) => event === 'snapshot')).data
    const all = (await server.call('GET', '/api/jobs?limit=200', { token })).body
    const ids = (list: { id: string }[]) => list.map(({ id }) => id)
    assert.equal(all.length, 105)
    assert.deepEqual(ids(jobs), ids(all.slice(0, 100)))
    const rest = (await server.call('GET', `/api/jobs?after=${next}`, { token })).body
    assert.deepEqual(ids(rest), ids(all.slice(100)))
  })

  /** An announcement is lost with the process that was to make it; here nobody makes one. */
  test('W3 a change and a deletion that nobody announced are told within seconds', async (t) => {
    const token = await tokenOf('krn:quiet')
    const [first, second] = [
      await importFile(server, HEADER, { token }),
      await importFile(server, HEADER, { token }),
    ]
    const reader = await watch(t, token)
    await reader.until(({ event }) => event === 'stats')
    // The first look, from which on jobs are missed.
    await delay(5_500)
    await pool.query(`UPDATE jobs SET sequence = sequence + 1 WHERE id = $1`, [first.id])
    await pool.query('DELETE FROM jobs WHERE id = $1', [second.id])
    await reader.until(({ event, data }) => event === 'deleted' && data.jobId === second.id)
    await reader.until(({ event, data }) => event === 'job' && data.sequence === first.sequence + 1)
    await reader.until(({ event, data }) => event === 'stats' && data.total === 1)
  })

  test('W3 live views of all jobs count among the live views that are served', async (t) => {
    const own = await startServer(t, { PEBBLES_ROLES: 'api', LIVE_VIEWS: '1' })
    await readEvents(t, `${own.url}/api/jobs/stream`)
    const jobId = await uploadJob(own, HEADER)
    const refused = await fetch(`${own.url}/api/jobs/${jobId}/stream`)
    assert.equal(refused.status, 503)
    await refused.body?.cancel()
  })

  test('W3 stopping the server closes open views of all jobs', async (t) => {
    const own = await startServer(t, { PEBBLES_ROLES: 'api' })
    const reader = await readEvents(t, `${own.url}/api/jobs/stream`)
    await reader.until(({ event }) => event === 'stats')
    await own.stop()
    await reader.ended
  })
})
