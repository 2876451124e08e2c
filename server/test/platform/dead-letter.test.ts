import assert from 'node:assert/strict'
import { test } from 'node:test'
import { awsFault } from '../../src/platform/aws-fault.ts'
import { deadLetterAttributes } from '../../src/platform/sqs/dead-letter.ts'

const facts = { reason: 'email: is required', sourceQueue: 'updates', messageId: 'id-1' }
const text = (StringValue: string) => ({ DataType: 'String', StringValue })

test('P14 the reason comes first, then what else fits; never more than ten attributes', () => {
  const original = Object.fromEntries(Array.from({ length: 10 }, (_, n) => [`a${n}`, text('x')]))
  const all = deadLetterAttributes(
    facts,
    { ...original, 'pebbles-reason': text('of an earlier time') },
    10_000,
  )
  assert.equal(Object.keys(all).length, 10)
  assert.equal(all['pebbles-reason']!.StringValue, facts.reason)
  assert.deepEqual(Object.keys(deadLetterAttributes(facts, original, 47)), ['pebbles-reason', 'a0'])
  assert.deepEqual(deadLetterAttributes(facts, original, 0), {})
  assert.deepEqual(deadLetterAttributes(facts, original, -5), {})
})

test('P14 a reason that names a field of a sender’s making is one that SQS takes', () => {
  const { 'pebbles-reason': reason } = deadLetterAttributes(
    { ...facts, reason: `a\0b\u{1b}\uD800\uFFFE: is not a known field ${'x'.repeat(5_000)}` },
    {},
    10_000,
  )
  assert.match(reason!.StringValue!, /^a\uFFFDb\uFFFD\uFFFD\uFFFD: is not a known field x+$/)
  assert.equal(reason!.StringValue!.length, 1_024)
})

test('P14 what the service repeats of a signed request never gets into an error of ours', () => {
  const secret = 'IQoJb3JpZ2luX2VjEXAMPLE'
  const errors = [
    Object.assign(
      new Error(
        `The request signature does not match.\n\nThe Canonical String: x-amz-security-token:${secret}`,
      ),
      { name: 'SignatureDoesNotMatch' },
    ),
    Object.assign(new Error(`'${secret}' not a valid key=value pair in Authorization header`), {
      name: 'IncompleteSignature',
      $response: { headers: { secret } },
    }),
  ]
  const told = errors.map((error) => awsFault(error))
  assert.doesNotMatch(
    JSON.stringify(told.map((fault) => ({ ...fault, text: String(fault), stack: fault.stack }))),
    /IQoJ/,
  )
  assert.equal(told[0]!.message, 'SignatureDoesNotMatch: The request signature does not match.')
  assert.equal(told[1]!.message, 'IncompleteSignature')
})
