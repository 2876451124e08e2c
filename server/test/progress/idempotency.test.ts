import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { suiteScope } from '../helpers/scope.ts'
import { type Answer, startServer, type TestServer, update } from '../helpers/server.ts'

const UPDATES = '/clients/krn:clnt:keys/progress'
const issue = (message: string) => [{ line: 1, message }]

/** N1 over HTTP: an update with an `Idempotency-Key` counts once, however often it is sent. */
describe('N1 Idempotency-Key', () => {
  const scope = suiteScope()
  let server: TestServer

  before(async () => {
    server = await startServer(scope, { PEBBLES_ROLES: 'api' })
  })

  const post = (body: unknown, key?: string, path = UPDATES) =>
    server.call('POST', path, { body, headers: key === undefined ? {} : { 'idempotency-key': key } })
  const read = async (filename: string) => (await server.call('GET', `${UPDATES}?filename=${filename}`)).body
  const replayed = ({ headers }: Answer) => headers.get('idempotency-replayed')

  test('the first answer is given again to the letter, after later updates and after the last one', async () => {
    const first = update('replay.csv', { total: 10, errors: issue('e1'), warnings: issue('w1') })
    const second = update('replay.csv', { errors: issue('e2') })
    const answers = [await post(first, 'r1'), await post(second, 'r2')]
    await post(update('replay.csv', { total: 20, warnings: issue('w2') }))
    await post(update('replay.csv', { isLast: true, errors: issue('e3') }), 'r3')
    const before = await read('replay.csv')
    for (const [i, body] of [first, second].entries()) {
      const again = await post(body, `r${i + 1}`)
      assert.deepEqual([again.status, again.body], [200, answers[i]!.body])
      assert.equal(replayed(answers[i]!), null)
      assert.equal(replayed(again), 'true')
      for (const name of ['etag', 'location'])
        assert.equal(again.headers.get(name), answers[i]!.headers.get(name))
    }
    const last = await post(update('replay.csv', { isLast: true, errors: issue('e3') }), 'r3')
    assert.deepEqual([last.status, last.body.isCompleted, replayed(last)], [200, true, 'true'])
    assert.deepEqual(await read('replay.csv'), before)
    assert.equal((await post(update('replay.csv'), 'r4')).body.code, 'file_completed')
  })

  test('a key that comes with another update is 422, and changes nothing', async () => {
    const body = update('other.csv', { total: 5, errors: issue('e') })
    await post(body, 'o')
    const before = await read('other.csv')
    const others = [
      { ...body, filename: 'another.csv' },
      { ...body, counts: { done: 2, warn: 0, failed: 0 } },
      { ...body, counts: { done: 0, warn: 1, failed: 0 } },
      { ...body, total: 6 },
      { ...body, total: undefined },
      { ...body, isLast: true },
      { ...body, errors: issue('f') },
      { ...body, errors: [{ line: 2, message: 'e' }] },
      { ...body, errors: [...issue('e'), ...issue('e')] },
      { ...body, errors: [], warnings: issue('e') },
    ]
    for (const other of others) {
      const answer = await post(other, 'o')
      assert.deepEqual([answer.status, answer.body.code], [422, 'idempotency_mismatch'])
    }
    assert.deepEqual(await read('other.csv'), before)
    assert.equal((await server.call('GET', `${UPDATES}?filename=another.csv`)).status, 404)
  })

  test('the same update is the same, however its JSON is written', async () => {
    await post('{"filename":"same.csv","counts":{"done":1,"warn":0,"failed":0},"total":7}', 's')
    for (const body of [
      '{"total":7.0,"counts":{"failed":0,"warn":-0,"done":10e-1},"filename":"s\\u0061me.csv"}',
      ' { "filename": "same.csv", "counts": {"done":1,"warn":0,"failed":0}, "total":7,\n"isLast":false,"errors":[],"warnings":[],"createdAt":"now"}',
    ]) {
      assert.equal(replayed(await post(body, 's')), 'true')
    }
    assert.equal((await read('same.csv')).counts.done, 1)
  })

  test('a refusal is given again, also when its reason is gone', async () => {
    const bob = await server.token('bob@example.com')
    const asBob = (key: string) =>
      server.call('POST', UPDATES, {
        token: bob,
        body: update('mine.csv'),
        headers: { 'idempotency-key': key },
      })
    await post(update('mine.csv', { isLast: true }))
    assert.deepEqual([(await asBob('b')).status, (await asBob('b')).status], [403, 403])
    assert.deepEqual(
      (await post(update('mine.csv'), 'late')).body,
      (await post(update('mine.csv'), 'late')).body,
    )
  })

  test('an update that was refused for its form leaves its key free', async () => {
    assert.equal((await post({ filename: 'free.csv' }, 'free')).status, 400)
    assert.equal((await post(update('free.csv'), 'free')).status, 200)
    const most = { done: Number.MAX_SAFE_INTEGER, warn: 0, failed: 0 }
    assert.equal((await post(update('free.csv', { counts: most }), 'over')).status, 400)
    assert.equal((await post(update('free.csv'), 'over')).status, 200)
    assert.equal((await read('free.csv')).counts.done, 2)
  })

  test('fifty deliveries at the same instant count once and are all answered the same', async () => {
    const body = update('storm.csv', { errors: issue('e') })
    const answers = await Promise.all(Array.from({ length: 50 }, () => post(body, 'storm')))
    for (const answer of answers) assert.deepEqual([answer.status, answer.body], [200, answers[0]!.body])
    assert.equal(answers.filter((answer) => replayed(answer) === null).length, 1)
    assert.equal((await read('storm.csv')).counts.done, 1)
  })

  test('P18 a batch with a key counts once, is answered the same, and is 422 with other items', async () => {
    const items = [update('batch.csv', { errors: issue('e') }), { bad: true }, update('batch.csv')]
    const first = await post(items, 'batch', `${UPDATES}/batch`)
    assert.deepEqual(
      first.body.map(({ status }: { status: number }) => status),
      [200, 400, 200],
    )
    const again = await post(items, 'batch', `${UPDATES}/batch`)
    assert.deepEqual([again.status, again.body], [200, first.body])
    const other = await post(items.slice(0, 2), 'batch', `${UPDATES}/batch`)
    assert.deepEqual([other.status, other.body.code], [422, 'idempotency_mismatch'])
    assert.equal((await read('batch.csv')).counts.done, 2)
  })

  test('P18 the key of a batch is no key of a single update, and cuts across no other', async () => {
    await post(update('apart.csv'), 'apart')
    await post(update('apart.csv'), 'apart/0')
    await post([{ id: 'apart/1', ...update('apart.csv') }], undefined, `${UPDATES}/batch`)
    const batch = await post([update('apart.csv'), update('apart.csv')], 'apart', `${UPDATES}/batch`)
    assert.deepEqual(
      batch.body.map(({ status }: { status: number }) => status),
      [200, 200],
    )
    assert.equal((await read('apart.csv')).counts.done, 5)
  })

  test('P18 an item counts once by its id: in one batch, in another, and sent by itself', async () => {
    const item = { id: 'item-1', ...update('item.csv') }
    const path = `${UPDATES}/batch`
    const first = (await post([item, item, { ...item, total: 3 }], undefined, path)).body
    assert.deepEqual(
      first.map(({ status }: { status: number }) => status),
      [200, 200, 422],
    )
    assert.deepEqual(first[1], first[0])
    assert.deepEqual((await post([item], 'any key', path)).body, [first[0]])
    assert.equal(replayed(await post(update('item.csv'), 'item-1')), 'true')
    assert.equal((await read('item.csv')).counts.done, 1)
  })
})
