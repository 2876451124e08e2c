import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type AppliedUpdate, type Decided, foldBatch } from '../../src/progress/batch.ts'
import { correctRecord, type RecordState, recordIdOf, type Update } from '../../src/progress/record.ts'
import type { Outcome } from '../../src/progress/store.ts'

const MAX_SAFE = Number.MAX_SAFE_INTEGER

/** What a database holds, as far as the rule goes. */
interface World {
  states: Map<string, RecordState>
  decided: Map<string, Decided>
  applied: AppliedUpdate[]
  outcomes: Outcome[]
}

const emptyWorld = (): World => ({ states: new Map(), decided: new Map(), applied: [], outcomes: [] })

/** Does what a store does with a batch: looks up, folds, writes. */
function deliver(world: World, batch: readonly Update[]): World {
  const earlier = new Map(
    batch.flatMap(({ id }) => {
      const known = id && world.decided.get(id.id)
      return known ? [[id.id, known] as const] : []
    }),
  )
  const states = new Map(
    batch.flatMap(({ recordId }) => {
      const state = world.states.get(recordId)
      return state ? [[recordId, state] as const] : []
    }),
  )
  const result = foldBatch(batch, states, earlier)
  for (const { state } of result.changes.values()) world.states.set(state.id, state)
  for (const [id, { fingerprint, outcome }] of result.decided) world.decided.set(id, { fingerprint, outcome })
  world.applied.push(...result.applied)
  world.outcomes.push(...result.outcomes)
  return world
}

const oneByOne = (updates: readonly Update[]) =>
  updates.reduce((world, update) => deliver(world, [update]), emptyWorld())

const count = fc.oneof(
  { weight: 8, arbitrary: fc.nat(20) },
  { weight: 1, arbitrary: fc.constantFrom(MAX_SAFE, MAX_SAFE - 1, MAX_SAFE - 20, (MAX_SAFE - 1) / 2) },
)
/** Records that structuredClone leaves equal. */
const record = <T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record(fields, { noNullPrototype: true })

const issues = fc.array(record({ line: fc.nat(99), message: fc.constantFrom('a', 'b') }), { maxLength: 3 })

/** Few files, people and ids, so that they meet often. */
const anyUpdate: fc.Arbitrary<Update> = record({
  clientKrn: fc.constantFrom('k1', 'k2'),
  filename: fc.constantFrom('a.csv', 'b.csv'),
  email: fc.constantFrom('alice', 'alice', 'alice', 'bob'),
  counts: record({ done: count, warn: count, failed: count }),
  total: fc.option(count, { nil: undefined }),
  isLast: fc.nat(9).map((n) => n === 0),
  errors: issues,
  warnings: issues,
  id: fc.option(
    record({
      id: fc.nat(8).map((n) => `id-${n}`),
      kind: fc.constant('request' as const),
      fingerprint: fc.constantFrom('x', 'x', 'y'),
      key: fc.constant('key'),
    }),
    { nil: undefined },
  ),
}).map((fields) => ({ ...fields, channel: 'http', recordId: recordIdOf(fields.clientKrn, fields.filename) }))

const anyUpdates = fc.array(anyUpdate, { maxLength: 40 })

/** Updates that each have an id of their own, as senders are told to make them. */
const identified = fc.array(anyUpdate, { minLength: 1, maxLength: 15 }).map((updates) =>
  updates.map(
    (update, i): Update => ({
      ...update,
      id: { id: `id-${i}`, kind: 'request', fingerprint: 'x', key: 'key' },
    }),
  ),
)

