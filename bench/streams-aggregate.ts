/**
 * How fast a filled topic becomes aggregates, each window once: page views of 5,000 postcodes in 8 partitions, one
 * minute per window, up to a minute out of order, beside a Kafka Streams application (Java, `exactly_once_v2`, the same
 * windows and grace, `suppress(untilWindowCloses)`) on the same broker. Each a fresh process with nothing in its state,
 * taking turns, the order reversed each round.
 *
 * A time runs from when a process says that it is ready, until its last aggregate can be read in its topic by who reads
 * what is committed. Of Pebbles, a process with the role `streams` and without archives, which the peer has not, it is
 * also told when the last aggregate was committed to PostgreSQL. Every aggregate of every run is compared with a plain
 * count of the events. Memory is that of the process: neither the broker's nor PostgreSQL's.
 *
 *   npm run bench:streams-aggregate -- [--events 5000000] [--minutes 40] [--rounds 3] [--heap 512m] [--semi-space 4]
 *     [--only kafka-streams,pebbles]
 *
 * Needs Java 17 and Maven. Prints medians and ratios; raw values go to `bench/results/streams-aggregate-<events>.json`.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Admin } from '@platformatic/kafka'
import pg from 'pg'
import { kafka } from '../scripts/services/kafka.ts'
import { programsDir } from '../scripts/services/service.ts'
import { type AggregatesTopic, followAggregates, nameOf } from './aggregates-topic.ts'
import { median, openBench, type Spent, spent } from './bench.ts'
import { fillTopic } from './fill-topic.ts'
import { endTimestamp } from './pageviews.ts'
import { buildKafkaStreams, startKafkaStreams } from './peers/kafka-streams.ts'

const { values: options } = parseArgs({
  options: {
    events: { type: 'string', default: '5000000' },
    minutes: { type: 'string', default: '40' },
    rounds: { type: 'string', default: '3' },
    // Of the peer; Java takes a quarter of the machine's memory by itself.
    heap: { type: 'string' },
    // Of Node in MiB, as `npm start` has it.
    'semi-space': { type: 'string', default: '4' },
    only: { type: 'string' },
  },
})
const events = Number(options.events)
const minutes = Number(options.minutes)
const rounds = Number(options.rounds)
const PARTITIONS = 8
const GRACE_S = 60
const TOPIC = 'pageviews'
const TEMPLATE = 'filled'

interface Result extends Spent {
  /** From when the process was ready. */
  ms: number
  /** What it took before that. */
  startMs: number
  /** From when it was ready until all is committed to PostgreSQL. */
  committedMs?: number
}

await using opened = new AsyncDisposableStack()
const folder = await mkdtemp(join(tmpdir(), 'pebbles-bench-aggregate-'))
opened.defer(() => rm(folder, { recursive: true, force: true }))
await buildKafkaStreams()
const bench = opened.use(await openBench())
await kafka.install(programsDir())
const broker = opened.use(await kafka.start({ cacheDir: programsDir(), dataDir: join(folder, 'kafka') }))
const brokers = broker.bootstrapServers
const admin = new Admin({ clientId: 'bench', bootstrapBrokers: [brokers] })
opened.defer(() => admin.close())

await ask(bench.databaseUrl, `CREATE DATABASE ${TEMPLATE}`)
const expected = await fill()
console.log(`${events} events in the topic, ${expected.size} aggregates`)

const contenders: Record<string, (name: string) => Promise<Result>> = {
  'kafka-streams': runPeer,
  pebbles: runPebbles,
}
const names = options.only?.split(',') ?? Object.keys(contenders)
const raw: Record<string, Result[]> = Object.fromEntries(names.map((name) => [name, []]))
const rateOf = (ms: number) => `${Math.round(events / (ms / 1_000))}/s`
for (let round = 0; round < rounds; round++) {
  for (const [place, name] of (round % 2 === 0 ? names : names.toReversed()).entries()) {
    const result = await contenders[name]!(`run_${round}_${place}`)
    raw[name]!.push(result)
    console.log(`round ${round + 1}  ${tell(name, [result])}`)
  }
}
console.log(`\n${events} events, median of ${rounds}`)
const ofPeer = raw['kafka-streams'] && median(raw['kafka-streams'].map(({ ms }) => ms))
for (const name of names) {
  const ratio = ofPeer && `${(ofPeer / median(raw[name]!.map(({ ms }) => ms))).toFixed(2)} × kafka-streams`
  console.log(`${tell(name, raw[name]!)}   ${ratio ?? ''}`)
}
const { heap, 'semi-space': semiSpaceMiB } = options
await writeFile(
  new URL(`results/streams-aggregate-${events}.json`, import.meta.url),
  `${JSON.stringify({ ...bench.describe(), kafka: kafka.title, events, minutes, aggregates: expected.size, heap, semiSpaceMiB, rounds, results: raw }, null, 2)}\n`,
)

