/**
 * Everything that can go wrong between a topic and the ledger, at once: consumers killed in the middle, brokers
 * restarted, the topic read again from its beginning. Afterwards every number must be exact.
 */
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { RunningKafka } from '../../../scripts/services/kafka.ts'
import type { Issue } from '../../src/progress/record.ts'
import { recordIdOf } from '../../src/progress/record.ts'
import type { RecordStore } from '../../src/progress/store.ts'
import type { Scope } from '../helpers/scope.ts'
import { eventually, type Sent, type TestLog } from '../progress/kafka-helpers.ts'
import { readOutside } from '../progress/kafka-outside.ts'

export interface KafkaStormOptions {
  updates: number
  records: number
  partitions: number
  consumers: number
  kills: number
  brokerRestarts: number
  random: () => number
  /** A topic that is not there yet. */
  topic: TestLog
  kafka: RunningKafka
  store: RecordStore
  /** Messages applied so far, by their offsets. */
  applied: () => Promise<number>
  spawn: () => Worker
  scope: Scope
  /** Done once in the middle, such as freezing the database for a while. */
  meanwhile?: () => Promise<void>
  log?: (line: string) => void
}

export interface Worker {
  kill(): Promise<void>
  stop(): Promise<void>
}

interface Planned extends Sent {
  record: number
  /** Left out of the books: its id was there before. */
  isAgain: boolean
  value: {
    clientKrn: string
    email: string
    filename: string
    id?: string
    counts: { done: number; warn: number; failed: number }
    errors?: Issue[]
    warnings?: Issue[]
    isLast?: boolean
  }
}

const SENT_AT_A_TIME = 5_000

export async function runKafkaStorm(options: KafkaStormOptions): Promise<Record<string, number>> {
  const { topic, partitions, kafka, random, applied, spawn, log = () => {} } = options
  const plan = planUpdates(options)
  await topic.create(partitions)
  const startedMs = Date.now()
  for (let sent = 0; sent < plan.length; sent += SENT_AT_A_TIME)
    await topic.send(plan.slice(sent, sent + SENT_AT_A_TIME))
  const ends = (await topic.ends()).reduce((sum, end) => sum + end, 0)
  assert.equal(ends, plan.length, 'the topic holds what was planned, once')
  log(`sent ${plan.length} messages in ${Date.now() - startedMs} ms`)

  const workers = Array.from({ length: options.consumers }, spawn)
  const reached = async (share: number) =>
    eventually(`${share} of it is applied`, async () => (await applied()) >= plan.length * share, 600_000)
  const consumingMs = Date.now()

  /** At random instants, each within its share of the way, and mostly in the middle of a batch. */
  async function killSome(): Promise<void> {
    for (let kill = 0; kill < options.kills; kill++) {
      await reached((kill + random()) / (options.kills + 1))
      await delay(random() * 200)
      const victim = Math.floor(random() * workers.length)
      await workers[victim]!.kill()
      log(`killed consumer ${victim} at ${await applied()} (kill ${kill + 1})`)
      workers[victim] = spawn()
    }
  }

  async function restartBroker(): Promise<void> {
    for (let restart = 1; restart <= options.brokerRestarts; restart++) {
      await reached(restart / (options.brokerRestarts + 1.5))
      await kafka.kill()
      await kafka.restart()
      log(`broker restarted (${restart})`)
    }
  }

  async function meanwhile(): Promise<void> {
    if (!options.meanwhile) return
    await reached(0.4)
    await options.meanwhile()
  }

  await Promise.all([killSome(), restartBroker(), meanwhile()])
  await reached(1)
  log(`all applied after ${Date.now() - consumingMs} ms`)
  await replay(options, workers, plan.length)
  await checkBooks(options, plan)
  await Promise.all(workers.map((worker) => worker.stop()))
  return { messages: plan.length, kills: options.kills, tookMs: Date.now() - startedMs }
}

