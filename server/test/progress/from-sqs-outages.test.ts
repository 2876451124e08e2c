import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { AUDITED_UPDATES } from '../helpers/audit.ts'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import { startGate } from '../helpers/gate.ts'
import { type Scope, suiteScope } from '../helpers/scope.ts'
import { createTestDir, spawnWorker, startServer } from '../helpers/server.ts'
import { sharedSqs, sqsMissing, startSqs } from '../helpers/services.ts'
import { message, openTestSqs, type TestQueue, type TestSqs } from '../helpers/sqs.ts'
import { deliveredAgain, startSqsProxy } from '../helpers/sqs-proxy.ts'
import { until } from '../helpers/until.ts'
import { runSqsStorm } from '../verify/sqs-storm.ts'

const numbered = (filename: string, count: number) =>
  Array.from({ length: count }, (_, n) => ({ body: message(filename, { id: `${filename}/${n}` }) }))

describe('SQS, and what it stands on, may go away', { skip: sqsMissing() }, () => {
  const scope = suiteScope()
  let sqs: TestSqs
  before(() => {
    const { SQS_ENDPOINT: _, ...credentials } = sharedSqs()
    Object.assign(process.env, credentials)
    sqs = openTestSqs(scope, sharedSqs())
  })

  const sqsEnv = (queue: TestQueue, more: Record<string, string> = {}) => ({
    PEBBLES_ROLES: 'api,consumers',
    SQS_ENABLED: 'true',
    SQS_QUEUE_URL: queue.url,
    ...more,
  })

  /** How often each update counted; exactly once is what is promised. */
  async function countsOf(t: Scope, databaseUrl: string, filename: string) {
    const { rows } = await openTestPool(t, databaseUrl).query(
      `SELECT r.done::int, r.sequence::int, count(DISTINCT update_id)::int AS ids
       FROM records r JOIN ${AUDITED_UPDATES} ON record_id = r.id WHERE r.filename = $1 GROUP BY r.id`,
      [filename],
    )
    return rows[0]
  }
  const exactly = (count: number) => ({ done: count, sequence: count, ids: count })

  test('P14 N1 P24 exact with two processes, lost and late removals, and one killed with -9', async (t) => {
    const report = await runSqsStorm(t, {
      env: sharedSqs(),
      databaseUrl: await createTestDatabase(t),
      updates: 1_500,
      files: 30,
      processes: 2,
      kills: 1,
    })
    t.diagnostic(JSON.stringify(report))
    assert.ok(report.deliveredAgain >= 150, 'at least a tenth was delivered twice')
  })

  test('P14 N1 what was counted but not removed is found to be a duplicate, and is removed', async (t) => {
    const queue = await sqs.createQueue({ VisibilityTimeout: '1' })
    const seen = new Set<string>()
    const proxy = await startSqsProxy(t, sharedSqs().SQS_ENDPOINT!, (action) => {
      if (action !== 'DeleteMessageBatch' || seen.size > 0) return 'passes'
      seen.add(action)
      return 'lost'
    })
    const server = await startServer(t, sqsEnv(queue, { SQS_ENDPOINT: proxy.url }))
    await queue.send(numbered('lost.csv', 10))
    await queue.untilEmpty()
    assert.deepEqual(await countsOf(t, server.databaseUrl, 'lost.csv'), exactly(10))
    assert.ok(deliveredAgain(proxy) > 0)
  })

  test('P14 a database that freezes: messages stay in hand beyond their time-out, and count once', async (t) => {
    const queue = await sqs.createQueue({ VisibilityTimeout: '2' })
    const databaseUrl = await createTestDatabase(t)
    const gate = await startGate(t, databaseUrl)
    const proxy = await startSqsProxy(t, sharedSqs().SQS_ENDPOINT!, () => 'passes')
    await startServer(t, sqsEnv(queue, { DATABASE_URL: gate.url, SQS_ENDPOINT: proxy.url }))
    await queue.send(numbered('frozen.csv', 20))
    await queue.untilEmpty()
    gate.shut()
    await queue.send(numbered('frozen.csv', 60).slice(20))
    // More than two time-outs; the database is given up for the first time after fifteen seconds.
    await sleep(5_000)
    gate.open()
    await queue.untilEmpty()
    assert.deepEqual(await countsOf(t, databaseUrl, 'frozen.csv'), exactly(60))
    assert.equal(proxy.deliveries.size, 60)
  })

  test('P14 of a FIFO group nothing overtakes an update that could not be written', async (t) => {
    const fifo = await sqs.createQueue({ FifoQueue: 'true', VisibilityTimeout: '4' })
    const databaseUrl = await createTestDatabase(t)
    const gate = await startGate(t, databaseUrl)
    // Nothing stays hidden for longer than the time-out, so both have the same messages in hand. On a busy machine it is
    // all the same longer than a message takes, or it would be delivered again for ever.
    const proxy = await startSqsProxy(t, sharedSqs().SQS_ENDPOINT!, (action) =>
      action === 'ChangeMessageVisibilityBatch' ? 'lost' : 'passes',
    )
    const env = sqsEnv(fifo, { DATABASE_URL: gate.url, SQS_ENDPOINT: proxy.url })
    await Promise.all([startServer(t, env), startServer(t, env)])
    const groups = 5
    const messages = Array.from({ length: 300 }, (_, n) => {
      const group = `g${n % groups}`
      const step = Math.floor(n / groups)
      return { group, body: message(`${group}-${step % 3}.csv`, { id: `${group}/${step}` }) }
    })
    for (const half of [messages.slice(0, 150), messages.slice(150)]) {
      await fifo.send(half.slice(0, 50))
      gate.shut()
      const before = deliveredAgain(proxy)
      const sending = fifo.send(half.slice(50))
      await until('what is in hand is delivered again', () => deliveredAgain(proxy) > before)
      gate.open()
      await sending
    }
    await fifo.untilEmpty()
    const { rows } = await openTestPool(t, databaseUrl).query(
      `SELECT update_id FROM ${AUDITED_UPDATES} ORDER BY xid, audited.sequence`,
    )
    assert.equal(rows.length, messages.length)
    for (const steps of Map.groupBy(rows, ({ update_id }) => update_id.split('/')[0]).values()) {
      assert.deepEqual(
        steps.map(({ update_id }) => Number(update_id.split('/')[1])),
        steps.map((_, step) => step),
      )
    }
  })

  test('P14 the process starts while SQS is away, and goes on by itself whenever it is back', async (t) => {
    const own = await startSqs(t, { durable: true })
    const queue = await openTestSqs(t, own.env).createQueue({ VisibilityTimeout: '2' })
    await queue.send(numbered('away.csv', 200))
    await own.kill()
    const server = await startServer(t, sqsEnv(queue))
    assert.equal((await server.call('GET', '/livez')).status, 200)
    await own.restart()
    await queue.untilRestored()
    await queue.untilEmpty()
    const again = numbered('away.csv', 400).slice(200)
    await queue.send(again)
    own.freeze()
    await sleep(2_500)
    own.thaw()
    await queue.untilEmpty()
    assert.deepEqual(await countsOf(t, server.databaseUrl, 'away.csv'), exactly(400))
  })

  test('P14 P24 SIGTERM while SQS is away ends in good order', async (t) => {
    const own = await startSqs(t)
    const queue = await openTestSqs(t, own.env).createQueue()
    const DATABASE_URL = await createTestDatabase(t)
    const PEBBLES_DATA = await createTestDir(t)
    const env = sqsEnv(queue, { PEBBLES_ROLES: 'consumers' })
    const worker = spawnWorker(t, { ...env, DATABASE_URL, PEBBLES_DATA })
    await queue.send(numbered('before.csv', 10))
    await queue.untilEmpty()
    await queue.send(numbered('after.csv', 500))
    own.freeze()
    const code = new Promise((resolve) => worker.process.once('exit', resolve))
    worker.process.kill('SIGTERM')
    assert.equal(await code, 0, 'and not by the time limit of the drain')
  })

  test('P14 P24 SIGTERM while the database is away gives everything back', async (t) => {
    const queue = await sqs.createQueue({ VisibilityTimeout: '600' })
    const DATABASE_URL = await createTestDatabase(t)
    const gate = await startGate(t, DATABASE_URL)
    const worker = spawnWorker(t, {
      ...sqsEnv(queue, { PEBBLES_ROLES: 'consumers' }),
      DATABASE_URL: gate.url,
      PEBBLES_DATA: await createTestDir(t),
    })
    await queue.send(numbered('before.csv', 10))
    await queue.untilEmpty()
    gate.shut()
    await queue.send(numbered('back.csv', 100))
    while ((await queue.depth()).inHand < 50) await sleep(20)
    worker.process.kill('SIGTERM')
    // They would be hidden for ten minutes.
    while ((await queue.depth()).visible < 100) await sleep(50)
    gate.open()
    await worker.stop()
  })
})
