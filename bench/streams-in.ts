/**
 * How fast events are taken in, each durable before its 202, on the embedded log and on Kafka (one broker, acks=all),
 * beside
 *   (a) `peers/bare-events.ts`     Fastify that only parses the same bodies
 *   (b) `peers/kafka-producer.ts`  the bare producer of the same client library, with the same events and batches
 * all on one machine, taking turns, the order reversed each round. Single events by 64 and by 256 connections; batches of 1,000 by
 * 8 connections, as a JSON array and as NDJSON, and by as many sends at a time of the producer.
 *
 *   npm run bench:streams-in -- [--rounds 5] [--seconds 4] [--batch 1000] [--logs embedded,kafka]
 *     [--only single|batches] [--semi-space 4]
 *
 * Prints medians and ratios; raw values go to `bench/results/streams-in.json`, of one kind only or with another young
 * generation to a file that is named so.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { Admin } from '@platformatic/kafka'
import autocannon from 'autocannon'
import pg from 'pg'
import { kafka } from '../scripts/services/kafka.ts'
import { programsDir } from '../scripts/services/service.ts'
import { median, openBench, spent } from './bench.ts'
import { pageviews } from './pageviews.ts'

const run = promisify(execFile)
const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    batch: { type: 'string', default: '1000' },
    logs: { type: 'string', default: 'embedded,kafka' },
    only: { type: 'string', default: '' },
    // As `npm start` has it.
    'semi-space': { type: 'string', default: '4' },
  },
})
const rounds = Number(options.rounds)
const seconds = Number(options.seconds)
const size = Number(options.batch)
const BATCH_CONNECTIONS = 8
const PARTITIONS = 8
const PRODUCED = 'produced'

let brokers = ''

await using opened = new AsyncDisposableStack()
const folder = await mkdtemp(join(tmpdir(), 'pebbles-bench-streams-'))
opened.defer(() => rm(folder, { recursive: true, force: true }))
const bench = opened.use(await openBench())
const token = await bench.token('alice@example.com')
const servers: Record<string, { url: string; pid: number }> = {
  bare: await bench.start('./peers/bare-events.ts'),
}
for (const log of options.logs.split(',')) servers[log] = await startPebbles(log)

interface Result {
  perSecond: number
  /** Of the server, or of the producer, in microseconds for each event. */
  cpuUs: number
}

const single = requests('/api/pageviews', 'application/json', (n) => JSON.stringify(pageviews(1, n)[0]), 100)
const json = requests(
  '/api/pageviews/batch',
  'application/json',
  (n) => JSON.stringify(pageviews(size, n)),
  8,
)
const ndjson = requests(
  '/api/pageviews/batch',
  'application/x-ndjson',
  (n) =>
    pageviews(size, n)
      .map((event) => JSON.stringify(event))
      .join('\n'),
  8,
)
const kinds = {
  'single events': { bodies: single, connections: 64, events: 1 },
  'single events, many connections': { bodies: single, connections: 256, events: 1 },
  'batches, JSON': { bodies: json, connections: BATCH_CONNECTIONS, events: size },
  'batches, NDJSON': { bodies: ndjson, connections: BATCH_CONNECTIONS, events: size },
}

