/**
 * How fast Pebbles counts a filled Kafka topic: 12 partitions, durable commits, one process, beside the same client
 * library that only reads the same messages and parses them (`peers/kafka-reader.ts`, in two ways). All on one machine
 * and one broker, each a fresh process, alternating, the order reversed each round. Pebbles has a fresh database and
 * group each time; its time runs from the assignment of its partitions until everything is committed.
 *
 *   npm run bench:ledger-kafka -- [--updates 1000000] [--records 1000] [--rounds 5] [--semi-space 4]
 *
 * Prints medians and ratios; raw values go to `bench/results/ledger-kafka-<records>.json`.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { Admin, Consumer, ProduceAcks, Producer } from '@platformatic/kafka'
import pg from 'pg'
import { kafka } from '../scripts/services/kafka.ts'
import { programsDir } from '../scripts/services/service.ts'
import { median, openBench, spent } from './bench.ts'

const run = promisify(execFile)
const { values: options } = parseArgs({
  options: {
    updates: { type: 'string', default: '1000000' },
    records: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '5' },
    /** MiB; as `npm start` has it. */
    'semi-space': { type: 'string', default: '4' },
  },
})
const updates = Number(options.updates)
const records = Number(options.records)
const rounds = Number(options.rounds)
const semiSpaceMiB = Number(options['semi-space'])
const PARTITIONS = 12
const CLIENTS = 10
const TOPIC = 'progress-updates'
const DONE = 10

await using opened = new AsyncDisposableStack()
const folder = await mkdtemp(join(tmpdir(), 'pebbles-bench-kafka-'))
opened.defer(() => rm(folder, { recursive: true, force: true }))
const bench = opened.use(await openBench())
await kafka.install(programsDir())
const broker = opened.use(await kafka.start({ cacheDir: programsDir(), dataDir: folder }))
const brokers = broker.env.KAFKA_BOOTSTRAP_SERVERS!
await fill()

interface Result {
  ms: number
  /** Milliseconds of CPU that the process took in all, its start included. */
  cpuMs: number
  peakMiB?: number
}

const contenders: Record<string, (round: number) => Promise<Result>> = {
  fetch: () => readBare('fetch'),
  stream: () => readBare('stream'),
  pebbles: count,
}
const names = Object.keys(contenders)
const raw: Record<string, Result[]> = Object.fromEntries(names.map((name) => [name, []]))
for (let round = 0; round < rounds; round++) {
  for (const name of round % 2 === 0 ? names : names.toReversed()) {
    const result = await contenders[name]!(round)
    raw[name]!.push(result)
    const { ms, cpuMs } = result
    const rate = Math.round(updates / (ms / 1_000))
    console.log(
      `round ${round + 1}  ${name.padEnd(8)} ${rate}/s   ${((1_000 * cpuMs) / updates).toFixed(1)} µs of CPU each`,
    )
  }
}
console.log(`\n${updates} updates over ${records} records, median of ${rounds}`)
const perSecond = (name: string) => median(raw[name]!.map(({ ms }) => updates / (ms / 1_000)))
for (const name of names) {
  const ratios = ['fetch', 'stream'].map(
    (peer) => `${(perSecond(name) / perSecond(peer)).toFixed(2)} × ${peer}`,
  )
  console.log(
    `${name.padEnd(8)} ${Math.round(perSecond(name)).toString().padStart(8)}/s   ${ratios.join('   ')}`,
  )
}
await writeFile(
  new URL(`results/ledger-kafka-${records}.json`, import.meta.url),
  `${JSON.stringify({ ...bench.describe(), kafka: kafka.title, updates, records, rounds, semiSpaceMiB, results: raw }, null, 2)}\n`,
)