/** The group forgets where it was; then readers begin at 0, whatever the database says. */
async function replay(
  { topic, partitions, store, scope, spawn, log = () => {} }: KafkaStormOptions,
  workers: Worker[],
  messages: number,
) {
  await Promise.all(workers.map((worker) => worker.stop()))
  await eventually(
    'the group is empty, and forgets',
    async () => {
      const partitionOffsets = Array.from({ length: partitions }, (_, partition) => ({
        partition,
        offset: 0n,
      }))
      await topic.admin.alterConsumerGroupOffsets({
        groupId: topic.group,
        topics: [{ name: topic.topic, partitionOffsets }],
      })
      return true
    },
    60_000,
  )
  workers.splice(0, workers.length, spawn())
  const fromStart = { ...store, position: async () => 0 }
  const outsiders = await Promise.all(
    Array.from({ length: partitions }, (_, partition) => readOutside(scope, topic, fromStart, partition)),
  )
  await eventually(
    'everything was read again',
    async () => outsiders.reduce((sum, { positions }) => sum + (positions.at(-1) ?? 0), 0) === messages,
    600_000,
  )
  await Promise.all(outsiders.map((each) => each.stop()))
  log('read again from the beginning')
}

function planUpdates({ updates, records, partitions, random }: KafkaStormOptions): Planned[] {
  const small = () => Math.floor(random() * 20)
  const plan: Planned[] = []
  const issues = (kind: string, n: number) =>
    random() < 0.03
      ? Array.from({ length: 1 + (small() % 3) }, () => ({ line: small(), message: `${kind} of ${n}` }))
      : undefined
  const add = (record: number, more: Partial<Planned['value']>, isAgain = false) => {
    const clientKrn = `krn:storm:${record % 20}`
    const base = { clientKrn, email: `worker-${record}@example.com`, filename: `file-${record}.csv` }
    const value = { ...base, counts: { done: small(), warn: small(), failed: small() }, ...more }
    plan.push({ record, isAgain, partition: record % partitions, value })
    return plan.at(-1)!
  }
  for (let n = 0; n < updates; n++) {
    const errors = issues('error', n)
    const warnings = issues('warning', n)
    const sent = add(Math.floor(random() * records), {
      ...(random() < 0.1 && { id: `update-${n}` }),
      ...(errors && { errors }),
      ...(warnings && { warnings }),
    })
    if (sent.value.id !== undefined && random() < 0.3) add(sent.record, sent.value, true)
  }
  for (let record = 0; record < records; record++) add(record, { isLast: true })
  return plan
}

/** Every count, issue and audit event against what was sent, in its order. */
async function checkBooks({ store, topic, partitions }: KafkaStormOptions, plan: Planned[]): Promise<void> {
  const offsets = Array.from({ length: partitions }, () => 0)
  const placed = plan.map((each) => ({
    ...each,
    updateId: each.value.id ?? `${topic.topic}/${each.partition}/${offsets[each.partition]}`,
    offset: offsets[each.partition]!++,
  }))
  for (const sent of Map.groupBy(placed, ({ record }) => record).values()) {
    const updates = sent.filter(({ isAgain }) => !isAgain)
    const { clientKrn, filename, email } = updates[0]!.value
    const id = recordIdOf(clientKrn, filename)
    const [record] = await store.byIds([id])
    const sum = (pick: (update: Planned) => number) =>
      updates.reduce((total, update) => total + pick(update), 0)
    const counts = {
      done: sum(({ value }) => value.counts.done),
      warn: sum(({ value }) => value.counts.warn),
      failed: sum(({ value }) => value.counts.failed),
    }
    assert.deepEqual(
      [record?.counts, record?.email, record?.sequence, record?.isCompleted],
      [counts, email, updates.length, true],
    )
    for (const kind of ['errors', 'warnings'] as const) {
      const expected = updates.flatMap(({ value }) => value[kind] ?? [])
      const [stored] = await store.issues([{ recordId: id, kind, after: 0, upTo: expected.length + 10 }])
      assert.deepEqual(
        stored!.map(({ line, message }) => ({ line, message })),
        expected,
      )
    }
    const events = []
    for (let page = await store.events(id, { limit: 1000, after: 0 }); page.length > 0; ) {
      events.push(...page)
      page = await store.events(id, { limit: 1000, after: events.at(-1)!.sequence })
    }
    assert.deepEqual(
      events.map(({ sequence, updateId, counts, errors, warnings }) => ({
        sequence,
        updateId,
        counts,
        errors,
        warnings,
      })),
      updates.map(({ updateId, value }, index) => ({
        sequence: index + 1,
        updateId,
        counts: value.counts,
        errors: value.errors?.length ?? 0,
        warnings: value.warnings?.length ?? 0,
      })),
    )
  }
}
