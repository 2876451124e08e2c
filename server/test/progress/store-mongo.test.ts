import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { recordIdOf } from '../../src/progress/record.ts'
import type { Applied, PartlyApplied } from '../../src/progress/store.ts'
import { createMongoDatabase, openMongoTestStore, openTestMongo } from '../helpers/mongo.ts'
import { startMongoProxy } from '../helpers/mongo-proxy.ts'
import { suiteScope } from '../helpers/scope.ts'
import { mongoMissing } from '../helpers/services.ts'
import { counts, describeRecordStore, makeId, makeUpdate } from './store-contract.ts'

const idOf = (filename: string) => recordIdOf('krn:contract', filename)

describe('MongoDB', { skip: mongoMissing() }, () => {
  const scope = suiteScope()
  describeRecordStore('MongoDB', () => openMongoTestStore(scope, createMongoDatabase(scope)))

  test('P16 the indexes of the source are there, and a second process finds them', async (t) => {
    const url = createMongoDatabase(t)
    await openMongoTestStore(t, url)
    await openMongoTestStore(t, url)
    const indexes = await openTestMongo(t, url).db.collection('progress').indexes()
    const keys = indexes.map(({ key, unique }) => `${JSON.stringify(key)}${unique ? ' unique' : ''}`)
    assert.ok(keys.includes('{"clientKrn":1,"filename":1,"email":1} unique'), keys.join())
    assert.ok(keys.includes('{"clientKrn":1,"email":1}'), keys.join())
    assert.ok(keys.includes('{"clientKrn":1}'), keys.join())
  })

  test('P16 a database in which another program keeps its records, such as the source, is refused before anything is made there', async (t) => {
    const url = createMongoDatabase(t)
    const { db } = openTestMongo(t, url)
    const counts = { done: 100, warn: 5, failed: 2 }
    const theirs = {
      clientKrn: 'krn:a',
      filename: 'a.csv',
      email: 'user@acme.com',
      counts,
      isCompleted: false,
    }
    await db.collection('progress').insertOne(theirs)
    await assert.rejects(openMongoTestStore(t, url), {
      code: 'misconfigured',
      message: /^MONGO_URI: .*another/,
    })
    assert.equal((await db.collection('progress').indexes()).length, 1)
  })

  test('N1 P6 two processes race for new files: one owner, every count once', async (t) => {
    const url = createMongoDatabase(t)
    const stores = [await openMongoTestStore(t, url), await openMongoTestStore(t, url)]
    for (let round = 0; round < 25; round++) {
      const file = `${round}.csv`
      const emails = ['alice@example.com', 'bob@example.com']
      const outcomes = await Promise.all(
        stores.map((store, i) => store.apply([0, 1, 2].map(() => makeUpdate(file, { email: emails[i]! })))),
      )
      const results = outcomes.map((some) => some.map(({ result }) => result).join())
      assert.deepEqual(results.sort(), ['created,updated,updated', 'forbidden,forbidden,forbidden'])
      const [record] = await stores[0]!.byIds([idOf(file)])
      assert.equal(record?.counts.done, 3)
    }
  })

  test('P16 N2 copies of an import’s events: each once, and none into a record that somebody else made', async (t) => {
    const store = await openMongoTestStore(t, createMongoDatabase(t))
    const event = (filename: string, offset: number) =>
      ({ ...makeUpdate(filename, { channel: 'import', isFirst: offset === 1 }), offset }) as const
    const results = async (...events: ReturnType<typeof event>[]) =>
      (await store.applyNumbered('import', events)).map((outcome) => outcome?.result)
    assert.deepEqual(await results(event('mine.csv', 1)), ['created'])
    assert.deepEqual(await results(event('mine.csv', 1), event('mine.csv', 2)), [undefined, 'updated'])
    await store.apply([makeUpdate('theirs.csv')])
    // Again and again, since a process that has seen it may not have come to act on it.
    for (let n = 0; n < 2; n++) assert.deepEqual(await results(event('theirs.csv', 1)), ['forbidden'])
    const records = await store.byIds(['mine.csv', 'theirs.csv'].map(idOf))
    assert.deepEqual(records.map(({ counts, sequence }) => [counts.done, sequence]).sort(), [
      [1, 1],
      [2, 2],
    ])
  })

  test('P16 a record that cannot be written harms no other of its batch, and is itself left as it was', async (t) => {
    const store = await openMongoTestStore(t, createMongoDatabase(t))
    const files = ['1.csv', '2.csv', '3.csv', '4.csv', '5.csv']
    await store.apply(files.slice(2).map((file) => makeUpdate(file)))
    // More than a document can hold.
    const place = 'x'.repeat(17 * 1024 * 1024)
    for (const atFault of ['2.csv', '4.csv']) {
      const updates = files.map((file) => makeUpdate(file, file === atFault ? { place } : {}))
      await assert.rejects(store.apply(updates), (error: PartlyApplied) => {
        const failed = files.filter((_, place) => error.endings[place] instanceof Error)
        assert.deepEqual(failed, [atFault])
        return true
      })
    }
    const records = await store.byIds(files.map(idOf))
    const done = Object.fromEntries(records.map(({ filename, counts }) => [filename, counts.done]))
    assert.deepEqual(done, { '1.csv': 2, '2.csv': 1, '3.csv': 3, '4.csv': 2, '5.csv': 3 })
  })

  test('P11 10,000 issues of 4,096 characters in one update, and more of one batch than a write takes', async (t) => {
    const store = await openMongoTestStore(t, createMongoDatabase(t))
    const errors = Array.from({ length: 10_000 }, (_, line) => ({ line, message: 'e'.repeat(4_096) }))
    const many = Array.from({ length: 600 }, (_, line) =>
      makeUpdate('large.csv', { warnings: [{ line, message: `${line}` }] }),
    )
    await store.apply([makeUpdate('large.csv', { errors })])
    const outcomes = await store.apply(many)
    assert.equal(counts(outcomes.at(-1)).done, 601)
    const recordId = idOf('large.csv')
    const [some, warnings] = await store.issues([
      { recordId, kind: 'errors', after: 9_000, upTo: 10_000 },
      { recordId, kind: 'warnings', after: 200, upTo: 600 },
    ])
    assert.deepEqual(
      some!.map(({ line }) => line),
      Array.from({ length: 1_000 }, (_, n) => 9_000 + n),
    )
    assert.deepEqual(
      warnings!.map(({ ordinal, message }) => [ordinal, message]),
      Array.from({ length: 400 }, (_, n) => [201 + n, `${200 + n}`]),
    )
    const events = await store.events(recordId, { limit: 1_000, after: 0 })
    assert.deepEqual(
      events.map(({ sequence }) => sequence),
      Array.from({ length: 601 }, (_, n) => n + 1),
    )
  })
})

