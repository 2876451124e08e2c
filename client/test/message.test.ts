import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readMessage } from '../../server/src/progress/consumers/message.ts'
import { progressMessage } from '../src/message.ts'

const about = { clientKrn: 'krn:acme', email: 'worker@example.com', filename: 'orders.csv' }
const read = (message: unknown) => readMessage(Buffer.from(JSON.stringify(message)))

test('P14 P15 a message of the SDK is one that the service takes', () => {
  const full = progressMessage({
    ...about,
    counts: { done: 3, failed: 1 },
    total: 100,
    isLast: true,
    errors: [{ line: 7, message: 'no such date' }],
    warnings: [{ line: 8, message: 'blank' }],
  })
  assert.deepEqual(full.counts, { done: 3, warn: 0, failed: 1 })
  for (const message of [full, progressMessage(about)]) assert.deepEqual(read(message), { message })
})

test('N1 each message has an id and a time of its own; sent again it keeps both', () => {
  const before = Date.now()
  const messages = Array.from({ length: 100 }, () => progressMessage(about))
  assert.equal(new Set(messages.map(({ id }) => id)).size, 100)
  for (const { sentAt } of messages)
    assert.ok(Date.parse(sentAt) >= before && Date.parse(sentAt) <= Date.now())
  assert.equal(progressMessage({ ...about, id: 'orders.csv/rows-1-1000' }).id, 'orders.csv/rows-1-1000')
})

test('what could not be stored is mended in messages, and refused in numbers', () => {
  const errors = [{ line: 1, message: `NUL \0, half \uD800, ${'long'.repeat(2_000)}` }]
  const message = progressMessage({ ...about, errors })
  assert.deepEqual(read(message), { message })
  assert.match(message.errors![0]!.message, /^NUL \uFFFD, half \uFFFD, (long)+.*…$/)
  assert.throws(() => progressMessage({ ...about, counts: { done: -1 } }), /done must be a whole number/)
  assert.throws(() => progressMessage({ ...about, total: 1.5 }), /total must be a whole number/)
})
