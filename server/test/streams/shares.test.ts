import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { openDatabase } from '../../src/platform/postgres/database.ts'
import { leave, takeShare } from '../../src/streams/shares/members-postgres.ts'
import { dealParts, type Holder } from '../../src/streams/shares/shares.ts'
import { createTestDatabase } from '../helpers/database.ts'
import { atEnd } from '../helpers/scope.ts'

/** Each part is in one share, and no share is larger than another by more than one. */
function assertFair(parts: number, shares: readonly (readonly number[])[]): void {
  const all = shares.flat().sort((a, b) => a - b)
  assert.deepEqual(
    all,
    Array.from({ length: parts }, (_, part) => part),
  )
  const sizes = shares.map(({ length }) => length)
  assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1, `${sizes}`)
}

test('S6 N2 whoever joins or leaves, shares are even and whole, and no part changes hands that need not', () => {
  // A number joins under that name, unless it is there already: then it leaves.
  const anyStory = fc.array(fc.nat(9), { minLength: 1, maxLength: 30 })
  fc.assert(
    fc.property(fc.nat(60), anyStory, (parts, story) => {
      let holders: Holder[] = []
      for (const number of story) {
        const id = `${number}`
        const before = new Map(holders.flatMap((holder) => holder.parts.map((part) => [part, holder.id])))
        const isJoining = holders.every((holder) => holder.id !== id)
        const those = isJoining
          ? [...holders, { id, parts: [] }].sort((a, b) => (a.id < b.id ? -1 : 1))
          : holders.filter((holder) => holder.id !== id)
        if (those.length === 0) continue
        const dealt = dealParts(parts, those)
        holders = those.map((holder) => ({ id: holder.id, parts: dealt.get(holder.id)! }))
        assertFair(parts, [...dealt.values()])
        assert.deepEqual(dealParts(parts, holders), dealParts(parts, holders.toReversed()))
        const moved = holders.flatMap((holder) =>
          holder.parts.filter((part) => before.has(part) && before.get(part) !== holder.id),
        )
        if (isJoining) {
          const needed = before.size === 0 ? 0 : Math.floor(parts / holders.length)
          assert.equal(moved.length, needed)
          if (needed > 0) assert.deepEqual(moved, dealt.get(id))
        } else assert.ok(moved.every((part) => before.get(part) === id))
        for (const holder of holders) assert.deepEqual(dealParts(parts, holders).get(holder.id), holder.parts)
      }
    }),
    { numRuns: 500 },
  )
})

test('S6 N2 shares that overlap, or have parts that are not there, become whole', () => {
  const anyHolders = fc.uniqueArray(fc.record({ id: fc.uuid(), parts: fc.uniqueArray(fc.nat(20)) }), {
    selector: ({ id }) => id,
    minLength: 1,
    maxLength: 6,
  })
  fc.assert(
    fc.property(fc.nat(16), anyHolders, (parts, holders) =>
      assertFair(parts, [...dealParts(parts, holders).values()]),
    ),
  )
})

test('S6 N2 who joins takes as much of each kind of work as the others have', () => {
  const [first = [], second = []] = dealParts(24, [
    { id: 'a', parts: Array.from({ length: 24 }, (_, part) => part) },
    { id: 'b', parts: [] },
  ]).values()
  for (const share of [first, second])
    assert.deepEqual(
      [0, 1, 2].map((kind) => share.filter((part) => Math.floor(part / 8) === kind).length),
      [4, 4, 4],
    )
})

test('S6 N2 processes that take their shares of a database at the same time agree, and keep what they have when one comes or goes', async (t) => {
  const url = await createTestDatabase(t)
  const database = openDatabase({ url, maxConnections: 1, maxLanes: 1, maxJobConnections: 1, log: () => {} })
  atEnd(t, () => database[Symbol.asyncDispose]())
  const pool = database.streams
  const ids = Array.from({ length: 5 }, () => randomUUID())
  const take = async (those: readonly string[]) =>
    (await Promise.all(those.map((id) => takeShare(pool, 'aggregator', id, 8)))).map((share) => [...share])
  await take(ids)
  const five = await take(ids)
  assertFair(8, five)
  assert.deepEqual(await take(ids), five)
  // Another group has shares of its own.
  assert.equal((await takeShare(pool, 'archiver', ids[0]!, 24)).size, 24)

  await leave(pool, 'aggregator', ids[2]!)
  const rest = ids.toSpliced(2, 1)
  const [share] = await take(rest.slice(0, 1))
  const four = await take(rest)
  assert.deepEqual(four[0], share)
  assertFair(8, four)
  for (const [place, kept] of five.toSpliced(2, 1).entries())
    assert.ok(kept.every((part) => four[place]!.includes(part)))
  // One that hangs is missed, and comes back to what is left for it.
  await pool.query('UPDATE log_readers SET alive_until = now() WHERE id = $1', [rest[0]])
  await take(rest.slice(1))
  assertFair(8, await take(rest.slice(1)))
  await take(rest)
  assertFair(8, await take(rest))
})
