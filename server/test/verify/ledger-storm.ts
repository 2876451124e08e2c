/**
 * Everything that can go wrong with single updates, at once: several instances on one database, many callers, hot
 * files, lost answers, keys sent again, an instance killed in the middle. Afterwards every number must be exact.
 */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Answer, SpawnedServer } from '../helpers/server.ts'

export interface StormOptions {
  updates: number
  callers: number
  files: number
  /** Kills and restarts, spread over the storm. */
  kills: number
  random: () => number
  spawn: () => Promise<SpawnedServer>
  instances: number
  log?: (line: string) => void
}

interface PlannedUpdate {
  key: string
  clientKrn: string
  email: string
  body: {
    filename: string
    counts: { done: number; warn: number; failed: number }
    errors: { line: number; message: string }[]
    warnings: { line: number; message: string }[]
  }
}

export interface StormReport {
  answered: number
  retried: number
  sentAgain: number
  kills: number
}

const CLIENTS = ['krn:acme', 'krn:globex', 'krn:initech', 'krn:a/b c']

export async function runStorm(options: StormOptions): Promise<StormReport> {
  const { updates, callers, random, instances, kills, log = () => {} } = options
  const servers = await Promise.all(Array.from({ length: instances }, () => options.spawn()))
  const plan = Array.from({ length: updates }, (_, index) => planUpdate(index, options))
  const report: StormReport = { answered: 0, retried: 0, sentAgain: 0, kills: 0 }
  let next = 0

  async function call(): Promise<void> {
    while (next < plan.length) {
      const update = plan[next++]!
      const first = await sendUntilAnswered(update)
      assert.equal(first.status, 200, JSON.stringify(first.body))
      report.answered++
      if (random() < 0.1) {
        report.sentAgain++
        const again = await sendUntilAnswered(update)
        assert.equal(
          again.headers.get('idempotency-replayed'),
          'true',
          'a key sent again is answered as a replay',
        )
        assert.deepEqual(again.body, first.body, 'with what was answered the first time')
      }
    }
  }

  async function sendUntilAnswered({ key, clientKrn, email, body }: PlannedUpdate): Promise<Answer> {
    for (let attempt = 0; attempt < 200; attempt++) {
      const server = servers[Math.floor(random() * servers.length)]!
      try {
        const answer = await server.call('POST', `/clients/${encodeURIComponent(clientKrn)}/progress`, {
          body,
          token: await tokenOf(server, email),
          headers: { 'idempotency-key': key },
        })
        if (answer.status < 500) return answer
        assert.notEqual(answer.status, 500, `an unexpected fault: ${JSON.stringify(answer.body)}`)
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error
        // Refused or broken connection: whether the update was applied is not known. That is the point.
      }
      report.retried++
      await sleep(random() * 100)
    }
    throw new Error('an update was never answered')
  }

  /** Kills one instance after each share of the updates and puts a new one in its place. */
  async function killSome(): Promise<void> {
    for (let kill = 1; kill <= kills; kill++) {
      while (report.answered < (updates * kill) / (kills + 1)) await sleep(20)
      const victim = Math.floor(random() * servers.length)
      await servers[victim]!.kill()
      report.kills++
      log(`killed an instance after ${report.answered} updates`)
      servers[victim] = await options.spawn()
    }
  }

  await Promise.all([...Array.from({ length: callers }, call), killSome()])
  await checkBooks(servers[0]!, plan)
  return report
}

const tokens = new Map<string, Promise<string>>()

/** One token per person and data folder: making one costs more than checking it. */
function tokenOf(server: SpawnedServer, email: string): Promise<string> {
  const key = `${server.dataDir} ${email}`
  const token = tokens.get(key) ?? server.token(email)
  tokens.set(key, token)
  return token
}

/** Few files get most of the updates, as in life. */
function planUpdate(index: number, { random, files }: StormOptions): PlannedUpdate {
  const file = Math.floor(random() ** 3 * files)
  const small = () => Math.floor(random() * 20)
  const issues = (kind: string) =>
    random() < 0.06
      ? Array.from({ length: 1 + (small() % 3) }, () => ({ line: small(), message: `${kind} of ${index}` }))
      : []
  return {
    key: `update-${index}`,
    clientKrn: CLIENTS[file % CLIENTS.length]!,
    email: `worker-${file}@example.com`,
    body: {
      filename: `file-${file}.csv`,
      counts: { done: small(), warn: small(), failed: small() },
      errors: issues('error'),
      warnings: issues('warning'),
    },
  }
}

/** Every count, total, issue and audit event against what was sent. */
async function checkBooks(server: SpawnedServer, plan: PlannedUpdate[]): Promise<void> {
  const byFile = Map.groupBy(plan, ({ clientKrn, body }) => `${clientKrn} ${body.filename}`)
  for (const updates of byFile.values()) {
    const { clientKrn, email, body } = updates[0]!
    const base = `/clients/${encodeURIComponent(clientKrn)}/progress`
    const { body: record } = await server.call('GET', `${base}?filename=${body.filename}`)
    const sum = (pick: (update: PlannedUpdate) => number) =>
      updates.reduce((total, update) => total + pick(update), 0)
    assert.deepEqual(record.counts, {
      done: sum(({ body }) => body.counts.done),
      warn: sum(({ body }) => body.counts.warn),
      failed: sum(({ body }) => body.counts.failed),
    })
    assert.equal(record.email, email)
    assert.equal(record.sequence, updates.length)
    for (const kind of ['errors', 'warnings'] as const) {
      const expected = updates.flatMap((update) => update.body[kind])
      assert.equal(record[`${kind}Total`], expected.length)
      const stored = await readPages(server, `${base}/${record.id}/${kind}?limit=1000`)
      assert.deepEqual(sorted(stored), sorted(expected))
    }
    const events = await readPages(server, `${base}/${record.id}/events?limit=1000`)
    assert.deepEqual(
      events.map(({ sequence }) => sequence),
      updates.map((_, index) => index + 1),
    )
    const sent = new Map(updates.map((update) => [update.key, update.body]))
    for (const event of events) {
      assert.deepEqual(event.counts, sent.get(event.updateId)?.counts)
      sent.delete(event.updateId)
    }
    assert.equal(sent.size, 0, 'each update has exactly one event')
  }
}

// biome-ignore lint/suspicious/noExplicitAny: pages of several kinds
async function readPages(server: SpawnedServer, path: string): Promise<any[]> {
  const items = []
  for (let url: string | undefined = path; url; ) {
    const page: Answer = await server.call('GET', url)
    assert.equal(page.status, 200)
    items.push(...page.body)
    url = /<([^>]+)>; rel="next"/.exec(page.headers.get('link') ?? '')?.[1]
  }
  return items
}

const sorted = (issues: { line: number; message: string }[]) =>
  issues.map(({ line, message }) => `${message} at ${line}`).sort()

/** Random numbers that a failed run can be repeated with (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}
