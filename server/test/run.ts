/**
 * `npm test`: starts one PostgreSQL for all test files, and one of each other server that some of them need, runs
 * them (or those named as arguments), and stops what it started.
 * Each test file clones the migrated template database, so files run side by side without seeing each other.
 */
import { globSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import pg from 'pg'
import { startEmbeddedPostgres } from '../src/platform/postgres/embedded.ts'
import { migrate } from '../src/platform/postgres/migrations.ts'
import { installBoss } from '../src/platform/postgres/pg-boss.ts'
import { TEMPLATE_DATABASE } from './helpers/database.ts'
import { makeFolder } from './helpers/folder.ts'
import { startSharedServices } from './helpers/shared-services.ts'

const CONCURRENCY = 4
/** Longer than any file takes. */
const SILENCE_MS = 10 * 60_000
/** The files that take longest, as a run prints at its end, go first: begun last, one of them would run alone. */
const FIRST = [
  'server/test/progress/from-sqs-outages.test.ts',
  'server/test/jobs/control-races.test.ts',
  'web/test/browser/access.test.ts',
  'server/test/progress/exactness.test.ts',
]

const asked = process.argv.slice(2)
const others = globSync('{server,client,web}/test/**/*.test.ts', { exclude: FIRST }).sort()
const files = asked.length > 0 ? asked : [...FIRST, ...others]

await using opened = new AsyncDisposableStack()
// Any other server from PostgreSQL 15 on, where the role may create databases: TEST_POSTGRES_URL=postgres://…
const serverUrl = process.env.TEST_POSTGRES_URL ?? (await startServer())
const [services] = await Promise.all([startSharedServices(files, opened), createTemplate(serverUrl)])

const forNode = {
  // Every test file, and every server that one starts, loads the same modules: without it, twice as slowly.
  NODE_COMPILE_CACHE: join(tmpdir(), 'pebbles-test-compiled'),
  // As many threads as there are cores to spare. By itself each of them has four, which take as much as they save.
  NODE_OPTIONS: '--v8-pool-size=0',
}
Object.assign(process.env, { ...forNode, ...process.env, TEST_DATABASE_URL: serverUrl, ...services })

const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort())
// A test that hangs fails after its time, but a file with something that still runs in it is waited for without end.
// (`forceExit` would end it, and loses what files have to report.)
const limit = setTimeout(() => {
  console.error(`Nothing was heard of the tests for ${SILENCE_MS / 60_000} minutes; they are stopped.`)
  stop.abort()
}, SILENCE_MS)
// Not `node --test`, which takes files in the order of their names.
const tests = run({ files, concurrency: CONCURRENCY, timeout: 240_000, signal: stop.signal })
const tookMs = new Map<string, number>()
tests.on('test:summary', ({ file, success, duration_ms }) => {
  limit.refresh()
  if (file) tookMs.set(relative('.', file), duration_ms)
  if (!success) process.exitCode = 1
})
await pipeline(tests, new spec(), process.stdout, { end: false })
clearTimeout(limit)
const longest = [...tookMs].sort(([, a], [, b]) => b - a).slice(0, 20)
console.log(
  `Longest files, in seconds: ${longest.map(([file, ms]) => `${file} ${Math.round(ms / 1000)}`).join(', ')}`,
)

async function startServer(): Promise<string> {
  const dataDir = await makeFolder()
  opened.defer(() => rm(dataDir, { recursive: true, force: true }))
  // Tests kill processes, not the machine: what the kernel was given is safe.
  const settings = { fsync: 'off', full_page_writes: 'off', max_connections: '300' }
  return opened.use(await startEmbeddedPostgres({ dataDir, settings })).url
}

async function createTemplate(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(`DROP DATABASE IF EXISTS ${TEMPLATE_DATABASE}`)
  await client.query(`CREATE DATABASE ${TEMPLATE_DATABASE}`)
  await client.end()
  const template = new URL(url)
  template.pathname = TEMPLATE_DATABASE
  await migrate(template.href, 'up')
  await installBoss(template.href)
}
