/** What every record store promises. Each adapter's test file calls this with a way to open an empty store. */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { digest } from '../../src/platform/digest.ts'
import { type Counts, type IdKind, recordIdOf, type Update } from '../../src/progress/record.ts'
import type { Applied, Outcome, RecordStore } from '../../src/progress/store.ts'
import { testLogs } from './log-contract.ts'

const CLIENT = 'krn:contract'

export function makeUpdate(filename: string, more: Partial<Update> = {}): Update {
  const clientKrn = more.clientKrn ?? CLIENT
  return {
    recordId: recordIdOf(clientKrn, filename),
    clientKrn,
    filename,
    email: 'alice@example.com',
    channel: 'http',
    counts: { done: 1, warn: 0, failed: 0 },
    isLast: false,
    errors: [],
    warnings: [],
    ...more,
  }
}

export function makeId(key: string, content = 'same', kind: IdKind = 'request') {
  return { id: digest('test', key), kind, fingerprint: digest(content), key }
}

export const makeMessageId = (key: string, content?: string) => makeId(key, content, 'message')

export function counts(outcome: Outcome | undefined): Counts {
  assert.ok(outcome && 'totals' in outcome, `expected an applied update, not ${outcome?.result}`)
  return outcome.totals.counts
}

export function describeRecordStore(name: string, open: () => Promise<RecordStore>): void {
  describe(`record store: ${name}`, () => {
    let store: RecordStore
    before(async () => {
      store = await open()
    })

    test('P2 updates of one batch add up in their order, one outcome each', async () => {
      const outcomes = await store.apply([
        makeUpdate('order.csv', { counts: { done: 1, warn: 2, failed: 3 }, total: 10 }),
        makeUpdate('other.csv'),
        makeUpdate('order.csv', { counts: { done: 10, warn: 20, failed: 30 } }),
      ])
      assert.deepEqual(
        outcomes.map(({ result }) => result),
        ['created', 'created', 'updated'],
      )
      assert.deepEqual(counts(outcomes[0]), { done: 1, warn: 2, failed: 3 })
      assert.deepEqual(counts(outcomes[2]), { done: 11, warn: 22, failed: 33 })
      const [record] = await store.list({ clientKrn: CLIENT, filename: 'order.csv' }, { limit: 1 })
      assert.deepEqual(record?.counts, { done: 11, warn: 22, failed: 33 })
      assert.equal(record?.total, 10)
      assert.equal(record?.sequence, 2)
    })

    test('P5 P6 refuses strangers and completed files, and changes nothing', async () => {
      await store.apply([makeUpdate('locked.csv', { isLast: true }), makeUpdate('owned.csv')])
      const outcomes = await store.apply([
        makeUpdate('locked.csv'),
        makeUpdate('owned.csv', { email: 'bob@example.com' }),
        makeUpdate('owned.csv', { counts: { done: Number.MAX_SAFE_INTEGER, warn: 0, failed: 0 } }),
      ])
      assert.deepEqual(
        outcomes.map(({ result }) => result),
        ['completed', 'forbidden', 'overflow'],
      )
      const records = await store.byIds([recordIdOf(CLIENT, 'locked.csv'), recordIdOf(CLIENT, 'owned.csv')])
      assert.deepEqual(
        records.map(({ sequence }) => sequence),
        [1, 1],
      )
    })

    test('N1 an id counts once: in one batch, in the next, and at the same instant', async () => {
      const id = makeId('once')
      const same = () => makeUpdate('once.csv', { id, counts: { done: 7, warn: 0, failed: 0 } })
      const [first, twin] = await store.apply([same(), same()])
      const [later] = await store.apply([same()])
      const racing = await Promise.all(Array.from({ length: 20 }, () => store.apply([same()])))
      for (const outcome of [first, twin, later, ...racing.flat()]) {
        assert.equal(outcome?.result, 'created')
        assert.deepEqual(counts(outcome), { done: 7, warn: 0, failed: 0 })
      }
      assert.deepEqual(
        [first, twin, later].map((outcome) => outcome?.isReplay),
        [false, true, true],
      )
    })

    test('N1 a first delivery races with its redelivery, on a file that does not exist yet', async () => {
      for (let round = 0; round < 30; round++) {
        const id = makeId(`race-${round}`)
        const deliveries = Array.from({ length: 4 }, () =>
          store.apply([makeUpdate(`race-${round}.csv`, { id })]),
        )
        const outcomes = (await Promise.all(deliveries)).flat()
        assert.equal(outcomes.filter((outcome) => !outcome.isReplay).length, 1)
        assert.equal((outcomes[0] as Applied).totals.sequence, 1)
      }
    })

    test('N1 an id that comes back with other content is a mismatch; refusals are remembered too', async () => {
      await store.apply([makeUpdate('mismatch.csv', { id: makeId('mismatch') })])
      const stranger = makeUpdate('mismatch.csv', { email: 'bob@example.com', id: makeId('stranger') })
      const outcomes = await store.apply([
        makeUpdate('mismatch.csv', { id: makeId('mismatch', 'other') }),
        makeUpdate('another.csv', { id: makeId('mismatch', 'other') }),
        stranger,
      ])
      assert.deepEqual(
        outcomes.map(({ result }) => result),
        ['mismatch', 'mismatch', 'forbidden'],
      )
      assert.deepEqual(await store.apply([stranger]), [{ result: 'forbidden', isReplay: true }])
    })

    test('N1 one id for two files at the same instant: one counts, the other is a mismatch', async () => {
      for (let round = 0; round < 20; round++) {
        const files = [0, 1, 2].map((n) => `two-files-${round}-${n}.csv`)
        const outcomes = await Promise.all(
          files.map((file) => store.apply([makeUpdate(file, { id: makeId(`two-files-${round}`, file) })])),
        )
        const results = outcomes.flat().map(({ result }) => result)
        assert.deepEqual(results.sort(), ['created', 'mismatch', 'mismatch'])
      }
    })

    test('N1 crossing batches do not deadlock', async () => {
      const files = Array.from({ length: 30 }, (_, n) => `crossing-${n}.csv`)
      const batches = Array.from({ length: 12 }, (_, n) =>
        store.apply((n % 2 ? files : files.toReversed()).map((file) => makeUpdate(file))),
      )
      assert.equal(
        (await Promise.all(batches)).flat().filter(({ result }) => result === 'created').length,
        30,
      )
      const records = await store.byIds(files.map((file) => recordIdOf(CLIENT, file)))
      assert.deepEqual(new Set(records.map(({ counts }) => counts.done)), new Set([12]))
    })

    test('P3 issues keep the order in which they came, and windows of them never change', async () => {
      const errors = (from: number, n: number) =>
        Array.from({ length: n }, (_, i) => ({ line: from + i, message: `é"\\{},NULL ${from + i}` }))
      const [one] = await store.apply([makeUpdate('issues.csv', { errors: errors(0, 700) })])
      await store.apply([
        makeUpdate('issues.csv', { errors: errors(700, 700), warnings: [{ line: 1, message: '' }] }),
        makeUpdate('issues.csv', { errors: errors(1400, 1) }),
      ])
      const recordId = recordIdOf(CLIENT, 'issues.csv')
      const [newest = [], warnings, none] = await store.issues([
        { recordId, kind: 'errors', after: 401, upTo: 1401 },
        { recordId, kind: 'warnings', after: 0, upTo: 1 },
        { recordId, kind: 'warnings', after: 1, upTo: 9 },
      ])
      assert.deepEqual(none, [])
      assert.equal(newest.length, 1000)
      assert.deepEqual(newest.at(-1), { ordinal: 1401, line: 1400, message: 'é"\\{},NULL 1400' })
      assert.equal((one as Applied).totals.errorsTotal, 700)
      assert.deepEqual(warnings, [{ ordinal: 1, line: 1, message: '' }])
    })

    test('P19 the audit tells each update: when, from where, what', async () => {
      await store.apply([
        makeUpdate('audit.csv', { id: makeId('audit'), counts: { done: 5, warn: 1, failed: 0 }, total: 9 }),
        makeUpdate('audit.csv', { channel: 'import', errors: [{ line: 1, message: 'x' }], isLast: true }),
      ])
      const id = recordIdOf(CLIENT, 'audit.csv')
      const [first, second] = await store.events(id, { limit: 10, after: 0 })
      assert.deepEqual(
        { ...first, at: undefined },
        {
          sequence: 1,
          at: undefined,
          channel: 'http',
          updateId: 'audit',
          counts: { done: 5, warn: 1, failed: 0 },
          errors: 0,
          warnings: 0,
          total: 9,
          isLast: false,
          countsAfter: { done: 5, warn: 1, failed: 0 },
        },
      )
      assert.deepEqual(second?.counts, { done: 1, warn: 0, failed: 0 })
      assert.equal(second?.errors, 1)
      assert.equal(second?.isLast, true)
      assert.deepEqual(await store.events(id, { limit: 10, after: 1 }), [second])
      assert.deepEqual(await store.events(id, { limit: 1, after: 0 }), [first])
    })

    test('P9 P10 lists newest update first, by client, by e-mail, page by page', async () => {
      const clientKrn = 'krn:lists'
      for (const [n, email] of ['a', 'b', 'a', 'b', 'a'].entries()) {
        await store.apply([makeUpdate(`${n}.csv`, { clientKrn, email: `${email}@example.com` })])
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      await store.apply([makeUpdate('0.csv', { clientKrn, email: 'a@example.com' })])
      const names = async (filter: object) =>
        (await store.list({ clientKrn, ...filter }, { limit: 10 })).map(({ filename }) => filename)
      assert.deepEqual(await names({}), ['0.csv', '4.csv', '3.csv', '2.csv', '1.csv'])
      assert.deepEqual(await names({ email: 'b@example.com' }), ['3.csv', '1.csv'])
      assert.deepEqual(await names({ email: 'b@example.com', filename: '3.csv' }), ['3.csv'])
      assert.deepEqual(await names({ email: 'b@example.com', filename: '4.csv' }), [])

      const seen: string[] = []
      let after: { updatedAtMs: number; id: string } | undefined
      for (;;) {
        const page = await store.list({ clientKrn }, { limit: 2, after })
        if (page.length === 0) break
        seen.push(...page.map(({ filename }) => filename))
        after = { updatedAtMs: page.at(-1)!.updatedAt.getTime(), id: page.at(-1)!.id }
      }
      assert.deepEqual(seen, await names({}))
    })

    test('N1 P14 an id of a message counts once, beside ids of requests, also for a refused one', async () => {
      const file = (name: string, more: Partial<Update>) =>
        makeUpdate(name, { channel: 'sqs', counts: { done: 3, warn: 0, failed: 0 }, ...more })
      const batch = () => [
        file('message.csv', { id: makeMessageId('message') }),
        file('message.csv', { id: makeMessageId('twin') }),
        file('message.csv', { id: makeMessageId('of a stranger'), email: 'bob@example.com' }),
        file('message.csv', { id: makeId('of a request'), channel: 'http' }),
        file('message.csv', {}),
      ]
      const first = await store.apply(batch())
      const again = await store.apply(batch())
      assert.deepEqual(
        [first, again].map((outcomes) => outcomes.map(({ isReplay }) => isReplay)),
        [
          [false, false, false, false, false],
          [true, true, true, true, false],
        ],
      )
      assert.deepEqual(
        again.slice(0, 4),
        first.slice(0, 4).map((outcome) => ({ ...outcome, isReplay: true })),
      )
      assert.equal(counts(again[4]).done, 15)
      const racing = Array.from({ length: 10 }, () =>
        store.apply([file('racing.csv', { id: makeMessageId('racing') })]),
      )
      for (const [outcome] of await Promise.all(racing)) assert.equal(counts(outcome).done, 3)
    })

    test('P14 P15 what queues and logs send and is refused is in the audit once, who and why', async () => {
      const to = (name: string, more: Partial<Update> = {}) =>
        makeUpdate(name, { channel: 'sqs', email: 'bob@example.com', ...more })
      await store.apply([makeUpdate('refusing.csv', { id: makeMessageId('refusing') })])
      const tooMany = { done: Number.MAX_SAFE_INTEGER, warn: 0, failed: 0 }
      const batch = () => [
        to('refusing.csv', { id: makeMessageId('r-1'), counts: { done: 1, warn: 2, failed: 3 } }),
        to('refusing.csv', { channel: 'http', id: makeId('heard of it') }),
        to('refusing.csv', {
          id: makeMessageId('r-2'),
          email: 'alice@example.com',
          channel: 'kafka',
          counts: tooMany,
        }),
        to('refusing.csv', { email: 'alice@example.com', isLast: true, id: makeMessageId('last') }),
        to('refusing.csv', { email: 'alice@example.com', id: makeMessageId('r-3') }),
      ]
      await store.apply(batch())
      assert.ok((await store.apply(batch())).every(({ isReplay }) => isReplay))
      await store.apply([
        to('refusing.csv', { channel: 'kafka', place: 'topic/1/2' }),
        to('refusing.csv', { id: makeMessageId('refusing', 'other'), email: 'alice@example.com' }),
      ])
      const id = recordIdOf(CLIENT, 'refusing.csv')
      const all = await store.refusals(id, { limit: 10, after: 0 })
      assert.deepEqual(
        all.map(({ channel, updateId, email, result }) => [channel, updateId, email.split('@')[0], result]),
        [
          ['sqs', 'r-1', 'bob', 'forbidden'],
          ['kafka', 'r-2', 'alice', 'overflow'],
          ['sqs', 'r-3', 'alice', 'completed'],
          ['kafka', 'topic/1/2', 'bob', 'forbidden'],
          ['sqs', 'refusing', 'alice', 'mismatch'],
        ],
      )
      assert.deepEqual(all[0]?.counts, { done: 1, warn: 2, failed: 3 })
      assert.deepEqual(all[1]?.counts, tooMany)
      assert.ok(Math.abs(all[0]!.at.getTime() - Date.now()) < 60_000)
      assert.deepEqual(await store.refusals(id, { limit: 2, after: all[0]!.ordinal }), all.slice(1, 3))
      assert.deepEqual(await store.refusals(recordIdOf(CLIENT, 'nothing.csv'), { limit: 2, after: 0 }), [])
    })

    testLogs(() => store)

    test('N1 a key is bound to one content, whoever comes first', async () => {
      const bind = (content: string) => store.bindKey(makeId('bound', content))
      const answers = await Promise.all([bind('x'), bind('x'), bind('x')])
      assert.deepEqual(answers, [true, true, true])
      assert.equal(await bind('y'), false)
      assert.equal(await bind('x'), true)
    })
  })
}
