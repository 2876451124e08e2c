/**
 * A day of one-minute windows at 5,000 postcodes, 7,200,000 aggregates: how long do questions about it take?
 *
 *   npm run bench:streams-queries
 *
 * The last hour is as it was just written; vacuum has seen what is before. Prints medians in ms of requests one after
 * the other. Raw values go to `bench/results/streams-queries.json`.
 */
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { median, openBench } from './bench.ts'

const KEYS = 5_000
const DAY = '2026-03-01'
const SAMPLES = 30

await using bench = await openBench()
const { url } = await bench.start('../server/src/main.ts', ['serve'])
const token = await bench.token('alice@example.com')
const database = new pg.Client({ connectionString: bench.databaseUrl })
await database.connect()
const { rows } = await database.query(
  `INSERT INTO stream_scopes (client_krn, stream) VALUES ('krn:dev', 'pageviews') RETURNING id`,
)
const startedAt = performance.now()
for (let hour = 0; hour < 24; hour++) {
  if (hour === 23) await database.query('VACUUM (ANALYZE) aggregates')
  await fillHour(rows[0].id, hour)
}
const { rows: sizes } = await database.query(
  `SELECT count(*) AS rows, pg_size_pretty(pg_table_size('aggregates')) AS table,
          pg_size_pretty(pg_indexes_size('aggregates')) AS indexes FROM aggregates`,
)
console.log(`filled in ${Math.round((performance.now() - startedAt) / 1000)} s:`, sizes[0])
const raw: Record<string, number[]> = {}
await yardstick()
const day = `from=${DAY}T00:00:00&to=2026-03-02T00:00:00`
await sample(
  'a day of one postcode',
  (n) => `/api/pageviews/aggregates?postcode=P${n * 37}&limit=1440&${day}`,
  1_440,
)
await sample(
  'the same in steps of an hour',
  (n) => `/api/pageviews/aggregates?postcode=P${n * 37}&step=3600&${day}`,
  24,
)
await sample('top 10 of an hour', () => `/api/pageviews/top?from=${DAY}T11:00:00&to=${DAY}T12:00:00`, 10)
await sample(
  'top 10 of the newest hour',
  () => `/api/pageviews/top?from=${DAY}T23:00:00&to=2026-03-02T00:00:00`,
  10,
)
await sample('totals of the day, by minute', () => `/api/pageviews/totals?${day}`, 1_440)
await database.end()
const report = { ...bench.describe(), sizes: sizes[0], milliseconds: raw }
const file = fileURLToPath(new URL('./results/streams-queries.json', import.meta.url))
await writeFile(file, `${JSON.stringify(report, null, 2)}\n`)

/** As the aggregator writes: window by window, each of eight partitions by itself. */
async function fillHour(scopeId: number, hour: number): Promise<void> {
  for (let minute = hour * 60; minute < (hour + 1) * 60; minute++) {
    const start = `${DAY}T${String(hour).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}:00Z`
    await database.query(
      `INSERT INTO aggregates (scope_id, key, window_start, events, partition)
       SELECT $1, 'P' || n, $2, 1 + (n * 7 + $3) % 90, n % 8 FROM generate_series(0, $4::int - 1) n ORDER BY n % 8`,
      [scopeId, start, minute, KEYS],
    )
    await database.query(
      `INSERT INTO closings (partition, sequence, scope_id, window_start, keys, events)
       SELECT p, $3::int + 1, $1, $2, $4::int / 8, 1000 FROM generate_series(0, 7) p`,
      [scopeId, start, minute, KEYS],
    )
  }
}

/** What the machine can do at the moment: it may have other work. */
async function yardstick(): Promise<void> {
  const times: number[] = []
  for (let n = 0; n < 10; n++) {
    const before = performance.now()
    await database.query('SELECT count(*) FROM generate_series(1, 1000000)')
    times.push(performance.now() - before)
  }
  raw['yardstick: PostgreSQL counts to 1,000,000'] = times
  console.log(`PostgreSQL counts to 1,000,000 in ${median(times).toFixed(1)} ms`)
}

async function sample(name: string, path: (n: number) => string, expected: number): Promise<void> {
  const times: number[] = []
  for (let n = 0; n < SAMPLES; n++) {
    const before = performance.now()
    const response = await fetch(url + path(n), { headers: { authorization: `Bearer ${token}` } })
    const found = (await response.json()) as unknown[]
    times.push(performance.now() - before)
    if (found.length !== expected) throw new Error(`${name}: ${JSON.stringify(found).slice(0, 200)}`)
  }
  raw[name] = times
  console.log(`${name}: median ${median(times).toFixed(1)} ms, slowest ${Math.max(...times).toFixed(1)} ms`)
}
