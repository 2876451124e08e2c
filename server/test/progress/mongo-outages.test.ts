import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { PebblesError } from '../../src/platform/errors.ts'
import { recordIdOf, type Update } from '../../src/progress/record.ts'
import { type Outcome, PartlyApplied, type RecordStore } from '../../src/progress/store.ts'
import { createMongoDatabase, openMongoTestStore } from '../helpers/mongo.ts'
import { mongoMissing, startMongo } from '../helpers/services.ts'
import { seededRandom } from '../verify/ledger-storm.ts'
import { makeId, makeUpdate } from './store-contract.ts'

describe('MongoDB goes away and comes back', { skip: mongoMissing() }, () => {
  test('N1 P16 killed with -9 again and again while updates are sent until they are acknowledged', async (t) => {
    const { random, server, stores } = await begin(t)
    const plan = Array.from({ length: 500 }, (_, index) => planUpdate(index, random))
    let next = 0
    let answered = 0
    let sentAgain = 0

    async function call(): Promise<void> {
      while (next < plan.length) {
        const batch = plan.slice(next, next + 1 + Math.floor(random() * 4))
        next += batch.length
        const first = await sendUntilAcknowledged(stores, batch, random)
        answered += batch.length
        if (random() > 0.15) continue
        sentAgain += batch.length
        const again = await sendUntilAcknowledged(stores, batch, random)
        assert.deepEqual(again.map(essence), first.map(essence))
        assert.ok(again.every(({ isReplay }) => isReplay))
      }
    }

    async function killSome(): Promise<void> {
      for (let kill = 1; kill <= 3; kill++) {
        while (answered < (plan.length * kill) / 4) await sleep(5)
        await server.kill()
        await server.restart()
      }
    }

    await Promise.all([...Array.from({ length: 12 }, call), killSome()])
    assert.ok(sentAgain > 0)
    await checkBooks(stores[0]!, plan)
  })

  test('N1 P15 two readers of one partition, and the server killed under them: each message counts once', async (t) => {
    const { random, server, stores } = await begin(t)
    const plan = Array.from({ length: 1_500 }, (_, index) => planUpdate(index, random))
    // A log has gaps.
    const log = plan.map(({ id: _, ...update }, index) => ({ ...update, offset: 5 + 2 * index }))
    const end = log.at(-1)!.offset + 1
    const source = { cluster: 'c', topicId: 't', partition: 3, group: 'g' }

    async function read(store: RecordStore): Promise<void> {
      let position = 0
      while (position < end) {
        try {
          position = (await store.position(source)) ?? 0
          const next = Math.min(end, position + 1 + Math.floor(random() * 400))
          const updates = log.filter(({ offset }) => offset >= position && offset < next)
          await store.applyFrom({ source, from: position, next, updates })
        } catch {
          await sleep(20)
        }
      }
    }

    async function killSome(): Promise<void> {
      for (const share of [0.3, 0.7]) {
        while (((await stores[2]!.position(source).catch(() => 0)) ?? 0) < end * share) await sleep(5)
        await server.kill()
        await server.restart()
      }
    }

    await Promise.all([read(stores[0]!), read(stores[1]!), killSome()])
    await checkBooks(stores[0]!, plan)
    const stale = await stores[1]!.applyFrom({ source, from: 0, next: 10, updates: log.slice(0, 3) })
    assert.deepEqual(stale, { position: end, outcomes: [undefined, undefined, undefined] })
  })

  test('N1 frozen for seconds, then thawed: updates without ids wait, and count once', async (t) => {
    const { server, stores } = await begin(t)
    let acknowledged = 0
    let isOver = false
    const callers = stores.map(async (store) => {
      while (!isOver) {
        await store.apply([makeUpdate('frozen.csv')])
        acknowledged++
      }
    })
    await sleep(300)
    server.freeze()
    await sleep(2_000)
    const before = acknowledged
    server.thaw()
    while (acknowledged < before + 20) await sleep(10)
    isOver = true
    await Promise.all(callers)
    const [record] = await stores[0]!.byIds([recordIdOf('krn:contract', 'frozen.csv')])
    assert.equal(record?.counts.done, acknowledged)
  })
})

async function begin(t: import('node:test').TestContext) {
  const seed = Math.floor(Math.random() * 2 ** 31)
  t.diagnostic(`seed ${seed}`)
  const server = await startMongo(t)
  const url = createMongoDatabase(t, server.url)
  const open = () => openMongoTestStore(t, url)
  return { random: seededRandom(seed), server, stores: [await open(), await open(), await open()] }
}

async function sendUntilAcknowledged(
  stores: RecordStore[],
  updates: Update[],
  random: () => number,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  let open = updates.map((update, place) => ({ update, place }))
  while (open.length > 0) {
    const store = stores[Math.floor(random() * stores.length)]!
    const endings = await store.apply(open.map(({ update }) => update)).catch((error: unknown) => {
      if (error instanceof PartlyApplied) return error.endings
      if (error instanceof PebblesError && error.code === 'unavailable') return open.map(() => error)
      throw error
    })
    for (const [index, { place }] of open.entries()) {
      const ending = endings[index]!
      if (!(ending instanceof Error)) outcomes[place] = ending
    }
    open = open.filter(({ place }) => outcomes[place] === undefined)
  }
  return outcomes
}

const essence = ({ isReplay: _, ...rest }: Outcome) => rest

function planUpdate(index: number, random: () => number): Update {
  const some = () => Math.floor(random() * 9)
  const issues = (kind: string) =>
    random() < 0.15
      ? Array.from({ length: 1 + some() }, (_, line) => ({ line, message: `${kind} ${index}` }))
      : []
  return makeUpdate(`${Math.floor(random() ** 2 * 25)}.csv`, {
    id: makeId(`planned-${index}`),
    counts: { done: some(), warn: some(), failed: some() },
    errors: issues('error'),
    warnings: issues('warning'),
  })
}

/** Every count, issue and audit event against what was sent. */
async function checkBooks(store: RecordStore, plan: Update[]): Promise<void> {
  for (const [recordId, updates] of Map.groupBy(plan, (update) => update.recordId)) {
    const [record] = await store.byIds([recordId])
    const sum = (kind: 'done' | 'warn' | 'failed') =>
      updates.reduce((total, update) => total + update.counts[kind], 0)
    assert.deepEqual(record?.counts, { done: sum('done'), warn: sum('warn'), failed: sum('failed') })
    assert.equal(record?.sequence, updates.length)
    const events = await store.events(recordId, { limit: 10_000, after: 0 })
    assert.deepEqual(
      events.map(({ sequence }) => sequence),
      updates.map((_, index) => index + 1),
    )
    assert.deepEqual(events.at(-1)?.countsAfter, record?.counts)
    for (const kind of ['errors', 'warnings'] as const) {
      const sent = updates.flatMap((update) => update[kind])
      const [issues] = await store.issues([{ recordId, kind, after: 0, upTo: 100_000 }])
      assert.deepEqual(
        issues!.map(({ ordinal }) => ordinal),
        sent.map((_, index) => index + 1),
      )
      assert.deepEqual(texts(issues!), texts(sent))
    }
  }
}

const texts = (issues: { line: number; message: string }[]) =>
  issues.map(({ line, message }) => `${message} ${line}`).sort()
