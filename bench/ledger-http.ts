/**
 * How fast single updates are counted over HTTP: verified JWT, durable commit, 64 and 256 connections, beside
 *   (a) `peers/bare.ts`    Fastify that only parses and answers the same body
 *   (b) `peers/upsert.ts`  one INSERT … ON CONFLICT DO UPDATE per request through a pool
 * all on one machine and one PostgreSQL, alternating, the order reversed each round. The ledger runs once with an
 * `Idempotency-Key` on every request and once without.
 *
 *   npm run bench:ledger-http -- [--rounds 5] [--seconds 4]
 *
 * Prints medians and ratios; raw values go to `bench/results/ledger-http.json`.
 */
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import autocannon from 'autocannon'
import { median, openBench } from './bench.ts'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '4' } },
})
const rounds = Number(values.rounds)
const seconds = Number(values.seconds)
const CONNECTIONS = [64, 256]
const CLIENTS = 10
const FILES = 1_000

await using bench = await openBench()
const token = await bench.token('alice@example.com')
const servers = {
  bare: (await bench.start('./peers/bare.ts')).url,
  upsert: (await bench.start('./peers/upsert.ts')).url,
  pebbles: (await bench.start('../server/src/main.ts', ['serve'])).url,
}
const contenders = {
  bare: { url: servers.bare, keyed: false },
  upsert: { url: servers.upsert, keyed: false },
  pebbles: { url: servers.pebbles, keyed: false },
  'pebbles, keyed': { url: servers.pebbles, keyed: true },
}
type Name = keyof typeof contenders
const names = Object.keys(contenders) as Name[]

/** Answered requests per second, by connections and contender, one value per round. */
const raw: Record<string, Record<string, number[]>> = {}
for (const connections of CONNECTIONS) {
  const series: Record<string, number[]> = Object.fromEntries(names.map((name) => [name, []]))
  raw[connections] = series
  for (const name of names) await measure(contenders[name], connections, 2)
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? names : names.toReversed()
    for (const name of order) series[name]!.push(await measure(contenders[name], connections, seconds))
  }
  const medians = Object.fromEntries(names.map((name) => [name, median(series[name]!)])) as Record<
    Name,
    number
  >
  console.log(`\n${connections} connections, median of ${rounds} × ${seconds} s`)
  for (const name of names) {
    const perSecond = Math.round(medians[name]).toString().padStart(8)
    const toBare = (medians[name] / medians.bare).toFixed(2)
    const toUpsert = (medians[name] / medians.upsert).toFixed(2)
    console.log(`${name.padEnd(16)} ${perSecond}/s   ${toBare} × bare   ${toUpsert} × upsert`)
  }
}
const report = { ...bench.describe(), rounds, seconds, requestsPerSecond: raw }
const file = fileURLToPath(new URL('./results/ledger-http.json', import.meta.url))
await writeFile(file, `${JSON.stringify(report, null, 2)}\n`)

async function measure(contender: { url: string; keyed: boolean }, connections: number, duration: number) {
  let sent = 0
  const run = autocannon({
    url: contender.url,
    connections,
    duration,
    requests: [
      {
        method: 'POST',
        setupRequest: (request) => {
          const file = sent++ % FILES
          return {
            ...request,
            path: `/clients/krn:bench:${file % CLIENTS}/progress`,
            headers: {
              'content-type': 'application/json',
              authorization: `Bearer ${token}`,
              ...(contender.keyed && { 'idempotency-key': `${process.hrtime.bigint()}` }),
            },
            body: `{"filename":"file-${file}.csv","counts":{"done":10,"warn":1,"failed":0},"total":2000}`,
          }
        },
      },
    ],
  })
  const result = await run
  if (result.non2xx + result.errors > 0) {
    throw new Error(`${result.non2xx} answers were not 2xx, ${result.errors} requests failed: no figure`)
  }
  return result['2xx'] / result.duration
}