/** Medians of some runs. */
function tell(name: string, results: readonly Result[]): string {
  const of = (value: (result: Result) => number) => median(results.map(value))
  const committed = name === 'pebbles' ? `, committed at ${rateOf(of((each) => each.committedMs!))}` : ''
  const cpuUs = ((1_000 * of(({ cpuMs }) => cpuMs)) / events).toFixed(1)
  const start = `ready after ${(of(({ startMs }) => startMs) / 1_000).toFixed(1)} s`
  return `${name.padEnd(13)} ${rateOf(of(({ ms }) => ms))}${committed}   ${cpuUs} µs of CPU each   ${of(({ peakMiB }) => peakMiB)} MiB   ${start}`
}

async function runPeer(name: string): Promise<Result> {
  const output = `${name}_out`
  await using following = await follow(output)
  const startedAt = performance.now()
  await using peer = await startKafkaStreams({
    brokers,
    applicationId: name,
    input: TOPIC,
    output,
    stateDir: join(folder, name),
    graceS: GRACE_S,
    java: options.heap ? [`-Xmx${options.heap}`] : [],
  })
  const readyAt = performance.now()
  compare(await following.complete)
  const ms = performance.now() - readyAt
  return { ms, startMs: readyAt - startedAt, ...(await spent(peer.pid)) }
}

async function runPebbles(name: string): Promise<Result> {
  // The same installation as the one that filled the topic, with nothing read yet.
  await ask(bench.databaseUrl, `CREATE DATABASE ${name} TEMPLATE ${TEMPLATE}`)
  const database = new pg.Client({ connectionString: databaseUrl(name) })
  try {
    await database.connect()
    const output = `${name}_out`
    await using following = await follow(output)
    const startedAt = performance.now()
    await using server = await bench.start('../server/src/main.ts', ['serve'], {
      ...environment(name, 'streams'),
      STREAM_AGGREGATES_TOPIC: output,
      STREAM_LATE_TOPIC: `${name}_late`,
    })
    const readyAt = performance.now()
    const [published, committedAt] = await Promise.all([following.complete, untilCommitted(database)])
    const ms = performance.now() - readyAt
    const result = { ms, committedMs: committedAt - readyAt, startMs: readyAt - startedAt }
    compare(published)
    compare(await readAggregates(database))
    return { ...result, ...(await spent(server.pid)) }
  } finally {
    await database.end()
    await ask(bench.databaseUrl, `DROP DATABASE ${name}`)
  }
}

async function fill(): Promise<Map<string, number>> {
  await using server = await bench.start('../server/src/main.ts', ['serve'], environment(TEMPLATE, 'api'))
  return await fillTopic({ url: server.url, partitions: PARTITIONS, events, minutes, graceS: GRACE_S })
}

function environment(database: string, roles: string): Record<string, string> {
  return {
    DATABASE_URL: databaseUrl(database),
    PEBBLES_ROLES: roles,
    STREAM_LOG: 'kafka',
    STREAM_TOPIC: TOPIC,
    STREAM_PARTITIONS: String(PARTITIONS),
    STREAM_GRACE_MS: String(GRACE_S * 1_000),
    ARCHIVE_FORMAT: 'off',
    KAFKA_BOOTSTRAP_SERVERS: brokers,
    NODE_OPTIONS: `--max-semi-space-size=${options['semi-space']}`,
  }
}

async function follow(topic: string): Promise<AggregatesTopic> {
  await admin.createTopics({ topics: [topic], partitions: PARTITIONS, replicas: 1 })
  return followAggregates(brokers, topic, expected)
}

/** The last windows, which close by the clock, aside. */
async function untilCommitted(database: pg.Client): Promise<number> {
  const text = `SELECT coalesce(sum(events), 0)::float8 AS events FROM closings WHERE window_start < $1`
  const before = new Date((endTimestamp(minutes, GRACE_S) - 60) * 1_000)
  for (;;) {
    const { rows } = await database.query(text, [before])
    if (rows[0].events >= events) return performance.now()
    await delay(20)
  }
}

async function readAggregates(database: pg.Client): Promise<Map<string, number>> {
  const { rows } = await database.query<{ key: string; start: Date; events: string }>(
    'SELECT key, window_start AS start, events FROM aggregates',
  )
  return new Map(
    rows.map(({ key, start, events }) => [nameOf(key, start.toISOString().slice(0, 19)), Number(events)]),
  )
}

/** Every aggregate, or the time is worth nothing. The last windows, which close by the clock, may be there or not. */
function compare(found: ReadonlyMap<string, number>): void {
  for (const [name, count] of expected)
    if (found.get(name) !== count) throw new Error(`${name}: ${count} events, ${found.get(name)} counted`)
}

function databaseUrl(name: string): string {
  const url = new URL(bench.databaseUrl)
  url.pathname = name
  return url.href
}

async function ask(connectionString: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  try {
    await client.query(text)
  } finally {
    await client.end()
  }
}
