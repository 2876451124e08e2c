/**
 * `npm test`: starts one PostgreSQL for all test files, and one of each other server that some of them need, runs
 * them (or those named as arguments), and stops what it started.
 * Each test file clones the migrated template database, so files run side by side without seeing each other.
 */
import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { startEmbeddedPostgres } from '../src/platform/postgres/embedded.ts'
import { migrate } from '../src/platform/postgres/migrations.ts'
import { installBoss } from '../src/platform/postgres/pg-boss.ts'
import { TEMPLATE_DATABASE } from './helpers/database.ts'
import { startSharedServices } from './helpers/shared-services.ts'

const CONCURRENCY = 4
/** Several times what they take. */
const LIMIT_MS = 25 * 60_000
const asked = process.argv.slice(2)
const files = asked.length > 0 ? asked : globSync('{server,client,web}/test/**/*.test.ts').sort()

await using opened = new AsyncDisposableStack()
// Any other server from PostgreSQL 15 on, where the role may create databases: TEST_POSTGRES_URL=postgres://…
const serverUrl = process.env.TEST_POSTGRES_URL ?? (await startServer())
const [services] = await Promise.all([startSharedServices(files, opened), createTemplate(serverUrl)])

process.exitCode = await new Promise<number>((resolve) => {
  const args = ['--test', `--test-concurrency=${CONCURRENCY}`, '--test-timeout=240000']
  // Every test file, and every server that one starts, loads the same modules: without it, twice as slowly.
  const compiled = { NODE_COMPILE_CACHE: join(tmpdir(), 'pebbles-test-compiled') }
  const env = { ...compiled, ...process.env, TEST_DATABASE_URL: serverUrl, ...services }
  const child = spawn(process.execPath, [...args, ...files], { stdio: 'inherit', env })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal))
  // A test that hangs fails after its time, but a file with something that still runs in it is waited for without end.
  // (--test-force-exit would end it, and loses what files have to report.)
  const limit = setTimeout(() => {
    console.error(`The tests did not end within ${LIMIT_MS / 60_000} minutes; they are stopped.`)
    child.kill('SIGTERM')
    setTimeout(() => child.kill('SIGKILL'), 10_000).unref()
  }, LIMIT_MS)
  child.on('exit', (code) => {
    clearTimeout(limit)
    resolve(code ?? 1)
  })
})

async function startServer(): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'pebbles-test-'))
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
