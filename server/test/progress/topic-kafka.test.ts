import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Producer } from '@platformatic/kafka'
import { openTestPool } from '../helpers/database.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { startServer } from '../helpers/server.ts'
import { kafkaMissing, sharedKafka } from '../helpers/services.ts'
import { eventually, message, openTestLog, readPages, recordOf } from './kafka-helpers.ts'

const ROLES = { PEBBLES_ROLES: 'api,consumers' }

describe('a topic that changes while it is read', { skip: kafkaMissing() }, () => {
  const openLog = (scope: Scope) => openTestLog(scope, sharedKafka().KAFKA_BOOTSTRAP_SERVERS!)
  const some = (count: number, filename: string, partition = 0) =>
    Array.from({ length: count }, () => ({ partition, value: message(filename) }))

  test('P15 a topic that was deleted and made again starts anew, by itself', async (t) => {
    const log = openLog(t)
    await log.create()
    const server = await startServer(t, { ...log.env, ...ROLES })
    await log.send(some(50, 'before.csv'))
    await eventually('all are there', async () => (await recordOf(server, 'before.csv'))?.sequence === 50)
    await log.remove()
    await eventually('it can be made again', () => log.create().then(() => true))
    await log.send(some(20, 'after.csv'))
    await eventually(
      'the new ones are there',
      async () => (await recordOf(server, 'after.csv'))?.sequence === 20,
    )
    assert.equal((await recordOf(server, 'before.csv')).sequence, 50)
  })

  test('P15 messages that retention took before they were read are told of, and the rest is read', async (t) => {
    const log = openLog(t)
    await log.create()
    const server = await startServer(t, { ...log.env, ...ROLES })
    await log.send(some(10, 'gap.csv'))
    await eventually('all are there', async () => (await recordOf(server, 'gap.csv'))?.sequence === 10)
    await server.stop()
    await log.send(some(30, 'gap.csv'))
    await log.admin.deleteRecords({
      topics: [{ name: log.topic, partitions: [{ partition: 0, offset: 25n }] }],
    })

    const again = await startServer(t, { ...log.env, ...ROLES, DATABASE_URL: server.databaseUrl })
    await eventually('the rest is there', async () => (await recordOf(again, 'gap.csv'))?.sequence === 25)
    const pool = openTestPool(t, server.databaseUrl)
    const { rows } = await pool.query('SELECT next_offset::int FROM log_positions')
    assert.deepEqual(rows, [{ next_offset: 40 }])
  })

  test('P15 partitions that are added later are read from their beginning', async (t) => {
    const log = openLog(t)
    await log.create(1)
    const server = await startServer(t, { ...log.env, ...ROLES })
    await log.send(some(5, 'first.csv'))
    await eventually('it reads', async () => (await recordOf(server, 'first.csv'))?.sequence === 5)
    await log.admin.createPartitions({
      topics: [{ name: log.topic, count: 3, assignments: [{ brokerIds: [1] }, { brokerIds: [1] }] }],
    })
    await eventually('there are three', async () => {
      await log.producer.metadata({ topics: [log.topic], forceUpdate: true })
      await log.send(some(1, 'third.csv', 2))
      return true
    })
    await eventually('it reads the third', async () => (await recordOf(server, 'third.csv'))?.sequence === 1)
  })

  test('P15 N1 transactions that were aborted count nothing, those that were committed count', async (t) => {
    const log = openLog(t)
    await log.create()
    const sender = new Producer({
      clientId: 'pebbles-test',
      bootstrapBrokers: [log.env.KAFKA_BOOTSTRAP_SERVERS!],
      transactionalId: `tx-${log.topic}`,
      idempotent: true,
      retries: 10,
      retryDelay: 100,
    })
    atEnd(t, () => sender.close())
    // Several of one producer, in turns, within what one fetch brings.
    for (const [filename, commits] of [
      ['aborted.csv', false],
      ['committed.csv', true],
      ['aborted.csv', false],
      ['committed.csv', true],
      ['aborted.csv', false],
    ] as const) {
      const transaction = await sender.beginTransaction()
      const messages = [1, 2, 3].map(() => ({
        topic: log.topic,
        partition: 0,
        value: Buffer.from(JSON.stringify(message(filename))),
      }))
      await transaction.send({ messages })
      await (commits ? transaction.commit() : transaction.abort())
    }
    await log.send(some(1, 'plain.csv'))
    const server = await startServer(t, { ...log.env, ...ROLES })
    await eventually(
      'the last one is there',
      async () => (await recordOf(server, 'plain.csv'))?.sequence === 1,
    )
    assert.equal((await recordOf(server, 'committed.csv')).sequence, 6)
    assert.equal(await recordOf(server, 'aborted.csv'), undefined)
  })

  test('P15 updates of another than the owner, or of a completed file, are refused and told of', async (t) => {
    const log = openLog(t)
    await log.create()
    const server = await startServer(t, { ...log.env, ...ROLES })
    await log.send([
      { partition: 0, value: message('own.csv') },
      { partition: 0, value: message('own.csv', { email: 'other@example.com', id: 'theirs' }) },
      { partition: 0, value: message('own.csv', { isLast: true }) },
      { partition: 0, value: message('own.csv') },
      { partition: 0, value: message('next.csv') },
    ])
    await eventually(
      'the one behind them is there',
      async () => (await recordOf(server, 'next.csv'))?.sequence === 1,
    )
    const record = await recordOf(server, 'own.csv')
    assert.deepEqual([record.sequence, record.counts.done, record.isCompleted], [2, 2, true])
    const events = await readPages(server, `/clients/krn:kafka/progress/${record.id}/events`)
    assert.deepEqual(
      events.map(({ updateId }) => updateId),
      [`${log.topic}/0/0`, `${log.topic}/0/2`],
    )
    const pool = openTestPool(t, server.databaseUrl)
    const { rows } = await pool.query('SELECT update_id, email, result FROM refusals ORDER BY id')
    assert.deepEqual(rows, [
      { update_id: 'theirs', email: 'other@example.com', result: 'forbidden' },
      { update_id: `${log.topic}/0/3`, email: 'worker@example.com', result: 'completed' },
    ])
  })

  test('P15 a message too large for the dead-letter topic leaves its place and its reason there', async (t) => {
    const log = openLog(t)
    await log.create(1, [{ name: 'max.message.bytes', value: String(8 * 1024 * 1024) }])
    await log.admin.createTopics({ topics: [`${log.topic}.dlq`], partitions: 1, replicas: 1 })
    const server = await startServer(t, { ...log.env, ...ROLES })
    await log.send([{ partition: 0, value: Buffer.alloc(5 * 1024 * 1024, 'x'), key: 'large' }])
    await log.send([{ partition: 0, value: Buffer.alloc(2 * 1024 * 1024, 'x'), key: 'bad' }])
    await log.send(some(1, 'behind.csv'))
    await eventually(
      'the one behind is there',
      async () => (await recordOf(server, 'behind.csv'))?.sequence === 1,
    )
    const held = await log.readAll(`${log.topic}.dlq`)
    assert.deepEqual(
      held.map(({ value, headers }) => [
        value,
        headers['pebbles-source-offset'],
        headers['pebbles-value-bytes'],
      ]),
      [
        [null, '0', String(5 * 1024 * 1024)],
        [null, '1', String(2 * 1024 * 1024)],
      ],
    )
    assert.match(held[0]!.headers['pebbles-reason']!, /must not have more than/)
  })
})