describe('the rule of the ledger', () => {
  test('how updates are cut into batches changes no outcome, no total and no event', () => {
    fc.assert(
      fc.property(anyUpdates, fc.array(fc.nat(40)), (updates, cuts) => {
        const expected = oneByOne(updates)
        const ends = [...cuts, updates.length].sort((a, b) => a - b)
        const world = emptyWorld()
        for (const [i, end] of ends.entries()) deliver(world, updates.slice(ends[i - 1] ?? 0, end))
        assert.deepEqual(world, expected)
      }),
    )
  })

  test('updates about one file do not depend on those about others in the same batch', () => {
    fc.assert(
      fc.property(anyUpdates, (updates) => {
        const withoutIds = updates.map((update) => ({ ...update, id: undefined }))
        const { states } = deliver(emptyWorld(), withoutIds)
        for (const [recordId, state] of states) {
          const own = withoutIds.filter((update) => update.recordId === recordId)
          assert.deepEqual(deliver(emptyWorld(), own).states.get(recordId), state)
        }
      }),
    )
  })

  test('N1 updates with ids, repeated and reordered at will, count as if each had come once', () => {
    const redelivered = identified.chain((updates) =>
      fc.tuple(
        fc.constant(updates),
        fc.array(fc.constantFrom(...updates), { maxLength: 40 }),
        fc.array(fc.nat(60)),
      ),
    )
    fc.assert(
      fc.property(redelivered, ([updates, repeats, cuts]) => {
        const deliveries = [...repeats, ...updates]
        const once = oneByOne([...new Set(deliveries)])
        const ends = [...cuts, deliveries.length].sort((a, b) => a - b)
        const world = emptyWorld()
        for (const [i, end] of ends.entries()) deliver(world, deliveries.slice(ends[i - 1] ?? 0, end))
        assert.deepEqual(world.states, once.states)
        assert.deepEqual(world.applied, once.applied)
        // An overflow leaves no trace, so its repetition is judged anew, and refused again.
        for (const [id, decided] of once.decided) assert.deepEqual(world.decided.get(id), decided)
      }),
    )
  })

  test('N1 as long as nobody says "last" and nobody is refused, the order of arrival changes no count', () => {
    const summable = identified.map((updates) =>
      updates.map((update) => ({
        ...update,
        email: 'alice',
        isLast: false,
        counts: { done: update.counts.done % 1_000, warn: update.counts.warn % 1_000, failed: 1 },
      })),
    )
    const shuffled = summable.chain((updates) =>
      fc.tuple(fc.constant(updates), fc.shuffledSubarray(updates, { minLength: updates.length })),
    )
    fc.assert(
      fc.property(shuffled, ([updates, otherwise]) => {
        const sums = (world: World) =>
          [...world.states.values()]
            .map(({ id, counts, errorsTotal, warningsTotal, sequence }) => ({
              id,
              counts,
              errorsTotal,
              warningsTotal,
              sequence,
            }))
            .sort((a, b) => (a.id < b.id ? -1 : 1))
        assert.deepEqual(sums(deliver(emptyWorld(), otherwise)), sums(oneByOne(updates)))
      }),
    )
  })

  test('N1 a repeated id gives the outcome of the first time, whatever happened since', () => {
    fc.assert(
      fc.property(anyUpdates, (updates) => {
        const { outcomes } = deliver(emptyWorld(), updates)
        const first = new Map<string, { fingerprint: string; outcome: Outcome }>()
        for (const [i, { id }] of updates.entries()) {
          const outcome = outcomes[i]!
          const known = id && first.get(id.id)
          if (!known) {
            assert.equal(outcome.isReplay, false)
            if (id && outcome.result !== 'overflow')
              first.set(id.id, { fingerprint: id.fingerprint, outcome })
          } else if (known.fingerprint === id.fingerprint) {
            assert.deepEqual(outcome, { ...known.outcome, isReplay: true })
          } else assert.deepEqual(outcome, { result: 'mismatch', isReplay: false })
        }
      }),
    )
  })

  test('an id that was used for something else changes nothing', () => {
    fc.assert(
      fc.property(anyUpdates, anyUpdate, fc.nat(8), (updates, update, n) => {
        const world = deliver(emptyWorld(), updates)
        const id = `id-${n}`
        fc.pre(world.decided.has(id))
        const before = structuredClone(world)
        deliver(world, [{ ...update, id: { id, kind: 'request', fingerprint: 'another', key: 'key' } }])
        assert.deepEqual(world.outcomes.pop(), { result: 'mismatch', isReplay: false })
        assert.deepEqual(world, before)
      }),
    )
  })

  test('P6 a record keeps the owner that created it, and nobody else adds to it', () => {
    fc.assert(
      fc.property(anyUpdates, (updates) => {
        const { applied, outcomes } = deliver(emptyWorld(), updates)
        const owners = new Map<string, string>()
        for (const { update, state } of applied) {
          if (!owners.has(state.id)) owners.set(state.id, update.email)
          assert.equal(update.email, owners.get(state.id))
          assert.equal(state.email, owners.get(state.id))
        }
        for (const [i, { result }] of outcomes.entries()) {
          if (result === 'forbidden' && !outcomes[i]!.isReplay)
            assert.notEqual(owners.get(updates[i]!.recordId), updates[i]!.email)
        }
      }),
    )
  })

  test('P5 nothing is applied after the last update', () => {
    fc.assert(
      fc.property(anyUpdates, (updates) => {
        const completed = new Set<string>()
        for (const { update, state } of deliver(emptyWorld(), updates).applied) {
          assert.ok(!completed.has(state.id))
          assert.equal(state.isCompleted, update.isLast)
          if (update.isLast) completed.add(state.id)
        }
      }),
    )
  })

  test('P2 a record is the sum of what was applied to it, one sequence step each, never beyond 2^53 − 1', () => {
    fc.assert(
      fc.property(anyUpdates, (updates) => {
        const { applied, states } = deliver(emptyWorld(), updates)
        const sums = new Map<string, { sequence: number; rows: bigint; done: bigint; total: number | null }>()
        for (const { update, state } of applied) {
          const sum = sums.get(state.id) ?? { sequence: 0, rows: 0n, done: 0n, total: null }
          const { done, warn, failed } = update.counts
          sum.sequence++
          sum.rows += BigInt(done) + BigInt(warn) + BigInt(failed)
          sum.done += BigInt(done)
          sum.total = update.total ?? sum.total
          sums.set(state.id, sum)
          const { counts } = state
          assert.ok(sum.rows <= BigInt(MAX_SAFE))
          assert.equal(BigInt(counts.done + counts.warn + counts.failed), sum.rows)
          assert.equal(BigInt(counts.done), sum.done)
          assert.deepEqual([state.sequence, state.total], [sum.sequence, sum.total])
        }
        assert.deepEqual([...states.keys()].sort(), [...sums.keys()].sort())
        for (const [id, { sequence }] of states) assert.equal(sequence, sums.get(id)!.sequence)
      }),
    )
  })

  test('P3 issues are numbered 1, 2, 3 … within their record and kind, without a gap', () => {
    fc.assert(
      fc.property(anyUpdates, (updates) => {
        const next = new Map<string, number>()
        for (const { update, state } of deliver(emptyWorld(), updates).applied) {
          for (const kind of ['errors', 'warnings'] as const) {
            const name = `${state.id} ${kind}`
            const before = next.get(name) ?? 0
            assert.equal(state[`${kind}Total`], before + update[kind].length)
            next.set(name, state[`${kind}Total`])
          }
        }
      }),
    )
  })

  test('an update is refused for one of the reasons that there are, and a refusal changes nothing', () => {
    fc.assert(
      fc.property(anyUpdates, anyUpdate, (updates, update) => {
        const world = deliver(emptyWorld(), updates)
        const before = structuredClone(world.states)
        const record = before.get(update.recordId)
        deliver(world, [{ ...update, id: undefined }])
        const { result } = world.outcomes.at(-1)!
        const { done, warn, failed } = update.counts
        const rows = [done, warn, failed, ...Object.values(record?.counts ?? {})]
        const expected =
          record && record.email !== update.email
            ? 'forbidden'
            : record?.isCompleted
              ? 'completed'
              : rows.reduce((sum, n) => sum + BigInt(n), 0n) > BigInt(MAX_SAFE)
                ? 'overflow'
                : record
                  ? 'updated'
                  : 'created'
        assert.equal(result, expected)
        if (result !== 'created' && result !== 'updated') assert.deepEqual(world.states, before)
      }),
    )
  })
})

describe('a correction of a record', () => {
  const state = (failed: number, isCompleted: boolean): RecordState => ({
    id: recordIdOf('krn:a', 'f.csv'),
    email: 'alice@example.com',
    counts: { done: 7, warn: 2, failed },
    total: 100,
    isCompleted,
    errorsTotal: 5,
    warningsTotal: 1,
    sequence: 3,
  })

  test('N6 moves rows from failed to done, never more than there are, and is one step; the rest stays as it was', () => {
    const count = fc.integer({ min: 1, max: 1_000_000 })
    fc.assert(
      fc.property(count, count, fc.boolean(), (failed, rows, isCompleted) => {
        const before = state(failed, isCompleted)
        const { counts, sequence, ...rest } = correctRecord(before, rows)!
        const moved = Math.min(failed, rows)
        assert.deepEqual(counts, { done: 7 + moved, warn: 2, failed: failed - moved })
        assert.equal(sequence, 4)
        const { counts: _counts, sequence: _sequence, ...same } = before
        assert.deepEqual(rest, same)
      }),
    )
  })

  test('N6 is none where nothing has failed', () => {
    assert.equal(correctRecord(state(0, true), 5), undefined)
  })
})
