import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { StartMessageMoveTaskCommand } from '@aws-sdk/client-sqs'
import type { Pool } from 'pg'
import { readConfig } from '../../src/config.ts'
import { createLog } from '../../src/platform/log.ts'
import { openBase } from '../../src/roles/base.ts'
import { startConsumers } from '../../src/roles/consumers.ts'
import { AUDITED_UPDATES } from '../helpers/audit.ts'
import { openTestPool } from '../helpers/database.ts'
import { readEvents } from '../helpers/events.ts'
import { atEnd, suiteScope } from '../helpers/scope.ts'
import { startServer, type TestServer } from '../helpers/server.ts'
import { sharedSqs, sqsMissing } from '../helpers/services.ts'
import { message, openTestSqs, type TestQueue, type TestSqs } from '../helpers/sqs.ts'
import { startSqsProxy } from '../helpers/sqs-proxy.ts'

const DAY_MS = 86_400_000
const daysAgo = (days: number) => new Date(Date.now() - days * DAY_MS).toISOString()

describe('updates from SQS', { skip: sqsMissing() }, () => {
  const scope = suiteScope()
  let sqs: TestSqs
  let queue: TestQueue
  let deadLetters: TestQueue
  let server: TestServer
  let pool: Pool

  before(async () => {
    const env = sharedSqs()
    Object.assign(process.env, env)
    sqs = openTestSqs(scope, env)
    queue = await sqs.createQueue({ VisibilityTimeout: '30' })
    deadLetters = await sqs.createQueue()
    server = await startServer(scope, sqsEnv({ SQS_DLQ_URL: deadLetters.url }))
    pool = openTestPool(scope, server.databaseUrl)
  })

  const sqsEnv = (more: Record<string, string> = {}) => ({
    PEBBLES_ROLES: 'api,consumers',
    SQS_ENABLED: 'true',
    SQS_QUEUE_URL: queue.url,
    ...more,
  })

  const recordOf = async (filename: string, from = server) =>
    (await from.call('GET', `/clients/krn:sqs/progress?filename=${filename}`)).body

  const eventsOf = async (id: string, from = server) =>
    (await from.call('GET', `/clients/krn:sqs/progress/${id}/events?limit=1000`)).body

  test('P14 a message counts, is seen live and in the audit with its id, and is gone', async (t) => {
    const live = await readEvents(t, `${server.url}/clients/krn:sqs/progress/stream?filename=live.csv`)
    const id = randomUUID()
    const errors = [{ line: 7, message: 'no such date' }]
    await queue.send([
      { body: message('live.csv', { id, sentAt: new Date().toISOString(), total: 9, errors }) },
    ])
    const { data } = await live.until(({ data }) => data.filename === 'live.csv')
    assert.deepEqual(data.counts, { done: 1, warn: 0, failed: 0 })
    const record = await recordOf('live.csv')
    assert.equal(record.email, 'worker@example.com')
    assert.deepEqual(record.errors, errors)
    assert.equal(record.total, 9)
    const [event] = await eventsOf(record.id)
    assert.equal(event.channel, 'sqs')
    assert.equal(event.updateId, id)
    await queue.untilEmpty()
  })

  test('P14 N1 a message without an id has that of the queue', async () => {
    await queue.send([{ body: message('no-id.csv') }])
    await queue.untilEmpty()
    const [event] = await eventsOf((await recordOf('no-id.csv')).id)
    assert.match(event.updateId, /^[0-9a-f-]{36}$/)
  })

  test('P14 N1 a producer that sends a message twice counts once, whatever the queue thinks of them', async () => {
    const body = message('twice.csv', { id: randomUUID() })
    await queue.send([{ body }, { body }, { body: message('twice.csv', { id: randomUUID() }) }])
    await queue.send([{ body }])
    await queue.untilEmpty()
    assert.equal((await recordOf('twice.csv')).counts.done, 2)
  })

  test('P14 P6 what the ledger refuses is told in its refusals, and is not tried again', async () => {
    await queue.send([{ body: message('owned.csv', { id: 'first' }) }])
    await queue.untilEmpty()
    await queue.send([{ body: message('owned.csv', { id: 'stranger', email: 'mallory@example.com' }) }])
    await queue.untilEmpty()
    await queue.send([{ body: message('owned.csv', { id: 'last', isLast: true }) }])
    await queue.untilEmpty()
    await queue.send([{ body: message('owned.csv', { id: 'late' }) }])
    await queue.untilEmpty()
    const record = await recordOf('owned.csv')
    assert.equal(record.counts.done, 2)
    const { rows } = await pool.query(
      'SELECT update_id, email, result, channel FROM refusals WHERE record_id = $1 ORDER BY id',
      [record.id],
    )
    assert.deepEqual(rows, [
      { update_id: 'stranger', email: 'mallory@example.com', result: 'forbidden', channel: 'sqs' },
      { update_id: 'late', email: 'worker@example.com', result: 'completed', channel: 'sqs' },
    ])
    assert.deepEqual(await deadLetters.depth(), { visible: 0, inHand: 0 })
  })

  test('P14 what is not valid goes to SQS_DLQ_URL as it came, with the reason; the rest counts', async () => {
    const attributes = { trace: { DataType: 'String', StringValue: 'abc' } }
    const poison = [
      'not { json',
      JSON.stringify({ ...message('poison.csv'), email: undefined }),
      JSON.stringify(message('poison.csv', { counts: { done: -1, warn: 0, failed: 0 } })),
      JSON.stringify(message('poison.csv', { colour: 'red' })),
      '[]',
    ]
    const valid = Array.from({ length: 495 }, (_, n) => message('poison.csv', { id: `valid-${n}` }))
    await queue.send(
      [...poison, ...valid].map((body) => ({ body, attributes })).sort(() => Math.random() - 0.5),
    )
    const dead = await deadLetters.take(poison.length)
    await queue.untilEmpty()
    assert.equal((await recordOf('poison.csv')).counts.done, valid.length)
    const reasons = new Map(dead.map((each) => [each.Body, each.MessageAttributes!]))
    const fields = ['body', 'email', 'counts.done', 'colour', 'body']
    for (const [index, body] of poison.entries()) {
      const told = reasons.get(body)!
      assert.match(told['pebbles-reason']!.StringValue!, new RegExp(`^${fields[index]}: `))
      assert.equal(told['pebbles-source-queue']!.StringValue, queue.url.split('/').at(-1))
      assert.match(told['pebbles-message-id']!.StringValue!, /^[0-9a-f-]{36}$/)
      assert.equal(told.trace!.StringValue, 'abc')
    }
  })

  test('P14 a message that fills all the room there is goes to a FIFO dead-letter queue too', async (t) => {
    const source = await sqs.createQueue()
    const fifo = await sqs.createQueue({ FifoQueue: 'true' })
    await startServer(t, sqsEnv({ SQS_QUEUE_URL: source.url, SQS_DLQ_URL: fifo.url }))
    const bodies = [1024 * 1024, 1024 * 1024 - 100, 10].map((bytes) => 'x'.repeat(bytes))
    for (const body of bodies) await source.send([{ body }])
    const dead = await fifo.take(3)
    const told = bodies.map((body) => {
      const found = dead.find(({ Body }) => Body === body)!
      return Object.keys(found.MessageAttributes ?? {}).sort()
    })
    const all = ['pebbles-message-id', 'pebbles-reason', 'pebbles-source-queue']
    assert.deepEqual(told, [[], ['pebbles-reason'], all])
    await source.untilEmpty()
  })

  test('P14 N1 what is older than ids are kept is never counted, whatever the queue’s own time says', async () => {
    await queue.send([
      { body: message('old.csv', { id: 'too-old', sentAt: daysAgo(29) }) },
      { body: message('old.csv', { id: 'old', sentAt: daysAgo(27) }) },
      { body: message('old.csv', { id: 'early', sentAt: daysAgo(-1) }) },
    ])
    const [dead] = await deadLetters.take(1)
    await queue.untilEmpty()
    assert.match(dead!.MessageAttributes!['pebbles-reason']!.StringValue!, /^too_old: /)
    assert.equal(JSON.parse(dead!.Body!).id, 'too-old')
    const events = await eventsOf((await recordOf('old.csv')).id)
    assert.deepEqual(events.map(({ updateId }: { updateId: string }) => updateId).sort(), ['early', 'old'])
  })

  test('P14 N1 a message redriven from a dead-letter queue counts once, with another MessageId and time', async (t) => {
    const dlq = await sqs.createQueue()
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: dlq.arn, maxReceiveCount: 1 })
    const source = await sqs.createQueue({ VisibilityTimeout: '1', RedrivePolicy })
    const body = message('redriven.csv', { id: randomUUID(), sentAt: daysAgo(20) })
    // It counted, but whoever counted it died before it could remove it: once more than allowed, so it is moved.
    await source.send([{ body }])
    await takeWithoutRemoving(source, 1)
    await sleep(1_100)
    await takeWithoutRemoving(source, 0)
    assert.equal((await dlq.depth()).visible, 1)
    await queue.send([{ body }])
    await queue.untilEmpty()
    await startServer(t, sqsEnv({ SQS_QUEUE_URL: source.url, DATABASE_URL: server.databaseUrl }))
    await sqs.client.send(new StartMessageMoveTaskCommand({ SourceArn: dlq.arn, DestinationArn: source.arn }))
    while ((await dlq.depth()).visible > 0) await sleep(50)
    await source.untilEmpty()
    const record = await recordOf('redriven.csv')
    assert.equal(record.counts.done, 1)
    assert.equal(record.sequence, 1)
  })

  test('P14 without SQS_DLQ_URL what is not valid is left to the redrive policy, and the rest counts', async (t) => {
    const dlq = await sqs.createQueue()
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: dlq.arn, maxReceiveCount: 1 })
    // Longer than a machine comes to a halt: what is valid must not come again.
    const source = await sqs.createQueue({ VisibilityTimeout: '8', RedrivePolicy })
    const own = await startServer(t, sqsEnv({ SQS_QUEUE_URL: source.url }))
    const valid = Array.from({ length: 99 }, (_, n) => ({ body: message('left.csv', { id: `left-${n}` }) }))
    await source.send([...valid, { body: 'poison' }])
    const [dead] = await dlq.take(1)
    assert.equal(dead!.Body, 'poison')
    assert.equal(dead!.Attributes!.ApproximateReceiveCount, '2', 'once by Pebbles, then here')
    await source.untilEmpty()
    assert.equal((await recordOf('left.csv', own)).counts.done, valid.length)
  })

  test('P14 of a FIFO queue each group is applied in its order, groups side by side', async (t) => {
    const fifo = await sqs.createQueue({ FifoQueue: 'true' })
    const groups = 20
    const length = 15
    // In groups of several files: the ledger alone keeps the order of one file only.
    const messages = Array.from({ length: groups * length }, (_, n) => {
      const group = `g${n % groups}`
      const step = Math.floor(n / groups)
      const isLast = step >= length - 2
      return { group, body: message(`${group}-${step % 2}.csv`, { id: `${group}/${step}`, isLast }) }
    })
    await fifo.send(messages)
    const own = await startServer(t, sqsEnv({ SQS_QUEUE_URL: fifo.url }))
    await fifo.untilEmpty()
    const { rows } = await openTestPool(t, own.databaseUrl).query(
      `SELECT update_id FROM ${AUDITED_UPDATES} ORDER BY xid, split_part(update_id, '/', 2)::int`,
    )
    const order = Map.groupBy(rows, ({ update_id }) => update_id.split('/')[0])
    assert.equal(order.size, groups)
    for (const [group, steps] of order) {
      assert.deepEqual(
        steps.map(({ update_id }) => update_id),
        Array.from({ length }, (_, step) => `${group}/${step}`),
      )
    }
  })

  test('P14 P23 it tells what became of messages, how many wait, and what is wrong', async (t) => {
    const source = await sqs.createQueue({ VisibilityTimeout: '8' })
    let isBroken = false
    const proxy = await startSqsProxy(t, sharedSqs().SQS_ENDPOINT!, () => (isBroken ? 'broken' : 'passes'))
    const config = readConfig({
      ...sqsEnv({ SQS_QUEUE_URL: source.url, SQS_DLQ_URL: deadLetters.url, SQS_ENDPOINT: proxy.url }),
      DATABASE_URL: server.databaseUrl,
      PEBBLES_DATA: server.dataDir,
    })
    const log = createLog('silent')
    const base = await openBase(config, log)
    atEnd(t, () => base[Symbol.asyncDispose]())
    const told: Record<string, number> = {}
    const consumers = await startConsumers(config, base, log, (channel, result, messages) => {
      told[`${channel} ${result}`] = (told[`${channel} ${result}`] ?? 0) + messages
    })
    atEnd(t, () => consumers[Symbol.asyncDispose]())
    const [consumer] = consumers.all
    await source.send(
      [
        message('told.csv', { id: 'a' }),
        message('told.csv', { id: 'b' }),
        message('told.csv', { id: 'old', sentAt: daysAgo(100) }),
        'poison',
      ].map((body) => ({ body })),
    )
    await source.untilEmpty()
    await source.send([
      { body: message('told.csv', { id: 'a' }) },
      { body: message('told.csv', { id: 'c', email: 'mallory@example.com' }) },
    ])
    await source.untilEmpty()
    await deadLetters.take(2)
    assert.deepEqual(told, {
      'sqs applied': 2,
      'sqs duplicate': 1,
      'sqs refused': 1,
      'sqs invalid': 1,
      'sqs too_old': 1,
    })
    const { status, lag, lastError } = consumer!.health()
    assert.deepEqual([status, lastError], ['running', undefined])
    assert.deepEqual(
      lag.map((each) => each.source),
      [source.url.split('/').at(-1)],
    )
    isBroken = true
    // A poll that is under way ends with the first message, whose removal then fails.
    await source.send([{ body: message('told.csv', { id: 'd' }) }])
    while (consumer!.health().status !== 'waiting') await sleep(20)
    assert.match(consumer!.health().lastError!.message, /ECONNRESET|socket hang up/)
    isBroken = false
    await source.untilEmpty()
    while (consumer!.health().status !== 'running') await sleep(20)
    assert.equal((await recordOf('told.csv')).counts.done, 3)
  })

  test('P14 P24 a process that stops gives back what it has not begun', async (t) => {
    const fifo = await sqs.createQueue({ FifoQueue: 'true', VisibilityTimeout: '600' })
    const first = await startServer(t, sqsEnv({ SQS_QUEUE_URL: fifo.url }))
    const total = 200
    await fifo.send(
      Array.from({ length: total }, (_, n) => ({ body: message('handed-on.csv', { id: `n${n}` }) })),
    )
    await first.stop()
    const second = await startServer(t, sqsEnv({ SQS_QUEUE_URL: fifo.url, DATABASE_URL: first.databaseUrl }))
    // Would last for ten minutes if anything were still hidden.
    await fifo.untilEmpty()
    assert.equal((await recordOf('handed-on.csv', second)).counts.done, total)
  })

  async function takeWithoutRemoving(from: TestQueue, expected: number): Promise<void> {
    const { ReceiveMessageCommand } = await import('@aws-sdk/client-sqs')
    const { Messages = [] } = await sqs.client.send(
      new ReceiveMessageCommand({ QueueUrl: from.url, WaitTimeSeconds: 1 }),
    )
    assert.equal(Messages.length, expected)
  }
})
