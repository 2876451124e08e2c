/**
 * Imports of large files while whatever takes part in them is killed (`kill -9`) at random instants: the server, the
 * worker beside it, PostgreSQL as a whole, single backends of it. At every instant that is looked at, and afterwards
 * row by row, the books have to be exact.
 */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { startEmbeddedPostgres } from '../../src/platform/postgres/embedded.ts'
import { migrate } from '../../src/platform/postgres/migrations.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { createTestDir, spawnServer, spawnWorker } from '../helpers/server.ts'
import { upload } from '../jobs/helpers.ts'
import { type FatedFile, makeFatedFile } from './fated-file.ts'
import { checkBooks, checkEveryRow } from './import-books.ts'

export interface ImportStormOptions {
  kills: number
  rows: number
  random: () => number
  /** Shortest and longest time between two kills. */
  pauseMs: [number, number]
  batchRows: number
  log?: (line: string) => void
}

export interface ImportStormReport {
  files: number
  kills: Record<string, number>
  /** Times that the books were looked at while files were imported. */
  looks: number
  attempts: number
  /** Longest time after the kill of a server or a worker until its job went on in other hands. */
  longestTakeoverMs: number
}

const FILES_AT_ONCE = 2
const VICTIMS = ['server', 'worker', 'postgres', 'backend'] as const