describe('MongoDB, when an answer is lost', { skip: mongoMissing() }, () => {
  for (const [fate, deliverAfterMs] of Object.entries({
    'never arrives': Number.POSITIVE_INFINITY,
    'takes effect': 0,
    'takes effect late': 700,
    'takes effect just before it is sent again': 'next' as const,
  })) {
    test(`N1 updates without ids count once when a write that nobody answers ${fate}`, async (t) => {
      const proxy = await startMongoProxy(t, createMongoDatabase(t))
      const store = await openMongoTestStore(t, proxy.url)
      await store.apply([makeUpdate('known.csv')])
      for (const [round, file] of ['known.csv', 'new.csv'].entries()) {
        proxy.loseNextWrite({ deliverAfterMs })
        const errors = [{ line: 1, message: file }]
        const [outcome] = await store.apply([makeUpdate(file, { errors })])
        assert.equal(proxy.lost, round + 1, 'the connection was cut')
        assert.equal(outcome?.isReplay, false)
        const done = file === 'known.csv' ? 2 : 1
        assert.equal(counts(outcome).done, done)
        // What came late had its chance.
        await proxy.settled()
        const [record] = await store.byIds([idOf(file)])
        assert.equal(record?.counts.done, done)
        const [issues] = await store.issues([{ recordId: idOf(file), kind: 'errors', after: 0, upTo: 5 }])
        assert.deepEqual(issues, [{ ordinal: 1, line: 1, message: file }])
        assert.equal((await store.events(idOf(file), { limit: 9, after: 0 })).length, done)
      }
    })
  }

  test('N1 a write without an answer is found again after others have written the record', async (t) => {
    const url = createMongoDatabase(t)
    const proxy = await startMongoProxy(t, url)
    const store = await openMongoTestStore(t, proxy.url)
    const other = await openMongoTestStore(t, url)
    await store.apply([makeUpdate('busy.csv')])
    proxy.loseNextWrite({ deliverAfterMs: 0, refuseAfter: true })
    const applied = store.apply([makeUpdate('busy.csv', { counts: { done: 100, warn: 0, failed: 0 } })])
    await until(async () => (await other.byIds([idOf('busy.csv')]))[0]?.sequence === 2)
    for (let n = 0; n < 3; n++) await other.apply([makeUpdate('busy.csv')])
    proxy.stopRefusing()
    const [outcome] = await applied
    assert.equal((outcome as Applied).totals.sequence, 2)
    const [record] = await store.byIds([idOf('busy.csv')])
    assert.equal(record?.counts.done, 104)
  })

  test('N1 P19 what a process wrote and did not come to copy is read, known again and copied by the next', async (t) => {
    const url = createMongoDatabase(t)
    const proxy = await startMongoProxy(t, url)
    const store = await openMongoTestStore(t, proxy.url)
    const other = await openMongoTestStore(t, url)
    const { db } = openTestMongo(t, url)
    const recordId = idOf('half.csv')
    const half = () => makeUpdate('half.csv', { id: makeId('half'), errors: [{ line: 7, message: 'seven' }] })
    proxy.loseNextWrite({ deliverAfterMs: 0, refuseAfter: true })
    // Its process is as good as dead.
    const dead = store.apply([half()]).catch(() => {})
    await until(async () => (await other.byIds([recordId])).length === 1)
    assert.equal(await db.collection('events').countDocuments(), 0, 'nothing was copied')

    const seen = async () => ({
      events: (await other.events(recordId, { limit: 9, after: 0 })).map(({ sequence }) => sequence),
      issues: await other.issues([{ recordId, kind: 'errors', after: 0, upTo: 9 }]),
      again: (await other.apply([half()]))[0],
    })
    const before = await seen()
    assert.deepEqual(before.events, [1])
    assert.deepEqual(before.issues, [[{ ordinal: 1, line: 7, message: 'seven' }]])
    assert.equal(before.again?.isReplay, true)
    await other.apply([makeUpdate('half.csv')])
    assert.equal(await db.collection('events').countDocuments({ _id: /0001$/ as never }), 1)
    const after = await seen()
    assert.deepEqual(after, { ...before, events: [1, 2] })
    proxy.stopRefusing()
    await dead
    assert.equal((await other.byIds([recordId]))[0]?.sequence, 2)
  })

  test('P3 what dead processes left is swept: issues that count become visible, others go', async (t) => {
    const url = createMongoDatabase(t)
    const store = await openMongoTestStore(t, url)
    const pieces = openTestMongo(t, url).db.collection<{ _id: string }>('issues')
    await store.apply([makeUpdate('swept.csv', { errors: [{ line: 1, message: 'one' }] })])
    const at = new Date(Date.now() - 2 * 3_600_000)
    await pieces.updateMany({}, { $set: { isVisible: false, at } })
    const piece = { recordId: idOf('swept.csv'), kind: 'errors', from: 1, to: 1, isVisible: false, at }
    await pieces.insertOne({
      ...piece,
      _id: 'w:0',
      write: 'w',
      issues: [{ line: 9, message: 'lost' }],
    } as never)
    // Another process: this one remembers that it has copied its write.
    await (await openMongoTestStore(t, url)).sweep()
    const left = await pieces.find().toArray()
    assert.deepEqual(
      left.map((row) => (row as { isVisible?: boolean }).isVisible),
      [true],
    )
    const window = { recordId: idOf('swept.csv'), kind: 'errors', after: 0, upTo: 9 } as const
    assert.deepEqual(await store.issues([window]), [[{ ordinal: 1, line: 1, message: 'one' }]])
  })
})

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('waited in vain')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
