import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import pino from 'pino'
import { databaseAway } from '../../src/platform/postgres/database.ts'
import { openSqsClient } from '../../src/platform/sqs/client.ts'
import { openQueue } from '../../src/platform/sqs/queue.ts'
import { createSqsConsumer } from '../../src/progress/consumers/from-sqs.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { sharedSqs, sqsMissing } from '../helpers/services.ts'
import { message, openTestSqs } from '../helpers/sqs.ts'
import { until } from '../helpers/until.ts'

/** A consumer whose ledger throws this as long as it is told to; it takes what lasts for an instant as lasting. */
async function consumeFailing(t: Scope, error: Error, maxHoldMs = 60_000) {
  const { SQS_ENDPOINT: endpoint, AWS_REGION: region, ...credentials } = sharedSqs()
  Object.assign(process.env, credentials)
  const queue = await openTestSqs(t, sharedSqs()).createQueue()
  await queue.send(['1', '2', '3'].map((id) => ({ body: message('faulty.csv', { id }) })))
  const ledger = { isFailing: true }
  const lines: string[] = []
  const client = openSqsClient({ region: region!, endpoint: endpoint!, maxRequests: 8 })
  atEnd(t, () => client.destroy())
  const own = openQueue(client, queue.url)
  let givenBack = 0
  const consumer = createSqsConsumer({
    queue: {
      ...own,
      setVisibility(handles, ...rest) {
        givenBack += handles.length
        return own.setVisibility(handles, ...rest)
      },
    },
    deadLetters: undefined,
    ledger: {
      submit: async () => {
        if (ledger.isFailing) throw error
        return { result: 'forbidden', isReplay: false }
      },
    },
    keptDays: 28,
    maxReceivers: 1,
    tally: () => {},
    log: pino({ level: 'error' }, { write: (line) => lines.push(line) }),
    stuckMs: 1,
    maxHoldMs,
  })
  atEnd(t, () => consumer[Symbol.asyncDispose]())
  await until('it has tried', () => consumer.health().lastError !== undefined)
  return { consumer, queue, ledger, lines, givenBack: () => givenBack }
}

describe('a consumer of SQS whose ledger fails', { skip: sqsMissing(), concurrency: true }, () => {
  test('P14 P23 what waiting does not mend makes it dead and is told once; no message is received again and again for it', async (t) => {
    const { consumer, queue, ledger, lines, givenBack } = await consumeFailing(t, new Error('no such column'))
    await until('it is dead', () => consumer.health().status === 'dead')
    assert.equal(consumer.health().lastError!.message, 'no such column')
    await until('all are in hand', async () => (await queue.depth()).inHand === 3)
    assert.equal(givenBack(), 0)
    assert.equal(lines.length, 1)
    ledger.isFailing = false
    await queue.untilEmpty()
    assert.equal(consumer.health().status, 'running')
  })

  test('P14 P23 it is no longer dead when it has given back what it could not write', async (t) => {
    const { consumer } = await consumeFailing(t, new Error('no such column'), 300)
    await until('it is dead', () => consumer.health().status === 'dead')
    await until('it has nothing in hand', () => consumer.health().status === 'running')
  })

  test('P14 P23 a database that is away is waited for, however long', async (t) => {
    const { consumer } = await consumeFailing(t, databaseAway(new Error('Connection terminated')))
    const { at } = consumer.health().lastError!
    await until('it has tried again', () => consumer.health().lastError!.at > at)
    assert.equal(consumer.health().status, 'waiting')
  })
})
