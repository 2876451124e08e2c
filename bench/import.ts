/**
 * A file of customers, from the first byte uploaded until the job is `completed`, beside (a) `psql \copy` of the rows
 * that are valid into an identical, empty table and (b) the design of the source. All three on one PostgreSQL, taking
 * turns. Then one more import while `/health` and the ledger of the same process are asked.
 *
 *   npm run bench:import -- [--rows 1000000] [--rounds 5] [--without-source] [--source-errors end|each] [--without-latency]
 *
 * Needs `psql` and `curl`.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import pg from 'pg'
import { median, openBench } from './bench.ts'
import { writeCustomers } from './import-file.ts'

const run = promisify(execFile)
const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '5' },
    'source-errors': { type: 'string', default: 'end' },
    'without-source': { type: 'boolean', default: false },
    'without-latency': { type: 'boolean', default: false },
  },
})
const rows = Number(options.rows)
const rounds = Number(options.rounds)

const COLUMNS = '(id, job_id, client_krn, row_number, name, email, phone, company)'

await using opened = new AsyncDisposableStack()
const folder = await mkdtemp(join(tmpdir(), 'pebbles-bench-import-'))
opened.defer(() => rm(folder, { recursive: true, force: true }))
const file = join(folder, 'customers.csv')
const validRows = join(folder, 'valid.tsv')
const counts = await writeCustomers(file, rows)
const bench = opened.use(await openBench())
const server = await bench.start('../server/src/main.ts', ['serve'], {
  PEBBLES_ROLES: 'api,imports',
  // As `npm start` has it.
  NODE_OPTIONS: '--max-semi-space-size=4',
})
const pool = new pg.Pool({ connectionString: bench.databaseUrl, max: 3 })
opened.defer(() => pool.end())

interface Result {
  seconds: number
  peakMiB?: number
}

async function emptyTables(): Promise<void> {
  await pool.query('TRUNCATE customers, jobs, job_rejects, records, issues, event_rows CASCADE')
  await pool.query('DROP TABLE IF EXISTS peer')
  await pool.query('CREATE TABLE peer (LIKE customers INCLUDING ALL)')
  await pool.query('VACUUM')
}

async function timed(work: () => Promise<unknown>): Promise<Result> {
  await emptyTables()
  // What the run before left to be written is not this one's to pay for.
  await delay(1_000)
  const start = performance.now()
  await work()
  return { seconds: (performance.now() - start) / 1_000 }
}

async function upload(): Promise<string> {
  const { stdout } = await run('curl', ['-s', '-F', `file=@${file}`, `${server.url}/api/jobs/upload`])
  return (JSON.parse(stdout) as { jobId: string }).jobId
}

interface Job {
  status: string
  error: string | null
  successCount: number
  failedCount: number
}

async function waitForEnd(jobId: string): Promise<Job> {
  for (;;) {
    const { rows: found } = await pool.query<{ status: string }>('SELECT status FROM jobs WHERE id = $1', [
      jobId,
    ])
    if (found[0]?.status === 'completed' || found[0]?.status === 'failed') break
    await delay(20)
  }
  return (await (await fetch(`${server.url}/api/jobs/${jobId}`)).json()) as Job
}

/** Every row is accounted for, or the time is worth nothing. */
async function importOnce(): Promise<void> {
  const job = await waitForEnd(await upload())
  const expected = { success: counts.valid, failed: counts.invalid + counts.duplicate }
  if (
    job.status !== 'completed' ||
    job.successCount !== expected.success ||
    job.failedCount !== expected.failed
  ) {
    throw new Error(
      `expected ${JSON.stringify(expected)}, got ${JSON.stringify({ ...job, errors: undefined })}`,
    )
  }
  const { rows: stored } = await pool.query('SELECT count(*)::int AS n FROM customers')
  if (stored[0].n !== counts.valid) throw new Error(`${stored[0].n} rows are stored`)
}

async function peakMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Math.round(Number(/VmHWM:\s+(\d+) kB/.exec(status)![1]) / 1024)
}

const psql = (command: string) => run('psql', ['-q', '-d', bench.databaseUrl, '-c', command])

const CONTENDERS: Record<string, () => Promise<Result>> = {
  pebbles: () => timed(importOnce),
  copy: () => timed(() => psql(`\\copy peer ${COLUMNS} from '${validRows}'`)),
  source: () =>
    timed(() =>
      run(process.execPath, [
        fileURLToPath(new URL('peers/source-import.ts', import.meta.url)),
        bench.databaseUrl,
        file,
        'peer',
        options['source-errors'],
      ]),
    ),
}
if (options['without-source']) delete CONTENDERS.source

// Warm, and the rows that (a) is given: those of the file that are valid, as they are stored, in their order.
await timed(importOnce)
await psql(`\\copy (SELECT ${COLUMNS.slice(1, -1)} FROM customers ORDER BY row_number) to '${validRows}'`)

const results: Record<string, Result[]> = Object.fromEntries(
  Object.keys(CONTENDERS).map((name) => [name, []]),
)
for (let round = 0; round < rounds; round++) {
  const names = Object.keys(CONTENDERS)
  for (const name of round % 2 === 0 ? names : names.reverse()) {
    const result = await CONTENDERS[name]!()
    if (name === 'pebbles') result.peakMiB = await peakMiB(server.pid)
    results[name]!.push(result)
    console.log(`round ${round + 1}  ${name.padEnd(8)} ${result.seconds.toFixed(2)} s`)
  }
}
const seconds = (name: string) => median(results[name]!.map((result) => result.seconds))
console.log(`\nmedian of ${rounds}, ${rows} rows`)
for (const name of Object.keys(CONTENDERS)) {
  const ratio = seconds('pebbles') / seconds(name)
  console.log(`${name.padEnd(8)} ${seconds(name).toFixed(2)} s   pebbles takes ${ratio.toFixed(2)} × of it`)
}
console.log(`peak memory of the process: ${await peakMiB(server.pid)} MiB`)
const latency = options['without-latency'] ? undefined : await measureLatency()
if (latency) console.log(`while importing: ${JSON.stringify(latency)}`)
await writeFile(
  new URL(`results/import-${rows}.json`, import.meta.url),
  `${JSON.stringify({ ...bench.describe(), rows, counts, results, peakMiB: await peakMiB(server.pid), latency }, null, 2)}\n`,
)

/** Milliseconds that a caller waits, asking again and again while an import runs. */
async function measureLatency() {
  await emptyTables()
  const token = await bench.token('bench@example.com')
  const jobId = await upload()
  let isRunning = true
  const ended = waitForEnd(jobId).then(() => {
    isRunning = false
  })
  const ask = async (request: () => Promise<Response>) => {
    const waits: number[] = []
    while (isRunning) {
      const start = performance.now()
      const response = await request()
      await response.arrayBuffer()
      if (!response.ok) throw new Error(`answered ${response.status}`)
      waits.push(performance.now() - start)
      await delay(10)
    }
    return summary(waits)
  }
  const body = JSON.stringify({ filename: 'latency.csv', counts: { done: 1, warn: 0, failed: 0 } })
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const [health, update] = await Promise.all([
    ask(() => fetch(`${server.url}/health`)),
    ask(() => fetch(`${server.url}/clients/krn:bench/progress`, { method: 'POST', headers, body })),
    ended,
  ])
  return { health, update }
}

function summary(waits: number[]) {
  const sorted = [...waits].sort((a, b) => a - b)
  const at = (share: number) =>
    Number(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!.toFixed(1))
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) }
}