const raw: Record<string, Record<string, Result[]>> = {}
for (const [kind, { bodies, connections, events }] of Object.entries(kinds)) {
  if (!kind.startsWith(options.only)) continue
  const contenders: Record<string, (seconds: number) => Promise<Result>> = {}
  for (const [name, server] of Object.entries(servers))
    contenders[name] = (seconds) => measure(server, bodies, connections, events, seconds)
  if (events > 1 && servers.kafka) contenders.producer = produce
  const names = Object.keys(contenders)
  const results: Record<string, Result[]> = Object.fromEntries(names.map((name) => [name, []]))
  raw[kind] = results
  for (const name of names) await contenders[name]!(2)
  for (let round = 0; round < rounds; round++)
    for (const name of round % 2 === 0 ? names : names.toReversed())
      results[name]!.push(await contenders[name]!(seconds))
  console.log(`\n${kind}, ${connections} connections, median of ${rounds} × ${seconds} s`)
  const perSecond = (name: string) => median(results[name]!.map((result) => result.perSecond))
  for (const name of names) {
    const us = median(results[name]!.map(({ cpuUs }) => cpuUs)).toFixed(1)
    const peers = ['bare', 'producer'].filter((peer) => peer in contenders && peer !== name)
    const ratios = peers.map((peer) => `${(perSecond(name) / perSecond(peer)).toFixed(2)} × ${peer}`)
    const rate = Math.round(perSecond(name)).toString().padStart(8)
    console.log(`${name.padEnd(10)} ${rate} events/s   ${us} µs of CPU each   ${ratios.join('   ')}`)
  }
}
const report = {
  ...bench.describe(),
  kafka: kafka.title,
  rounds,
  seconds,
  batch: size,
  semiSpaceMiB: Number(options['semi-space']),
  results: raw,
}
const name = [
  'streams-in',
  options.only,
  options['semi-space'] === '4' ? '' : `semi-space-${options['semi-space']}`,
]
const file = `results/${name.filter(Boolean).join('-')}.json`
await writeFile(fileURLToPath(new URL(file, import.meta.url)), `${JSON.stringify(report, null, 2)}\n`)

/** A process that only takes in, on a database of its own. */
async function startPebbles(log: string): Promise<{ url: string; pid: number }> {
  const url = new URL(bench.databaseUrl)
  url.pathname = `log_${log}`
  const client = new pg.Client({ connectionString: bench.databaseUrl })
  await client.connect()
  await client.query(`CREATE DATABASE log_${log}`)
  await client.end()
  const env = {
    DATABASE_URL: url.href,
    NODE_OPTIONS: `--max-semi-space-size=${options['semi-space']}`,
  }
  const start = (more: Record<string, string>) =>
    bench.start('../server/src/main.ts', ['serve'], { ...env, ...more })
  if (log !== 'kafka') return start({})
  brokers = await startBroker()
  return start({ STREAM_LOG: 'kafka', KAFKA_BOOTSTRAP_SERVERS: brokers })
}

async function startBroker(): Promise<string> {
  await kafka.install(programsDir())
  // Minutes of benchmarks would fill a disk.
  const settings = {
    'log.retention.bytes': String(64 << 20),
    'log.segment.bytes': String(16 << 20),
    'log.retention.check.interval.ms': '5000',
  }
  const broker = opened.use(await kafka.start({ cacheDir: programsDir(), dataDir: folder, settings }))
  const { bootstrapServers } = broker
  const admin = new Admin({ clientId: 'bench', bootstrapBrokers: [bootstrapServers] })
  await admin.createTopics({ topics: [PRODUCED], partitions: PARTITIONS, replicas: 1 })
  await admin.close()
  return bootstrapServers
}

function requests(path: string, type: string, bodyOf: (n: number) => string, count: number) {
  return Array.from({ length: count }, (_, n) => ({
    method: 'POST' as const,
    path,
    headers: { 'content-type': type, authorization: `Bearer ${token}` },
    body: bodyOf(n),
  }))
}

async function measure(
  { url, pid }: { url: string; pid: number },
  bodies: autocannon.Request[],
  connections: number,
  events: number,
  duration: number,
): Promise<Result> {
  const before = await spent(pid)
  const result = await autocannon({ url, connections, duration, requests: bodies })
  const { cpuMs } = await spent(pid)
  if (result.non2xx + result.errors > 0)
    throw new Error(`${result.non2xx} answers were not 2xx, ${result.errors} requests failed: no figure`)
  const taken = result['2xx'] * events
  return { perSecond: taken / result.duration, cpuUs: (1_000 * (cpuMs - before.cpuMs)) / taken }
}

async function produce(seconds: number): Promise<Result> {
  const file = fileURLToPath(new URL('peers/kafka-producer.ts', import.meta.url))
  const args = [brokers, PRODUCED, PARTITIONS, size, BATCH_CONNECTIONS, seconds].map(String)
  const { stdout } = await run(process.execPath, [file, ...args])
  const { events, ms, cpuMs } = JSON.parse(stdout) as { events: number; ms: number; cpuMs: number }
  return { perSecond: events / (ms / 1_000), cpuUs: (1_000 * cpuMs) / events }
}