/** Fills the topic: each file's updates in one partition, as producers with a key would. */
async function fill(): Promise<void> {
  const base = { clientId: 'bench', bootstrapBrokers: [brokers] }
  const admin = new Admin(base)
  await admin.createTopics({ topics: [TOPIC], partitions: PARTITIONS, replicas: 1 })
  await admin.close()
  // Or what it tries again would be in the topic twice.
  const producer = new Producer({ ...base, idempotent: true, retries: 10, retryDelay: 200 })
  for (let sent = 0; sent < updates; sent += 10_000) {
    const messages = Array.from({ length: Math.min(10_000, updates - sent) }, (_, n) => {
      const file = (sent + n) % records
      const value = JSON.stringify({
        clientKrn: `krn:bench:${file % CLIENTS}`,
        email: 'alice@example.com',
        filename: `file-${file}.csv`,
        counts: { done: DONE, warn: 1, failed: 0 },
        total: 2_000,
      })
      return { topic: TOPIC, partition: file % PARTITIONS, value: Buffer.from(value) }
    })
    await producer.send({ acks: ProduceAcks.ALL, messages })
  }
  await producer.close()
  const consumer = new Consumer({ ...base, groupId: 'bench' })
  const ends = (await consumer.listOffsets({ topics: [TOPIC] })).get(TOPIC)!
  await consumer.close()
  const filled = Number(ends.reduce((sum, end) => sum + end, 0n))
  if (filled !== updates) throw new Error(`the topic has ${filled} messages, not ${updates}`)
}

async function readBare(way: string): Promise<Result> {
  const file = fileURLToPath(new URL('peers/kafka-reader.ts', import.meta.url))
  const { stdout } = await run(process.execPath, [file, brokers, TOPIC, String(updates), way])
  return JSON.parse(stdout) as Result
}

/** Every update is counted, or the time is worth nothing. */
async function count(round: number): Promise<Result> {
  const name = `round_${round}`
  await ask(bench.databaseUrl, `CREATE DATABASE ${name}`)
  const url = new URL(bench.databaseUrl)
  url.pathname = name
  const server = spawn(
    process.execPath,
    [fileURLToPath(new URL('../server/src/main.ts', import.meta.url)), 'serve'],
    {
      env: {
        ...process.env,
        DATABASE_URL: url.href,
        PEBBLES_DATA: join(folder, name),
        PEBBLES_ROLES: 'consumers',
        PORT: '0',
        LOG_LEVEL: 'info',
        KAFKA_ENABLED: 'true',
        KAFKA_BOOTSTRAP_SERVERS: brokers,
        KAFKA_TOPIC_NAME: TOPIC,
        KAFKA_GROUP_ID: name,
        NODE_OPTIONS: `--max-semi-space-size=${semiSpaceMiB}`,
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  try {
    const lines = createInterface({ input: server.stdout })
    const start = await new Promise<number>((resolve, reject) => {
      lines.on('line', (line) => {
        if (line.includes('partitions assigned')) resolve(performance.now())
      })
      lines.on('close', () => reject(new Error('Pebbles ended')))
    })
    const client = new pg.Client({ connectionString: url.href })
    await client.connect()
    try {
      for (;;) {
        const { rows } = await client.query('SELECT sum(next_offset)::float8 AS n FROM log_positions')
        if (rows[0].n >= updates) break
        await delay(20)
      }
      const ms = performance.now() - start
      const { rows } = await client.query('SELECT sum(done)::float8 AS done, count(*)::int AS n FROM records')
      if (rows[0].done !== DONE * updates || rows[0].n !== Math.min(records, updates))
        throw new Error(`expected ${DONE * updates} of ${records} records, got ${JSON.stringify(rows[0])}`)
      return { ms, ...(await spent(server.pid!)) }
    } finally {
      await client.end()
    }
  } finally {
    server.kill('SIGTERM')
    if (server.exitCode === null) await once(server, 'exit')
    // Not by force, which autovacuum, a superuser's, would refuse; it makes way by itself.
    await ask(bench.databaseUrl, `DROP DATABASE ${name}`)
  }
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
