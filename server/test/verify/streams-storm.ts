/**
 * Everything that can go wrong with events, at once: several instances that take them in, aggregate, archive and
 * publish them; times out of order and too late; requests sent again after lost answers, and twice on purpose;
 * instances killed at random instants or hanging until others have gone on; the broker restarted, or the broker or S3
 * away for a while. What has to be true afterwards is told by `streams-books.ts`.
 */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RunningService } from '../../../scripts/services/service.ts'
import type { SpawnedServer } from '../helpers/server.ts'
import { watchMemory } from './streams-memory.ts'
import { CLIENTS, type Plan, VISITS, VISITS_DECLARATION } from './streams-plan.ts'
import { type Sent, startSending, tokenOf } from './streams-sender.ts'

/** A server that others wrote is away for a while, in the middle of it all. */
export interface Outage {
  what: string
  service: Pick<RunningService, 'freeze' | 'thaw' | 'kill' | 'restart'>
  how: 'frozen' | 'killed'
  ms: number
  /** Events must be taken in all the same: it lasts until some were, as this process may stand still for all of `ms`. */
  isUnnoticed?: boolean
}

export interface StormOptions {
  plan: Plan
  senders: number
  instances: number
  kills: number
  /** Instances that hang for so long that others take over, and then wake up. */
  freezes?: number
  /** One after the other: killed with -9, ended in good order, killed … and started again. */
  brokerRestarts?: number
  broker?: Pick<RunningService, 'kill' | 'stop' | 'restart'> | undefined
  outages?: readonly Outage[]
  /** Default: as fast as they are taken. */
  eventsPerSecond?: number
  random: () => number
  tellsDuplicates: boolean
  /** @param idleMs after which a quiet stream is moved on by the clock */
  spawn: (idleMs: number) => Promise<SpawnedServer>
  /** Whether everything behind the log has come to its end. */
  isThrough: () => Promise<boolean>
  log?: (line: string) => void
}

export interface StormReport {
  sent: number
  /** All but those without an id whose request was not answered. */
  accepted: number
  requests: number
  retried: number
  refused503: number
  duplicates: number
  kills: number
  freezes: number
  brokerRestarts: number
  outages: number
  slowestMs: number
  sentMs: number
  tookMs: number
  /** Of any one instance; and by how much one grew while something was away. */
  peakRssMiB: number
  awayGrowthMiB: number
  /** That were taken in, each time that something was away. */
  awayEvents: number[]
}

/** So long that the clock moves nothing on while the storm lasts: what is late then follows from the log alone. */
const NEVER_MS = 1e9
const SPAWN_TRIES = 20

