import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import { readEvents } from '../helpers/events.ts'
import { createMongoDatabase, openTestMongo } from '../helpers/mongo.ts'
import { createTestDir, spawnServer, startServer, update } from '../helpers/server.ts'
import { mongoMissing, sharedMongo, startMongo } from '../helpers/services.ts'
import { until } from '../helpers/until.ts'
import { runStorm, seededRandom } from '../verify/ledger-storm.ts'

const PATH = '/clients/krn:mongo/progress'

describe('the API with MONGO_URI', { skip: mongoMissing() }, () => {
  test('P16 create, add, list, read issues and events, live view and replay', async (t) => {
    const MONGO_URI = createMongoDatabase(t)
    const server = await startServer(t, { MONGO_URI, PEBBLES_ROLES: 'api' })
    const { databaseUrl: DATABASE_URL, dataDir: PEBBLES_DATA } = server
    const other = await startServer(t, { MONGO_URI, DATABASE_URL, PEBBLES_DATA, PEBBLES_ROLES: 'api' })
    const live = await readEvents(t, `${other.url}${PATH}/stream`)
    const errors = [{ line: 3, message: 'bad' }]
    const send = (key: string, more = {}) =>
      server.call('POST', PATH, { body: update('a.csv', more), headers: { 'idempotency-key': key } })

    const created = await send('one', { errors, total: 3 })
    assert.equal(created.body.result, 'created')
    assert.equal((await send('two')).body.counts.done, 2)
    const again = await send('one', { errors, total: 3 })
    assert.equal(again.headers.get('idempotency-replayed'), 'true')
    assert.deepEqual(again.body, created.body)
    assert.equal((await send('one', { total: 9 })).status, 422)
    assert.equal((await live.until(({ id }) => id === '2')).data.counts.done, 2)

    const { body: record } = await other.call('GET', `${PATH}?filename=a.csv`)
    assert.deepEqual(record.counts, { done: 2, warn: 0, failed: 0 })
    assert.deepEqual(record.errors, errors)
    assert.equal((await send('three', { isLast: true })).status, 200)
    const stranger = await server.token('eve@example.com')
    assert.equal((await server.call('POST', PATH, { body: update('a.csv'), token: stranger })).status, 403)
    assert.equal((await send('four')).status, 400)
    assert.deepEqual((await other.call('GET', `${PATH}/${record.id}/errors`)).body, errors)
    const { body: events } = await other.call('GET', `${PATH}/${record.id}/events`)
    assert.deepEqual(
      events.map((event: { sequence: number; updateId: string }) => [event.sequence, event.updateId]),
      [
        [1, 'one'],
        [2, 'two'],
        [3, 'three'],
      ],
    )
    await server.call('POST', PATH, { body: update('b.csv') })
    const { body: list } = await server.call('GET', PATH)
    assert.deepEqual(
      list.map(({ filename }: { filename: string }) => filename),
      ['b.csv', 'a.csv'],
    )
    const { rows } = await openTestPool(t, DATABASE_URL).query('SELECT count(*)::int AS records FROM records')
    assert.equal(rows[0].records, 0, 'nothing of it is in PostgreSQL')
    const document = await openTestMongo(t, MONGO_URI)
      .db.collection('progress')
      .findOne({ filename: 'a.csv' })
    assert.equal(document?.clientKrn, 'krn:mongo')
    assert.equal(document?.isCompleted, true)
  })

  test('P16 /readyz tells that MongoDB is away, updates are answered 503, and it goes on by itself', async (t) => {
    const mongo = await startMongo(t)
    const MONGO_URI = createMongoDatabase(t, mongo.url)
    const server = await startServer(t, { MONGO_URI, PEBBLES_ROLES: 'api' })
    const ready = () => server.call('GET', '/readyz', { token: null })
    assert.equal((await ready()).body.mongo, true)
    await mongo.kill()
    const away = await ready()
    assert.deepEqual([away.status, away.body.mongo], [503, false])
    const answers = await Promise.all([
      server.call('POST', PATH, { body: update('away.csv') }),
      server.call('GET', PATH),
    ])
    for (const { status, headers } of answers) {
      assert.equal(status, 503)
      assert.ok(headers.get('retry-after'))
    }
    await mongo.restart()
    await until('it is back', async () => (await ready()).status === 200)
    const back = await server.call('POST', PATH, { body: update('away.csv') })
    assert.equal(back.body.counts.done, 1)
  })

  test('N1 P16 two instances, 16 callers, keys sent again, and an instance killed half-way', async (t) => {
    const DATABASE_URL = await createTestDatabase(t)
    const PEBBLES_DATA = await createTestDir(t)
    const MONGO_URI = createMongoDatabase(t, sharedMongo().MONGO_URI)
    const seed = Math.floor(Math.random() * 2 ** 31)
    t.diagnostic(`seed ${seed}`)
    const report = await runStorm({
      instances: 2,
      callers: 16,
      files: 20,
      updates: 400,
      kills: 1,
      random: seededRandom(seed),
      spawn: () => spawnServer(t, { DATABASE_URL, PEBBLES_DATA, MONGO_URI, PEBBLES_ROLES: 'api' }),
    })
    t.diagnostic(JSON.stringify(report))
    assert.equal(report.answered, 400)
  })
})