export async function runImportStorm(scope: Scope, options: ImportStormOptions): Promise<ImportStormReport> {
  const { random, rows, log = () => {} } = options
  const dir = await createTestDir(scope)
  const postgresDir = join(dir, 'postgres')
  // Processes are killed, not the machine: what the kernel was given is safe.
  const settings = { fsync: 'off', full_page_writes: 'off' }
  const postgres = await startEmbeddedPostgres({ dataDir: postgresDir, settings })
  atEnd(scope, () => postgres.stop())
  await migrate(postgres.url, 'up')

  const env = { DATABASE_URL: postgres.url, PEBBLES_DATA: dir, IMPORT_BATCH_ROWS: String(options.batchRows) }
  const closers: (() => unknown)[] = []
  const living: Scope = { after: (fn) => void closers.push(fn) }
  atEnd(scope, async () => {
    for (const close of closers) await close()
  })
  const startServer = () => persistently(() => spawnServer(living, { ...env, IMPORT_CONCURRENCY: '2' }))
  const startWorker = () => spawnWorker(living, { ...env, IMPORT_CONCURRENCY: '2', PEBBLES_ROLES: 'imports' })
  let server = await startServer()
  let worker = startWorker()

  const report: ImportStormReport = { files: 0, kills: {}, looks: 0, attempts: 0, longestTakeoverMs: 0 }
  const open = new Map<string, FatedFile>()
  const done = new Map<string, FatedFile>()
  let kills = 0
  let isImporting = true
  /** Of jobs in the hands of somebody who may have been killed: since when they have not moved. */
  const waiting = new Map<string, { since: number; mark: string }>()
  const marks = new Map<string, string>()

  /** Imports one file after the other until there were kills enough. */
  async function importFiles(client: string): Promise<void> {
    while (kills < options.kills) {
      const name = `f${report.files++}`
      const file = makeFatedFile(name, { rows, random })
      const jobId = await uploadPersistently(name, file, client)
      open.set(jobId, file)
      while (open.has(jobId)) await delay(50)
    }
  }

  async function uploadPersistently(name: string, file: FatedFile, client: string): Promise<string> {
    while (isImporting) {
      try {
        const token = await server.token('alice@example.com', client)
        const headers = { 'idempotency-key': name }
        const answer = await upload(server, file.content, { filename: `${name}.csv`, token, headers })
        if (answer.status === 200) return answer.body.jobId
        assert.equal(answer.status, 503, JSON.stringify(answer.body))
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error
        // Refused or broken connection: whether there is a job now is not known, and the key makes that harmless.
      }
      await delay(200)
    }
    throw new Error('the storm has ended')
  }

  async function killSome(): Promise<void> {
    const [shortest, longest] = options.pauseMs
    while (kills < options.kills) {
      await delay(shortest + random() * (longest - shortest))
      if (open.size === 0) continue
      const victim = VICTIMS[Math.floor(random() * VICTIMS.length)]!
      await kill(victim)
      kills++
      report.kills[victim] = (report.kills[victim] ?? 0) + 1
      if (kills % 10 === 0) log(`${kills} kills, ${done.size} files, ${report.looks} looks`)
    }
  }

  async function kill(victim: (typeof VICTIMS)[number]): Promise<void> {
    // Only what is certain counts as a takeover: when the database was away, too, that took its own time.
    if (victim === 'postgres' || victim === 'backend') waiting.clear()
    else for (const [id, mark] of marks) waiting.set(id, { since: Date.now(), mark })
    if (victim === 'server') {
      await server.kill()
      server = await startServer()
    } else if (victim === 'worker') {
      await worker.kill()
      worker = startWorker()
    } else if (victim === 'postgres') {
      const pidFile = await readFile(join(postgresDir, 'cluster', 'postmaster.pid'), 'utf8').catch(() => '')
      const pid = Number(pidFile.split('\n')[0])
      if (pid > 0) killProcess(pid)
    } else {
      const pids = await persistently(() =>
        withClient(postgres.url, async (client) => {
          const { rows } = await client.query(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'pebbles' AND state <> 'idle'",
          )
          return rows.map(({ pid }) => pid)
        }),
      )
      if (pids.length > 0) killProcess(pids[Math.floor(random() * pids.length)])
    }
  }

  /** Looks at the books again and again; a file that has ended is checked row by row. */
  async function watch(): Promise<void> {
    while (isImporting) {
      await persistently(() => withClient(postgres.url, lookAt))
      await delay(100)
    }
  }

  async function lookAt(client: pg.Client): Promise<void> {
    for (const job of await checkBooks(client, new Map(open))) {
      const mark = `${job.status} ${job.attempt} ${job.processed}`
      const since = waiting.get(job.id)
      if (since && since.mark !== mark) {
        report.longestTakeoverMs = Math.max(report.longestTakeoverMs, Date.now() - since.since)
        waiting.delete(job.id)
      }
      marks.set(job.id, mark)
      if (job.status !== 'completed') continue
      const file = open.get(job.id)!
      await checkEveryRow(client, job.id, file)
      report.attempts += job.attempt
      done.set(job.id, file)
      open.delete(job.id)
      marks.delete(job.id)
      waiting.delete(job.id)
    }
    report.looks++
  }

  const importAll = async () => {
    await Promise.all(Array.from({ length: FILES_AT_ONCE }, (_, n) => importFiles(`krn:storm:${n}`)))
    isImporting = false
  }
  try {
    await Promise.all([killSome(), watch(), importAll()])
  } catch (error) {
    // So that the others come to their ends, too.
    kills = options.kills
    open.clear()
    isImporting = false
    throw error
  }
  await withClient(postgres.url, async (client) => {
    await checkBooks(client, done)
    const { rows: strange } = await client.query(
      `SELECT (SELECT count(*) FROM jobs)::int AS jobs,
              (SELECT count(*) FROM customers WHERE job_id NOT IN (SELECT id FROM jobs))::int AS ownerless`,
    )
    assert.deepEqual(strange, [{ jobs: report.files, ownerless: 0 }])
  })
  return report
}

/** Until it works: what it needs may just have been killed. What is wrong is thrown at once. */
async function persistently<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (error instanceof assert.AssertionError || attempt > 300) throw error
      await delay(100)
    }
  }
}

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 30_000,
    query_timeout: 60_000,
  })
  client.on('error', () => {})
  try {
    await client.connect()
    return await work(client)
  } finally {
    // Of a connection that broke meanwhile the end may never come.
    await Promise.race([client.end().catch(() => {}), delay(2_000, undefined, { ref: false })])
  }
}

function killProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