export async function runStreamsStorm(options: StormOptions): Promise<{ report: StormReport; sent: Sent }> {
  const { plan, instances, kills, freezes = 0, brokerRestarts = 0, outages = [], random } = options
  const { log = () => {} } = options
  const startedMs = Date.now()
  const servers = await Promise.all(Array.from({ length: instances }, () => options.spawn(NEVER_MS)))
  if (plan.streams.includes(VISITS)) await declareVisits(servers[0]!)
  const done = { kills: 0, freezes: 0, brokerRestarts: 0, outages: 0 }
  let awayGrowthMiB = 0
  const awayEvents: number[] = []
  const watch = watchMemory(servers)
  const failed = new AbortController()
  const sendingMs = Date.now()
  const sender = startSending({ ...options, servers, mayGoOn })
  const { sent } = sender
  sender.done.catch(() => failed.abort())

  /** Events do not run away from what is to happen to them. */
  async function mayGoOn(sent: Sent): Promise<void> {
    const limit = (count: number, of: number) =>
      count < of ? (plan.events * (count + 1.5)) / (of + 1) : Infinity
    for (;;) {
      const passedMs = Date.now() - sendingMs
      const most = Math.min(
        limit(done.kills, kills),
        limit(done.brokerRestarts, brokerRestarts),
        done.outages < outages.length ? plan.events * 0.9 : Infinity,
        options.eventsPerSecond === undefined ? Infinity : (options.eventsPerSecond * passedMs) / 1_000,
      )
      if (sent.events <= most || failed.signal.aborted) return
      await sleep(10)
    }
  }

  async function reached(share: number): Promise<void> {
    while (sent.events < plan.events * share) {
      if (failed.signal.aborted) throw new Error('sending has failed')
      await sleep(5)
    }
  }

  /** Each within its share of the way, and a new one in its place. */
  async function killSome(): Promise<void> {
    for (; done.kills < kills; done.kills++) {
      await reached((done.kills + 0.2 + 0.8 * random()) / (kills + 1))
      await sleep(random() * 200)
      const victim = Math.floor(random() * servers.length)
      await servers[victim]!.kill()
      log(`killed instance ${victim} after ${sent.events} events`)
      servers[victim] = await spawnAgain()
    }
  }

  /** Whoever keeps instances running starts one again that ended since the broker was away. */
  async function spawnAgain(): Promise<SpawnedServer> {
    for (let tries = 1; ; tries++) {
      try {
        return await options.spawn(NEVER_MS)
      } catch (error) {
        if (tries === SPAWN_TRIES) throw error
        log(`an instance did not start: ${(error as Error).message.split('\n').slice(0, 2).join(' ')}`)
        await sleep(500)
      }
    }
  }

  /** One hangs and wakes up as a zombie: its partitions are somebody else's by then. */
  async function freezeSome(): Promise<void> {
    for (; done.freezes < freezes; done.freezes++) {
      await reached((done.freezes + 0.5) / (freezes + 1))
      const { process: frozen } = servers[Math.floor(random() * servers.length)]!
      frozen.kill('SIGSTOP')
      await sleep(7_000 + random() * 4_000)
      frozen.kill('SIGCONT')
      log(`an instance hung; it woke up after ${sent.events} events`)
    }
  }

  async function restartBroker(): Promise<void> {
    for (; done.brokerRestarts < brokerRestarts; done.brokerRestarts++) {
      await reached((done.brokerRestarts + 0.7) / (brokerRestarts + 1))
      const how = done.brokerRestarts % 2 === 0 ? 'kill' : 'stop'
      await options.broker![how]()
      await options.broker!.restart()
      log(`the broker was restarted (${how}) at ${sent.events} events`)
    }
  }

  async function beAway(): Promise<void> {
    for (const { what, service, how, ms, isUnnoticed = false } of outages) {
      await reached((done.outages + 0.7) / (outages.length + 1))
      const before = { events: sent.events, refused503: sent.refused503, mib: watch.nowMiB() }
      log(`${what} ${how} for ${ms} ms after ${sent.events} events; instances have ${watch.nowMiB()} MiB`)
      await (how === 'frozen' ? service.freeze() : service.kill())
      await sleep(ms)
      if (isUnnoticed) await until('events came meanwhile', async () => sent.events > before.events)
      awayGrowthMiB = Math.max(awayGrowthMiB, watch.nowMiB() - before.mib)
      const came = sent.events - before.events
      awayEvents.push(came)
      log(
        `back; ${came} events and ${sent.refused503 - before.refused503} times 503 meanwhile, ${watch.nowMiB()} MiB`,
      )
      await (how === 'frozen' ? service.thaw() : service.restart())
      done.outages++
    }
  }

  try {
    // The broker is restarted before it is away, not meanwhile.
    await Promise.all([sender.done, killSome(), freezeSome(), restartBroker().then(beAway)])
    const sentMs = Date.now() - startedMs
    log(`sent everything in ${sentMs} ms`)
    await untilBooks(servers[0]!, plan, ({ inFlight }) => inFlight === 0)
    log(`everything decided after ${Date.now() - startedMs} ms`)
    for (const server of servers) await server.stop()
    const last = await options.spawn(100)
    servers.splice(0, servers.length, last)
    await untilBooks(last, plan, ({ inFlight, open }) => inFlight === 0 && open === 0)
    await until('everything behind the log is through', options.isThrough)
    await untilBooks(last, plan, ({ balanced }) => balanced === true)
    await last.stop()
    const { events, requests, retried, refused503, duplicates, slowestMs } = sent
    const accepted = sent.accepted.reduce((sum, each) => sum + each, 0)
    const numbers = {
      sent: events,
      accepted,
      requests,
      retried,
      refused503,
      duplicates,
      ...done,
      slowestMs,
      sentMs,
    }
    const memory = { peakRssMiB: watch.peakMiB(), awayGrowthMiB, awayEvents }
    const report = { ...numbers, tookMs: Date.now() - startedMs, ...memory }
    return { report, sent }
  } finally {
    watch.stop()
  }
}

// biome-ignore lint/suspicious/noExplicitAny: the books as they are told
type Books = Record<string, any>

async function declareVisits(server: SpawnedServer): Promise<void> {
  for (const clientKrn of CLIENTS) {
    const token = await tokenOf(server, clientKrn)
    const options = { token, body: VISITS_DECLARATION }
    assert.equal((await server.call('PUT', `/clients/${clientKrn}/streams/${VISITS}`, options)).status, 200)
  }
}

/** Looks at the books of each stream of each client until they say so; at every look they balance. */
async function untilBooks(
  server: SpawnedServer,
  { streams }: Plan,
  isSo: (books: Books) => boolean,
): Promise<void> {
  for (const clientKrn of CLIENTS) {
    const token = await tokenOf(server, clientKrn)
    for (const stream of streams)
      await until(`the books of ${stream} of ${clientKrn} say so`, async () => {
        const path = `/api/streams/${stream}/balance?recount=true`
        const { status, body } = await server.call('GET', path, { token })
        // More is in flight than can be counted at once.
        if (status === 503) return false
        assert.equal(status, 200)
        assert.deepEqual(body.differences, [])
        return isSo(body)
      })
  }
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  for (const endsAt = Date.now() + 600_000; !(await isSo()); await sleep(200))
    assert.ok(Date.now() < endsAt, `it did not come about that ${what}`)
}
