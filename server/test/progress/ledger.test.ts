import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { PebblesError } from '../../src/platform/errors.ts'
import { createLedger, type LedgerOptions } from '../../src/progress/ledger.ts'
import type { Update } from '../../src/progress/record.ts'
import { type Outcome, PartlyApplied } from '../../src/progress/store.ts'
import { makeUpdate } from './store-contract.ts'

const refused: Outcome = { result: 'completed', isReplay: false }

/** A ledger whose batches end when the test says so. */
function controlled(more: Partial<LedgerOptions> = {}) {
  const batches: { updates: readonly Update[]; finish: () => void }[] = []
  const ledger = createLedger({
    lanes: 1,
    maxPending: 100,
    maxPendingBytes: 1e9,
    apply: (updates) =>
      new Promise((resolve) => batches.push({ updates, finish: () => resolve(updates.map(() => refused)) })),
    ...more,
  })
  return { ledger, batches }
}

const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))

describe('group commit', () => {
  test('what arrives while a batch is written becomes the next batch', async () => {
    const { ledger, batches } = controlled()
    const answers = [ledger.submit(makeUpdate('1'))]
    await turn()
    for (let n = 2; n <= 10; n++) answers.push(ledger.submit(makeUpdate(String(n))))
    await turn()
    assert.equal(batches.length, 1)
    batches[0]!.finish()
    await turn()
    assert.deepEqual(
      batches.map(({ updates }) => updates.length),
      [1, 9],
    )
    batches[1]!.finish()
    await Promise.all(answers)
    assert.equal(ledger.pending, 0)
  })

  test('beyond the configured number, and bytes, callers are told to come back', async () => {
    const { ledger, batches } = controlled({ maxPending: 3, maxPendingBytes: 15_000 })
    const big = makeUpdate('big', { errors: [{ line: 1, message: 'x'.repeat(9_000) }] })
    const overloaded = (error: unknown) =>
      error instanceof PebblesError && error.status === 503 && error.retryAfterSeconds === 1
    const answers = [ledger.submit(big)]
    assert.throws(() => ledger.submit(big), overloaded)
    answers.push(ledger.submit(makeUpdate('small')))
    await turn()
    batches[0]!.finish()
    await Promise.all(answers)
    for (let n = 0; n < 3; n++) answers.push(ledger.submit(makeUpdate(String(n))))
    assert.throws(() => ledger.submit(makeUpdate('4')), overloaded)
    await turn()
    batches[1]!.finish()
    await Promise.all(answers)
  })

  test('an update that the database refuses fails alone', async () => {
    const { ledger } = controlled({
      apply: async (updates) => {
        if (updates.some(({ filename }) => filename === 'poison')) throw new Error('refused by the database')
        return updates.map(() => refused)
      },
    })
    const names = ['a', 'b', 'poison', 'c', 'd']
    const results = await Promise.allSettled(names.map((name) => ledger.submit(makeUpdate(name))))
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
    )
  })

  test('of a batch that was applied in part each caller hears what became of its own, and nothing is tried again', async () => {
    let calls = 0
    const { ledger } = controlled({
      apply: async (updates) => {
        calls++
        throw new PartlyApplied(updates.map((_, n) => (n % 2 ? refused : new Error(`update ${n}`))))
      },
    })
    const answers = await Promise.allSettled([0, 1, 2, 3].map((n) => ledger.submit(makeUpdate(String(n)))))
    assert.deepEqual(
      answers.map((answer) => (answer.status === 'fulfilled' ? answer.value : answer.reason.message)),
      ['update 0', refused, 'update 2', refused],
    )
    assert.equal(calls, 1)
  })

  test('closing takes nothing more and waits for what was taken', async () => {
    const { ledger, batches } = controlled()
    const answer = ledger.submit(makeUpdate('last'))
    const closed = Promise.resolve(ledger[Symbol.asyncDispose]())
    assert.throws(() => ledger.submit(makeUpdate('late')), PebblesError)
    await turn()
    batches[0]!.finish()
    await closed
    assert.deepEqual(await answer, refused)
  })
})
