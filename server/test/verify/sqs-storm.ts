/**
 * Everything that can go wrong with updates from SQS, at once: several processes share a queue with a short visibility
 * time-out, removals are lost or late, processes are killed. Afterwards every number must be exact.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { AUDITED_UPDATES } from '../helpers/audit.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { createTestDir, spawnWorker } from '../helpers/server.ts'
import { openTestSqs } from '../helpers/sqs.ts'
import { deliveredAgain, type Fate, startSqsProxy } from '../helpers/sqs-proxy.ts'

export interface SqsStormOptions {
  /** The environment that leads to SQS. */
  env: Record<string, string>
  /** A migrated database of its own. */
  databaseUrl: string
  updates: number
  files: number
  processes: number
  /** `kill -9`, each followed by a new process, spread over the storm. */
  kills: number
  log?: (line: string) => void
  /** Something that happens once, when half of it is done. */
  halfWay?: () => Promise<void>
}

export interface SqsStormReport {
  seconds: number
  messages: number
  /** Messages that were handed out more than once, as counted between the processes and SQS. */
  deliveredAgain: number
  removalsDisturbed: number
  kills: number
  invalid: number
}

const CLIENTS = ['krn:acme', 'krn:globex', 'krn:a/b c']
/** Of the removals; the rest passes. */
const LOST = 0.1
const LATE = 0.1

interface Planned {
  id: string
  clientKrn: string
  email: string
  filename: string
  counts: { done: number; warn: number; failed: number }
  errors: { line: number; message: string }[]
}

export async function runSqsStorm(scope: Scope, options: SqsStormOptions): Promise<SqsStormReport> {
  const { env, databaseUrl, updates, processes, kills, log = () => {}, halfWay } = options
  const sqs = openTestSqs(scope, env)
  const [queue, deadLetters] = [await sqs.createQueue({ VisibilityTimeout: '1' }), await sqs.createQueue()]
  const proxy = await startSqsProxy(scope, env.SQS_ENDPOINT!, fateOf)
  const PEBBLES_DATA = await createTestDir(scope)
  const spawn = () =>
    spawnWorker(scope, {
      ...env,
      DATABASE_URL: databaseUrl,
      PEBBLES_DATA,
      PEBBLES_ROLES: 'consumers',
      SQS_ENABLED: 'true',
      SQS_QUEUE_URL: queue.url,
      SQS_DLQ_URL: deadLetters.url,
      SQS_ENDPOINT: proxy.url,
    })
  const client = new pg.Client({ connectionString: databaseUrl })
  client.on('error', () => {})
  await client.connect()
  atEnd(scope, () => client.end())
  const counted = async () =>
    Number((await client.query('SELECT coalesce(sum(sequence), 0) AS n FROM records')).rows[0].n)

  const plan = Array.from({ length: updates }, (_, index) => planUpdate(index, options.files))
  const poison = Array.from({ length: Math.ceil(updates / 100) }, (_, index) => `poison ${index}`)
  // One in fifty is sent twice by its producer as well.
  const again = plan.filter((_, index) => index % 50 === 0)
  const bodies = shuffle([...plan, ...again, ...poison])
  const startedAt = Date.now()
  const workers = Array.from({ length: processes }, spawn)
  const sending = queue.send(bodies.map((body) => ({ body })))

  const untilCounted = async (share: number) => {
    while ((await counted()) < updates * share) await sleep(50)
  }
  for (let kill = 1; kill <= kills; kill++) {
    await untilCounted(kill / (kills + 1))
    const victim = Math.floor(Math.random() * processes)
    await workers[victim]!.kill()
    workers[victim] = spawn()
    log(`killed a process at ${await counted()} updates`)
    if (kill === Math.ceil(kills / 2)) await halfWay?.()
  }
  await sending
  await queue.untilEmpty()
  const seconds = (Date.now() - startedAt) / 1_000
  await Promise.all(workers.map((worker) => worker.stop()))
  assert.deepEqual(await queue.depth(), { visible: 0, inHand: 0 })

  await checkBooks(client, plan)
  // It may be there twice: sent before it is removed. But all of it is there, with the reason.
  const dead = new Set<string>()
  while (dead.size < poison.length) {
    for (const { Body, MessageAttributes } of await deadLetters.take(1)) {
      assert.match(MessageAttributes!['pebbles-reason']!.StringValue!, /^body: /)
      dead.add(Body!)
    }
  }
  assert.deepEqual([...dead].sort(), poison.sort())
  return {
    seconds,
    messages: bodies.length,
    deliveredAgain: deliveredAgain(proxy),
    removalsDisturbed: proxy.disturbed,
    kills,
    invalid: dead.size,
  }
}

function fateOf(action: string): Fate {
  const random = Math.random()
  if (action !== 'DeleteMessageBatch' || random > LOST + LATE) return 'passes'
  return random < LOST ? 'lost' : { arrivesAfterMs: 1_500 }
}

function planUpdate(index: number, files: number): Planned {
  const file = Math.floor(Math.random() ** 3 * files)
  const small = () => Math.floor(Math.random() * 20)
  return {
    id: randomUUID(),
    clientKrn: CLIENTS[file % CLIENTS.length]!,
    email: `worker-${file}@example.com`,
    filename: `file-${file}.csv`,
    counts: { done: small(), warn: small(), failed: small() },
    errors: index % 20 === 0 ? [{ line: index, message: `error of ${index}` }] : [],
  }
}

function shuffle<T>(items: T[]): T[] {
  for (let last = items.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1))
    ;[items[last], items[other]] = [items[other]!, items[last]!]
  }
  return items
}

/** Every count, issue and audit event against what was sent. */
async function checkBooks(client: pg.Client, plan: Planned[]): Promise<void> {
  const { rows: records } = await client.query('SELECT * FROM records')
  const byFile = Map.groupBy(plan, ({ clientKrn, filename }) => `${clientKrn} ${filename}`)
  assert.equal(records.length, byFile.size)
  for (const record of records) {
    const updates = byFile.get(`${record.client_krn} ${record.filename}`)!
    const sum = (name: keyof Planned['counts']) =>
      updates.reduce((total, { counts }) => total + counts[name], 0)
    assert.deepEqual([record.done, record.warn, record.failed, record.sequence].map(Number), [
      sum('done'),
      sum('warn'),
      sum('failed'),
      updates.length,
    ])
    assert.equal(record.email, updates[0]!.email)
    const { rows: issues } = await client.query('SELECT line, message FROM issues WHERE record_id = $1', [
      record.id,
    ])
    assert.deepEqual(
      issues.map(({ message }) => message).sort(),
      updates.flatMap(({ errors }) => errors.map(({ message }) => message)).sort(),
    )
    const { rows: events } = await client.query(
      `SELECT update_id FROM ${AUDITED_UPDATES} WHERE record_id = $1`,
      [record.id],
    )
    assert.deepEqual(events.map(({ update_id }) => update_id).sort(), updates.map(({ id }) => id).sort())
  }
}
