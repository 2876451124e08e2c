import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { readEvents } from '../helpers/events.ts'
import { suiteScope } from '../helpers/scope.ts'
import { startServer, type TestServer, update } from '../helpers/server.ts'
import { until } from '../helpers/until.ts'

describe('P17 GET /clients/{clientKrn}/progress/stream', { concurrency: true }, () => {
  const scope = suiteScope()
  let one: TestServer
  let other: TestServer
  before(async () => {
    one = await startServer(scope, { PEBBLES_ROLES: 'api' })
    const { databaseUrl: DATABASE_URL, dataDir: PEBBLES_DATA } = one
    other = await startServer(scope, { DATABASE_URL, PEBBLES_DATA, PEBBLES_ROLES: 'api' })
  })
  const report = async (client: string, filename: string, more = {}) => {
    const answer = await one.call('POST', `/clients/${client}/progress`, { body: update(filename, more) })
    assert.equal(answer.status, 200)
  }

  test('sends the snapshot first, then what changes, also what another instance took', async (t) => {
    await report('live', 'a.csv')
    const reader = await readEvents(t, `${other.url}/clients/live/progress/stream`)
    assert.equal(reader.headers.get('content-type'), 'text/event-stream; charset=utf-8')
    const first = await reader.until(() => true)
    assert.equal(first.id, '1')
    assert.equal(first.data.filename, 'a.csv')
    assert.equal('errors' in first.data, false)
    await report('live', 'a.csv')
    await report('live', 'b.csv', { counts: { done: 7, warn: 0, failed: 0 } })
    assert.equal((await reader.until(({ id }) => id === '2')).data.counts.done, 2)
    assert.equal((await reader.until(({ data }) => data.filename === 'b.csv')).data.counts.done, 7)
    assert.ok(reader.events.every(({ data }) => data.clientKrn === 'live'))
  })

  test('with a filename sends that file only', async (t) => {
    const reader = await readEvents(t, `${one.url}/clients/single/progress/stream?filename=wanted.csv`)
    await report('single', 'other.csv')
    await report('single', 'wanted.csv')
    await reader.until(({ data }) => data.filename === 'wanted.csv')
    assert.equal(reader.events.length, 1)
  })

  test('at most one message per record in 300 ms, and the last state always', async (t) => {
    const reader = await readEvents(t, `${one.url}/clients/busy/progress/stream`)
    const updates = 400
    for (let n = 0; n < updates; n++) await report('busy', 'hot.csv')
    const last = await reader.until(({ id }) => id === String(updates))
    assert.equal(last.data.counts.done, updates)
    const gaps = reader.events.slice(1).map(({ at }, n) => at - reader.events[n]!.at)
    // Messages leave in steps of 300 ms; on a loaded machine two may arrive closer than they left.
    const spent = last.at - reader.events[0]!.at
    assert.ok(
      reader.events.length <= spent / 300 + 2,
      `${reader.events.length} messages in ${spent} ms: ${gaps}`,
    )
  })

  test('N4 Last-Event-ID: nothing again for a reader that is up to date, the newest for one that is not', async (t) => {
    await report('resume', 'r.csv')
    await report('resume', 'r.csv')
    const url = `${one.url}/clients/resume/progress/stream?filename=r.csv`
    const current = await readEvents(t, url, { 'last-event-id': '2' })
    const behind = await readEvents(t, url, { 'last-event-id': '1' })
    const ahead = await readEvents(t, url, { 'last-event-id': '9' })
    assert.equal((await behind.until(() => true)).id, '2')
    assert.equal((await ahead.until(() => true)).event, 'reset')
    await ahead.until(({ id }) => id === '2')
    await report('resume', 'r.csv')
    assert.equal((await current.until(() => true)).id, '3')
  })

  test('keeps a quiet stream open with comments', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] })
    const reader = await readEvents(t, `${one.url}/clients/quiet/progress/stream`)
    assert.equal(reader.comments, 0)
    t.mock.timers.tick(15_000)
    await until('a comment comes', () => reader.comments >= 1)
    assert.equal(reader.events.length, 0)
  })

  test('a stopping server ends its streams instead of waiting for them', async (t) => {
    const { databaseUrl: DATABASE_URL, dataDir: PEBBLES_DATA } = one
    const third = await startServer(t, { DATABASE_URL, PEBBLES_DATA, PEBBLES_ROLES: 'api' })
    const reader = await readEvents(t, `${third.url}/clients/ending/progress/stream`)
    await third.stop()
    await reader.ended
  })
})
