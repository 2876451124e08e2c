/**
 * `npm test`: starts one PostgreSQL for all test files, runs them (or those named as arguments), stops it.
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

const CONCURRENCY = 2
const asked = process.argv.slice(2)
const files = asked.length > 0 ? asked : globSync('{server,client,web}/test/**/*.test.ts').sort()

await using opened = new AsyncDisposableStack()
// Any other server from PostgreSQL 15 on, where the role may create databases: TEST_POSTGRES_URL=postgres://…
const serverUrl = process.env.TEST_POSTGRES_URL ?? (await startServer())
await createTemplate(serverUrl)

process.exitCode = await new Promise<number>((resolve) => {
  const args = ['--test', `--test-concurrency=${CONCURRENCY}`, '--test-timeout=240000', ...files]
  const env = { ...process.env, TEST_DATABASE_URL: serverUrl }
  const child = spawn(process.execPath, args, { stdio: 'inherit', env })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal))
  child.on('exit', (code) => resolve(code ?? 1))
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
