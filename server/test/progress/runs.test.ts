/** Updates of one record in one batch are one row; whoever reads the audit or sends an id again cannot tell. */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import fc from 'fast-check'
import { openDatabase } from '../../src/platform/postgres/database.ts'
import { ensureIdPartitions } from '../../src/progress/postgres/ids-postgres.ts'
import { createPostgresStore } from '../../src/progress/postgres/store-postgres.ts'
import { type Channel, recordIdOf, type Update } from '../../src/progress/record.ts'
import type { ProgressEvent, RecordStore } from '../../src/progress/store.ts'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import { atEnd, suiteScope } from '../helpers/scope.ts'
import { makeId, makeUpdate } from './store-contract.ts'

const CHANNELS: Channel[] = ['http', 'kafka', 'sqs']
const FILES = ['a.csv', 'b.csv', 'c.csv']
const count = fc.nat({ max: 9 })
const issues = fc.array(fc.record({ line: count, message: fc.constantFrom('', '"x",{}\\') }), {
  maxLength: 2,
})

const anyUpdate = fc.record({
  filename: fc.constantFrom(...FILES),
  email: fc.constantFrom('alice@example.com', 'alice@example.com', 'alice@example.com', 'bob@example.com'),
  channel: fc.constantFrom(...CHANNELS),
  counts: fc.record({ done: count, warn: count, failed: count }),
  total: fc.option(count, { nil: undefined }),
  isLast: fc.integer({ min: 0, max: 19 }).map((n) => n === 0),
  errors: issues,
  warnings: issues,
  key: fc.option(fc.constantFrom('"\\', 'é,{}', 'k3', 'k4', 'k5'), { nil: undefined }),
  place: fc.option(fc.constant('topic/0/1'), { nil: undefined }),
})
/** Updates, each with how it goes on: in the same batch, or in a new one. */
const anyCut = fc.array(fc.tuple(anyUpdate, fc.boolean()), { minLength: 1, maxLength: 40 })

describe('runs of updates', () => {
  const scope = suiteScope()
  let store: RecordStore
  let url: string
  before(async () => {
    url = await createTestDatabase(scope)
    const database = openDatabase({
      url,
      maxConnections: 2,
      maxLanes: 2,
      maxJobConnections: 1,
      log: () => {},
    })
    atEnd(scope, () => database[Symbol.asyncDispose]())
    await ensureIdPartitions(database.pool)
    store = createPostgresStore(database)
  })
  const audit = async (recordId: string, limit = 1_000) => {
    const events: ProgressEvent[] = []
    for (;;) {
      const page = await store.events(recordId, { limit, after: events.at(-1)?.sequence ?? 0 })
      events.push(...page)
      if (page.length < limit) return events
    }
  }
  const withoutTime = (events: ProgressEvent[]) => events.map((event) => ({ ...event, at: undefined }))

  test('P19 N1 however updates are cut into batches, outcomes, audit and replays are the same', async () => {
    let round = 0
    await fc.assert(
      fc.asyncProperty(anyCut, fc.integer({ min: 1, max: 7 }), async (cut, limit) => {
        round++
        /** The same updates for a client of this way of cutting. */
        const sent = (way: string): Update[] =>
          cut.map(([{ key, ...update }]) => {
            const clientKrn = `krn:${round}:${way}`
            const id = key === undefined ? undefined : { ...makeId(`${clientKrn} ${key}`), key }
            return makeUpdate(update.filename, { ...update, clientKrn, id })
          })
        const each = sent('each')
        const together = sent('together')
        const outcomes = { each: [] as unknown[], together: [] as unknown[] }
        for (const update of each) outcomes.each.push(...(await store.apply([update])))
        for (let at = 0; at < together.length; ) {
          const end = cut.findIndex(([, ends], index) => index >= at && ends)
          const next = end === -1 ? together.length : end + 1
          outcomes.together.push(...(await store.apply(together.slice(at, next))))
          at = next
        }
        const plain = (list: unknown[]) =>
          (list as { recordId?: string }[]).map((outcome) => ({ ...outcome, recordId: undefined }))
        assert.deepEqual(plain(outcomes.together), plain(outcomes.each))
        const again = async (updates: Update[]) =>
          plain(await store.apply(updates.filter(({ id }) => id !== undefined)))
        assert.deepEqual(await again(together), await again(each))
        for (const file of FILES) {
          const one = await audit(recordIdOf(`krn:${round}:each`, file))
          const runs = await audit(recordIdOf(`krn:${round}:together`, file), limit)
          assert.deepEqual(withoutTime(runs), withoutTime(one))
        }
      }),
      { numRuns: 60 },
    )
  })

  test('P19 a thousand updates of a record in one batch are a few rows, and pages of any size are exact', async () => {
    const updates = Array.from({ length: 1_000 }, (_, n) =>
      makeUpdate('hot.csv', { id: makeId(`hot-${n}`), counts: { done: n, warn: 0, failed: 1 } }),
    )
    const outcomes = await store.apply(updates)
    const recordId = recordIdOf('krn:contract', 'hot.csv')
    const pool = openTestPool(scope, url)
    const { rows } = await pool.query('SELECT count(*)::int AS n FROM events WHERE record_id = $1', [
      recordId,
    ])
    assert.equal(rows[0].n, 4)
    const whole = await audit(recordId)
    assert.deepEqual(
      whole.map(({ sequence, updateId, counts }) => [sequence, updateId, counts.done]),
      updates.map((_, n) => [n + 1, `hot-${n}`, n]),
    )
    for (const limit of [1_000, 255, 256, 257, 7]) assert.deepEqual(await audit(recordId, limit), whole)
    for (const after of [0, 1, 255, 256, 257, 998, 999, 1_000, 1_001])
      assert.deepEqual(await store.events(recordId, { limit: 3, after }), whole.slice(after, after + 3))
    assert.deepEqual(
      await store.apply(updates),
      outcomes.map((outcome) => ({ ...outcome, isReplay: true })),
    )
  })
})
