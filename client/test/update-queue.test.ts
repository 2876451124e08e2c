import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { PebblesApiError } from '../src/errors.ts'
import { parseRetryAfter, retryDelayMs } from '../src/retry.ts'
import {
  createUpdateQueue,
  MAX_ISSUE_BYTES,
  MAX_ISSUES,
  toBody,
  type UpdateBody,
} from '../src/update-queue.ts'

const report = fc.oneof(
  fc.record({
    do: fc.constant('count' as const),
    name: fc.constantFrom('done', 'warn', 'failed'),
    rows: fc.nat(9),
  }),
  fc.record({
    do: fc.constant('issue' as const),
    kind: fc.constantFrom('errors', 'warnings'),
    line: fc.nat(99),
  }),
  fc.record({ do: fc.constant('total' as const), rows: fc.nat(99) }),
  fc.constant({ do: 'send' as const }),
  fc.constant({ do: 'retry' as const }),
)

test('whatever is reported while updates go out, what goes out adds up to it, in order', () => {
  const property = fc.property(fc.array(report, { maxLength: 200 }), (reports) => {
    const queue = createUpdateQueue()
    const expected = { done: 0, warn: 0, failed: 0, errors: [] as number[], warnings: [] as number[] }
    let total: number | undefined
    const sent: UpdateBody[] = []
    const keys = new Set<string>()
    const send = () => {
      const head = queue.head()
      if (!head) return
      sent.push(JSON.parse(toBody('f.csv', head)))
      keys.add(head.key)
      queue.removeHead()
    }
    for (const step of reports) {
      if (step.do === 'count') {
        queue.addCount(step.name, step.rows)
        expected[step.name] += step.rows
      } else if (step.do === 'issue') {
        const json = JSON.stringify({ line: step.line, message: 'm' })
        queue.addIssue(step.kind, json, json.length)
        expected[step.kind].push(step.line)
      } else if (step.do === 'total') {
        queue.setTotal(step.rows)
        total = step.rows
      } else if (step.do === 'send') send()
      else assert.equal(queue.head(), queue.head(), 'an attempt is for the same update as the one before')
    }
    queue.end()
    while (queue.size > 0) send()

    for (const name of ['done', 'warn', 'failed'] as const) {
      assert.equal(
        sent.reduce((sum, { counts }) => sum + counts[name], 0),
        expected[name],
      )
    }
    for (const kind of ['errors', 'warnings'] as const) {
      assert.deepEqual(
        sent.flatMap((body) => (body[kind] ?? []).map(({ line }) => line)),
        expected[kind],
      )
    }
    assert.equal(sent.findLast((body) => body.total !== undefined)?.total, total)
    assert.deepEqual(
      sent.map(({ isLast = false }) => isLast),
      [...Array(sent.length - 1).fill(false), true],
    )
    assert.equal(keys.size, sent.length)
    assert.equal(queue.issueBytes, 0)
  })
  fc.assert(property)
})

test('an update never holds more than the service takes', () => {
  const queue = createUpdateQueue()
  for (let i = 0; i <= MAX_ISSUES; i++) queue.addIssue('errors', '{}', 2)
  assert.equal(queue.size, 2)
  queue.addIssue('warnings', '{}', MAX_ISSUE_BYTES)
  assert.equal(queue.size, 3)
})

test('delays grow to ten seconds with full jitter, and Retry-After is a minimum', () => {
  const longest = (failures: number) => retryDelayMs(failures, new Error(), () => 1)
  assert.deepEqual([1, 2, 3, 20].map(longest), [200, 400, 800, 10_000])
  assert.equal(
    retryDelayMs(5, new Error(), () => 0),
    0,
  )
  assert.equal(
    retryDelayMs(1, new PebblesApiError(429, { retryAfterMs: 60_000 }), () => 0),
    60_000,
  )
})

test('Retry-After is seconds or a date', () => {
  const now = Date.UTC(2026, 0, 1)
  assert.equal(parseRetryAfter('120', now), 120_000)
  assert.equal(parseRetryAfter('Thu, 01 Jan 2026 00:00:05 GMT', now), 5_000)
  assert.equal(parseRetryAfter('Wed, 31 Dec 2025 00:00:05 GMT', now), 0)
  assert.equal(parseRetryAfter('soon', now), undefined)
  assert.equal(parseRetryAfter(null, now), undefined)
})
