import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import type { Scope } from '../helpers/scope.ts'
import { startServer } from '../helpers/server.ts'
import { kafkaMissing, sharedKafka } from '../helpers/services.ts'
import { eventually, message, openTestLog, readPages, recordOf } from './kafka-helpers.ts'
import { openTestStore, readOutside } from './kafka-outside.ts'

const ROLES = { PEBBLES_ROLES: 'api,consumers' }

describe('a partition with more than one reader, and one read again', { skip: kafkaMissing() }, () => {
  const openLog = (scope: Scope) => openTestLog(scope, sharedKafka().KAFKA_BOOTSTRAP_SERVERS!)

  test('P15 N1 a topic replayed from the beginning counts nothing twice', async (t) => {
    const log = openLog(t)
    await log.create()
    const server = await startServer(t, { ...log.env, ...ROLES })
    await log.send(Array.from({ length: 500 }, () => ({ partition: 0, value: message('r.csv') })))
    await eventually('all are there', async () => (await recordOf(server, 'r.csv'))?.sequence === 500)
    await server.stop()

    // The group forgets what it knew.
    await eventually('the group is empty', async () => {
      await log.admin.alterConsumerGroupOffsets({
        groupId: log.group,
        topics: [{ name: log.topic, partitionOffsets: [{ partition: 0, offset: 0n }] }],
      })
      return true
    })
    const again = await startServer(t, { ...log.env, ...ROLES, DATABASE_URL: server.databaseUrl })
    await log.send([{ partition: 0, value: message('r.csv') }])
    await eventually('the new one is there', async () => (await recordOf(again, 'r.csv'))?.sequence === 501)

    // And a reader begins at 0, whatever the database says.
    const store = openTestStore(t, server.databaseUrl)
    const outsider = await readOutside(t, log, { ...store, position: async () => 0 })
    await eventually('it has come to the end', async () => outsider.positions.at(-1) === 501)
    const record = await recordOf(again, 'r.csv')
    assert.equal(record.sequence, 501)
    assert.equal(record.counts.done, 501)
    const events = await readPages(again, `/clients/krn:kafka/progress/${record.id}/events?limit=1000`)
    assert.deepEqual(
      events.map(({ updateId }) => updateId),
      Array.from({ length: 501 }, (_, offset) => `${log.topic}/0/${offset}`),
    )
  })

  test('P15 N1 an old owner that is still writing when its partition goes to another counts nothing twice', async (t) => {
    const log = openLog(t)
    await log.create()
    const databaseUrl = await createTestDatabase(t)
    const store = openTestStore(t, databaseUrl)
    await log.send(Array.from({ length: 100 }, () => ({ partition: 0, value: message('h.csv') })))

    // The old owner has read a batch and comes to a halt on its way to the database.
    const halted = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    const oldOwner = await readOutside(t, log, {
      position: store.position,
      async applyFrom(batch) {
        halted.resolve()
        await goOn.promise
        return store.applyFrom(batch)
      },
    })
    await halted.promise
    const newOwner = await readOutside(t, log, store)
    await eventually('the new owner has all', async () => newOwner.positions.at(-1) === 100)
    goOn.resolve()
    await eventually('the old one learns of it', async () => oldOwner.positions.at(-1) === 100)

    // Both go on, over the same messages.
    for (let round = 0; round < 20; round++) {
      await log.send(Array.from({ length: 20 }, () => ({ partition: 0, value: message('h.csv') })))
    }
    await eventually('both are at the end', async () =>
      [oldOwner, newOwner].every(({ positions }) => positions.at(-1) === 500),
    )
    const pool = openTestPool(t, databaseUrl)
    const { rows } = await pool.query("SELECT done::int, sequence::int FROM records WHERE filename = 'h.csv'")
    assert.deepEqual(rows, [{ done: 500, sequence: 500 }])
  })

  test('P15 N1 an id counts once across messages, also across partitions', async (t) => {
    const log = openLog(t)
    await log.create(2)
    const server = await startServer(t, { ...log.env, ...ROLES })
    await log.send([
      { partition: 0, value: message('i.csv', { id: 'one' }) },
      { partition: 0, value: message('i.csv', { id: 'one' }) },
      { partition: 0, value: message('i.csv', { id: 'two' }) },
    ])
    await eventually('two are there', async () => (await recordOf(server, 'i.csv'))?.sequence === 2)
    await log.send([
      { partition: 1, value: message('i.csv', { id: 'one' }) },
      { partition: 1, value: message('i.csv', { id: 'three' }) },
    ])
    await eventually('three are there', async () => (await recordOf(server, 'i.csv'))?.sequence === 3)
    assert.equal((await recordOf(server, 'i.csv')).counts.done, 3)
  })

  test('P15 P24 two processes share the partitions, and take over from each other', async (t) => {
    const log = openLog(t)
    await log.create(4)
    const first = await startServer(t, { ...log.env, ...ROLES })
    const second = await startServer(t, { ...log.env, ...ROLES, DATABASE_URL: first.databaseUrl })
    const send = (from: number, to: number) =>
      log.send(
        Array.from({ length: to - from }, (_, n) => ({
          partition: (from + n) % 4,
          value: message(`s-${(from + n) % 4}.csv`),
        })),
      )
    const counted = async (server: typeof first, updates: number) => {
      const records = await Promise.all([0, 1, 2, 3].map((each) => recordOf(server, `s-${each}.csv`)))
      return records.every((record) => record?.sequence === updates / 4)
    }
    await send(0, 400)
    await eventually('all are there', () => counted(second, 400))
    await first.stop()
    await send(400, 800)
    await eventually('the other goes on alone', () => counted(second, 800))
  })
})
