/**
 * One window with three million postcodes: what does it take with little memory for open windows, beside enough?
 *
 *   npm run bench:streams-parked -- [--keys 3000000] [--rounds 2] [--archive]
 *
 * Each run fills the log with a later window, and then starts a process that only aggregates, or archives as well.
 * Prints the seconds from its start to the last aggregate, its highest resident memory (with `--archive` until all is in
 * objects) and the keys that it parked. Raw values go to `bench/results/streams-parked.json`, or
 * `streams-parked-archive.json`.
 */
import { writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { median, openBench, spent } from './bench.ts'

const { values } = parseArgs({
  options: {
    keys: { type: 'string', default: '3000000' },
    rounds: { type: 'string', default: '2' },
    archive: { type: 'boolean', default: false },
  },
})
const keys = Number(values.keys)
const LITTLE_AND_ENOUGH_MIB = [16, 512]
const MiB = 1024 * 1024
const BATCH = 10_000

interface Run {
  seconds: number
  peakMiB: number
  parked: number
}

await using bench = await openBench()
const intake = await bench.start('../server/src/main.ts', ['serve'], { RATE_LIMIT: '0' })
const headers = {
  authorization: `Bearer ${await bench.token('alice@example.com')}`,
  'content-type': 'application/json',
}
let minute = 1_700_000_040
const raw = new Map<number, Run[]>(LITTLE_AND_ENOUGH_MIB.map((openMiB) => [openMiB, []]))
for (let round = 0; round < Number(values.rounds); round++)
  for (const openMiB of round % 2 === 0 ? LITTLE_AND_ENOUGH_MIB : LITTLE_AND_ENOUGH_MIB.toReversed()) {
    const run = await aggregate(openMiB)
    raw.get(openMiB)!.push(run)
    console.log(`STREAM_MAX_OPEN_BYTES ${openMiB} MiB:`, run)
  }
for (const [openMiB, runs] of raw)
  console.log(
    `median ${openMiB} MiB:`,
    median(runs.map(({ seconds }) => seconds)),
    's',
    median(runs.map(({ peakMiB }) => peakMiB)),
    'MiB',
  )
const file = fileURLToPath(
  new URL(`./results/streams-parked${values.archive ? '-archive' : ''}.json`, import.meta.url),
)
const runs = Object.fromEntries(raw)
await writeFile(file, `${JSON.stringify({ ...bench.describe(), keys, runs }, null, 2)}\n`)

async function aggregate(openMiB: number): Promise<Run> {
  minute += 86_400
  for (let from = 0; from < keys; from += BATCH) await send(from, Math.min(keys, from + BATCH), minute)
  // Closes what was before in each partition.
  await send(0, 1_000, minute + 3_600)
  const startedAt = performance.now()
  await using aggregator = await bench.start('../server/src/main.ts', ['serve'], {
    PEBBLES_ROLES: 'streams',
    ARCHIVE_FORMAT: values.archive ? 'ndjson' : 'off',
    STREAM_MAX_OPEN_BYTES: String(openMiB * MiB),
  })
  for (let counted = 0; counted < keys; await sleep(200)) {
    const range = `from=${minute}&to=${minute + 60}`
    const response = await fetch(`${intake.url}/api/pageviews/totals?${range}`, { headers })
    const [total] = (await response.json()) as { pageview_count: number }[]
    counted = total?.pageview_count ?? 0
  }
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10
  if (values.archive) while (!(await isArchived())) await sleep(200)
  const { peakMiB } = await spent(aggregator.pid)
  const metrics = await (await fetch(`${aggregator.url}/metrics`)).text()
  const parked = Number(/^pebbles_stream_keys_parked_total (\d+)/m.exec(metrics)![1])
  return { seconds, peakMiB, parked }
}

async function isArchived(): Promise<boolean> {
  const client = new pg.Client({ connectionString: bench.databaseUrl })
  await client.connect()
  const { rows } = await client.query(
    `SELECT (SELECT sum(counted + open) FROM scope_progress) = sum(archived_rows) FILTER (WHERE kind = 'raw')
        AND (SELECT sum(keys) FROM closings) = sum(archived_rows) FILTER (WHERE kind = 'aggregates') AS archived
     FROM archived`,
  )
  await client.end()
  return rows[0].archived === true
}

async function send(from: number, to: number, timestamp: number): Promise<void> {
  const events = Array.from({ length: to - from }, (_, n) => ({
    user_id: 1,
    postcode: `P${from + n}`,
    webpage: '/',
    timestamp,
  }))
  const body = JSON.stringify(events)
  const response = await fetch(`${intake.url}/api/pageviews/batch`, { method: 'POST', headers, body })
  if (response.status !== 202) throw new Error(`${response.status} ${await response.text()}`)
}
