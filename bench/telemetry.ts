/**
 * `node --max-semi-space-size=4 bench/telemetry.ts`: what measuring costs. The hook that measures a request and the
 * count of outcomes, a million calls each, CPU time; then a loop that allocates, with and without an observer of garbage
 * collections such as prom-client's default metrics have. Medians.
 */
import { PerformanceObserver } from 'node:perf_hooks'
import { setImmediate as turn } from 'node:timers/promises'
import type { FastifyBaseLogger, FastifyInstance, onResponseHookHandler } from 'fastify'
import { Histogram, Registry } from 'prom-client'
import { createBareApp } from '../server/src/platform/http/app.ts'
import { createLog } from '../server/src/platform/log.ts'
import { measureRequests } from '../server/src/platform/telemetry/request-durations.ts'
import { createTally, tallyRequests } from '../server/src/progress/metrics.ts'
import type { Update } from '../server/src/progress/record.ts'
import type { Outcome } from '../server/src/progress/store.ts'
import { median } from './bench.ts'

const CALLS = 1_000_000
const BATCH = 16
const TURNS = 3_000
const registry = new Registry()

const log = createLog('silent') as FastifyBaseLogger
const app = createBareApp({ log, registry: new Registry() })
const hooks: onResponseHookHandler[] = []
const catcher = { addHook: (_name: string, hook: onResponseHookHandler) => void hooks.push(hook) }
measureRequests(catcher as unknown as FastifyInstance, registry)
app.get('/clients/:clientKrn/progress', (request, reply) => {
  const done = () => {}
  const onResponse = hooks[0]!
  tell('hook of a request', CALLS, () => {
    for (let i = 0; i < CALLS; i++) onResponse.call(app as never, request as never, reply as never, done)
  })
  return 'OK'
})
await app.inject('/clients/krn:bench/progress')
await app.close()

const tally = createTally(registry)
const updates = Array.from({ length: BATCH }, () => ({ channel: 'http' }) as Update)
const outcomes = updates.map(() => ({ isReplay: false, totals: {} }) as Outcome)
tell(`count of an update, in batches of ${BATCH}`, CALLS, () => {
  for (let i = 0; i < CALLS / BATCH; i++) tallyRequests(tally, updates, outcomes)
})

const labelNames = ['kind']
const collections = new Histogram({ name: 'gc', help: 'gc', labelNames, registers: [registry] })
const cpuUs = { with: [] as number[], without: [] as number[] }
let seen = 0
for (let stretch = 0; stretch < 42; stretch++) {
  const observer = new PerformanceObserver((list) => {
    seen++
    collections.observe({ kind: 'minor' }, list.getEntries()[0]!.duration / 1000)
  })
  const isOn = stretch % 2 === 0
  if (isOn) observer.observe({ entryTypes: ['gc'] })
  const start = process.cpuUsage()
  await allocate()
  const { user, system } = process.cpuUsage(start)
  observer.disconnect()
  // The first two only warm up.
  if (stretch >= 2) cpuUs[isOn ? 'with' : 'without'].push((user + system) / TURNS)
}
const [on, off] = [median(cpuUs.with), median(cpuUs.without)]
const each = ((on - off) * TURNS * 21) / seen
console.log(`a turn of a loop that allocates: ${off.toFixed(2)} µs of CPU time, with an observer of garbage`)
console.log(`collections ${on.toFixed(2)} µs: ${each.toFixed(0)} µs for each of them`)

function tell(what: string, calls: number, work: () => void): void {
  const rounds = Array.from({ length: 5 }, () => {
    const start = process.cpuUsage()
    work()
    const { user, system } = process.cpuUsage(start)
    return ((user + system) * 1_000) / calls
  })
  console.log(`${what}: ${median(rounds).toFixed(0)} ns`)
}

/** Some 400 objects a turn, as garbage. */
async function allocate(): Promise<void> {
  for (let i = 0; i < TURNS; i++) {
    Array.from({ length: 400 }, (_, index) => ({ index, text: `x${index}` }))
    await turn()
  }
}
