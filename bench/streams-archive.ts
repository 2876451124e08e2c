/**
 * How fast raw events get from a filled log into gzip objects. 8 partitions, one machine; each run is a fresh process,
 * alternating, the order reversed each round, and each archive begins from nothing in a folder of its own. Beside it:
 *   stream, fetch   the same client library, which reads all messages of the topic in its two ways and counts bytes
 *   read            Pebbles' reader of the log, which does nothing with what it reads
 *
 *   npm run bench:streams-archive -- [--log kafka|postgres] [--events 2000000] [--rounds 5] [--format ndjson|parquet]
 *
 * Prints medians and ratios; raw values go to `bench/results/streams-archive-<log>-<format>.json`. That every event is
 * in one object is checked after each run.
 */
import { execFile } from 'node:child_process'
import { glob, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { DuckDBInstance } from '@duckdb/node-api'
import pg from 'pg'
import { kafka } from '../scripts/services/kafka.ts'
import { programsDir } from '../scripts/services/service.ts'
import { createLog } from '../server/src/platform/log.ts'
import { openDatabase } from '../server/src/platform/postgres/database.ts'
import { migrate } from '../server/src/platform/postgres/migrations.ts'
import { openKafkaLog } from '../server/src/streams/log/log-kafka.ts'
import { openPostgresLog } from '../server/src/streams/log/log-postgres.ts'
import { median, openBench } from './bench.ts'

const run = promisify(execFile)
const { values: options } = parseArgs({
  options: {
    log: { type: 'string', default: 'kafka' },
    events: { type: 'string', default: '2000000' },
    rounds: { type: 'string', default: '5' },
    format: { type: 'string', default: 'ndjson' },
  },
})
const events = Number(options.events)
const rounds = Number(options.rounds)
const { format } = options
const isKafka = options.log === 'kafka'
const PARTITIONS = 8
const POSTCODES = 5_000
const CLIENTS = 10
const BATCH = 10_000
const TOPIC = 'pageviews'
/** As `peers/streams-archive.ts` has it. */
const MAX_AGE_MS = 5_000

interface Result {
  ms: number
  cpuMs: number
  peakMiB?: number
  files?: number
  sizeBytes?: number
}

await using opened = new AsyncDisposableStack()
const dataDir = await mkdtemp(join(tmpdir(), 'pebbles-bench-kafka-'))
opened.defer(() => rm(dataDir, { recursive: true, force: true }))
const bench = opened.use(await openBench())
await migrate(bench.databaseUrl, 'up')
const brokers = isKafka ? await startBroker() : undefined
await fill()
const contenders: Record<string, () => Promise<Result>> = {
  ...(isKafka && { stream: () => readTopic('stream'), fetch: () => readTopic('fetch') }),
  read: () => measure('read'),
  archive,
}
const names = Object.keys(contenders)
const raw: Record<string, Result[]> = Object.fromEntries(names.map((name) => [name, []]))
for (let round = 0; round < rounds; round++) {
  for (const name of round % 2 === 0 ? names : names.toReversed()) {
    const result = await contenders[name]!()
    raw[name]!.push(result)
    const { ms, cpuMs, peakMiB = 0 } = result
    const each = ((1_000 * cpuMs) / events).toFixed(2)
    console.log(
      `round ${round + 1}  ${name.padEnd(8)} ${Math.round(events / (ms / 1_000))}/s   ${each} µs of CPU each, ${peakMiB} MiB`,
    )
  }
}
const perSecond = (name: string) => median(raw[name]!.map(({ ms }) => events / (ms / 1_000)))
console.log(`\n${events} events into ${format}, median of ${rounds}`)
for (const name of names) {
  const ratio = (perSecond('archive') / perSecond(name)).toFixed(2)
  console.log(`${name.padEnd(8)} ${Math.round(perSecond(name))}/s, of which the archive has ${ratio}`)
}
await writeFile(
  new URL(`results/streams-archive-${options.log}-${format}.json`, import.meta.url),
  `${JSON.stringify({ ...bench.describe(), log: isKafka ? kafka.title : 'postgres', format, events, rounds, results: raw }, null, 2)}\n`,
)

async function startBroker(): Promise<string> {
  await kafka.install(programsDir())
  const broker = opened.use(await kafka.start({ cacheDir: programsDir(), dataDir }))
  return broker.env.KAFKA_BOOTSTRAP_SERVERS!
}

async function fill(): Promise<void> {
  const sizes = { maxConnections: 1, maxLanes: 1, maxJobConnections: 1 }
  await using database = openDatabase({ url: bench.databaseUrl, ...sizes, log: console.error })
  const pool = database.streams
  await using log =
    brokers === undefined
      ? await openPostgresLog(pool, PARTITIONS)
      : await openKafkaLog({
          connection: { bootstrapBrokers: [brokers] },
          topic: TOPIC,
          partitions: PARTITIONS,
          retentionDays: 7,
          pool,
          log: createLog('warn'),
        })
  for (let sent = 0; sent < events; sent += BATCH) {
    const batch = Array.from({ length: Math.min(BATCH, events - sent) }, (_, i) => {
      const n = sent + i
      const postcode = `P${(n * 7_919) % POSTCODES}`
      const timestamp = 1_611_662_684 + Math.floor(n / 1_000)
      const event = { user_id: n, postcode, webpage: `www.website.com/${n % 997}.html`, timestamp }
      // A batch is one request, and so of one client.
      const clientKrn = `krn:bench:${(sent / BATCH) % CLIENTS}`
      return {
        clientKrn,
        stream: 'pageviews',
        key: postcode,
        timeMs: timestamp * 1_000,
        payload: JSON.stringify(event),
      }
    })
    await log.append(batch)
  }
  // The last ones do not wait for others then, whatever they are.
  await delay(MAX_AGE_MS)
}

async function measure(way: string, ...more: string[]): Promise<Result> {
  const file = fileURLToPath(new URL('peers/streams-archive.ts', import.meta.url))
  const env = { ...process.env, ...(brokers !== undefined && { BENCH_BROKERS: brokers, BENCH_TOPIC: TOPIC }) }
  const { stdout } = await run(process.execPath, [file, bench.databaseUrl, String(events), way, ...more], {
    env,
  })
  return JSON.parse(stdout) as Result
}

async function readTopic(way: string): Promise<Result> {
  const file = fileURLToPath(new URL('peers/kafka-reader.ts', import.meta.url))
  const { stdout } = await run(process.execPath, [file, brokers!, TOPIC, String(events), way, 'bytes'])
  return JSON.parse(stdout) as Result
}

/** Every event is in one object, or the time is worth nothing. */
async function archive(): Promise<Result> {
  const client = new pg.Client({ connectionString: bench.databaseUrl })
  await client.connect()
  await client.query(`DELETE FROM log_checkpoints WHERE reader_group = 'archiver'`)
  await client.query('DELETE FROM archived')
  await client.end()
  const folder = await mkdtemp(join(tmpdir(), 'pebbles-bench-archive-'))
  try {
    const result = await measure('archive', folder, format)
    const files = await Array.fromAsync(glob('raw/**/*.{gz,parquet}', { cwd: folder }))
    const sizes = await Promise.all(files.map(async (name) => (await stat(join(folder, name))).size))
    const from = format === 'parquet' ? 'read_parquet' : 'read_json_auto'
    const connection = await (await DuckDBInstance.create()).connect()
    const found = await connection.runAndReadAll(
      `SELECT count(*)::int AS rows, count(DISTINCT user_id)::int AS events, max(user_id)::int AS last
       FROM ${from}('${folder}/raw/**/*.{gz,parquet}')`.replace(
        '{gz,parquet}',
        format === 'parquet' ? 'parquet' : 'gz',
      ),
    )
    connection.closeSync()
    const [counts] = found.getRowObjectsJS()
    if (counts!.rows !== events || counts!.events !== events || counts!.last !== events - 1)
      throw new Error(`the objects do not hold each event once: ${JSON.stringify(counts)}`)
    return { ...result, files: files.length, sizeBytes: sizes.reduce((sum, size) => sum + size, 0) }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
