import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { glob, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { DuckDBInstance } from '@duckdb/node-api'
import type { Pool } from 'pg'
import type { ObjectLocation } from '../../src/platform/objects/objects.ts'
import { openDatabase } from '../../src/platform/postgres/database.ts'
import type { ArchiveFormat } from '../../src/streams/archive/archive-file.ts'
import type { NewEvent } from '../../src/streams/log/log.ts'
import { openPostgresLog } from '../../src/streams/log/log-postgres.ts'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { createTestDir } from '../helpers/server.ts'

const PROCESS = fileURLToPath(new URL('fixtures/archive-process.ts', import.meta.url))
const START_S = 1_611_662_684
const CLIENTS = ['krn:acme', 'krn:"globex"\n'] as const

/** A page view; every one has another `user_id`. */
export function pageview(n: number): NewEvent & { clientKrn: string } {
  const event = { user_id: n, postcode: `SW${n % 7}`, webpage: `é "${n}"\n`, timestamp: START_S + n }
  return {
    clientKrn: CLIENTS[n % 2]!,
    stream: 'pageviews',
    key: event.postcode,
    payload: JSON.stringify(event),
  }
}

/** What `fixtures/archive-process.ts` is told. */
export interface ArchiveProcess {
  url: string
  location: ObjectLocation
  format: ArchiveFormat
  maxRows: number
}

/** A database with a log, which the test fills, and processes that archive it. */
export async function openRig(scope: Scope, more: Partial<ArchiveProcess> = {}, partitions = 2) {
  const DATABASE_URL = await createTestDatabase(scope)
  const PEBBLES_DATA = await createTestDir(scope)
  const pool = openTestPool(scope, DATABASE_URL)
  const options = { maxConnections: 1, maxLanes: 1, maxJobConnections: 1, log: () => {} }
  const database = openDatabase({ url: DATABASE_URL, ...options })
  atEnd(scope, () => database[Symbol.asyncDispose]())
  const log = await openPostgresLog(database.streams, partitions)
  atEnd(scope, () => log[Symbol.asyncDispose]())
  const dir = await objectsOf(pool, PEBBLES_DATA)
  let appended = 0

  /** Waits until it is so. */
  async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
    for (let look = 0; !(await isSo()); look++) {
      assert.ok(look < 3_000, `waited in vain for ${what}`)
      await sleep(20)
    }
  }

  return {
    pool,
    database,
    log,
    dir,
    databaseUrl: DATABASE_URL,
    dataDir: PEBBLES_DATA,
    until,
    /** Nobody waits until a process that was there before is missed. */
    async spawn(options: Partial<ArchiveProcess> = {}) {
      await pool.query('DELETE FROM log_readers')
      const told: ArchiveProcess = {
        url: DATABASE_URL,
        location: { folder: dir },
        format: 'ndjson',
        maxRows: 60,
        ...more,
        ...options,
      }
      const child = spawn(process.execPath, [PROCESS, JSON.stringify(told)], { stdio: 'ignore' })
      const exited = once(child, 'exit')
      const end = async (signal: NodeJS.Signals) => {
        if (child.exitCode === null && child.signalCode === null) child.kill(signal)
        await exited
      }
      atEnd(scope, () => end('SIGTERM'))
      return { process: child, kill: () => end('SIGKILL'), stop: () => end('SIGTERM') }
    },
    get appended() {
      return appended
    },
    async append(count: number): Promise<void> {
      await log.append(Array.from({ length: count }, () => pageview(appended++)))
    },
    /** Waits until every event in the log is in an object. */
    async allArchived(): Promise<void> {
      await until('the archive', async () => {
        const { rows } = await pool.query(
          `SELECT bool_and(coalesce(c.position, 0) = p.next_offset) AS is_done FROM log_partitions p
           LEFT JOIN log_checkpoints c ON c.partition = p.partition AND c.reader_group = 'archiver'`,
        )
        return rows[0].is_done
      })
    },
    intents: async () =>
      (await pool.query('SELECT * FROM archive_intents ORDER BY partition')).rows as {
        first_position: string
        objects: { name: string; rows: number }[]
      }[],
    files: () => filesIn(dir),
    /** Every event is in one object, and what the checkpoints count is what is there. */
    async checkEachOnce(folder = dir): Promise<void> {
      const found = await ask(
        scope,
        `SELECT user_id::int AS user_id, postcode, webpage, "timestamp"::int AS "timestamp", _client
         FROM ${readAllOf(folder, 'raw', 'ndjson')} ORDER BY user_id`,
      )
      const expected = Array.from({ length: appended }, (_, n) => {
        const { payload, clientKrn } = pageview(n)
        return { ...JSON.parse(payload), _client: clientKrn }
      })
      assert.equal(found.length, expected.length)
      assert.deepEqual(found, expected)
      const { rows } = await pool.query(
        `SELECT sum(archived_rows)::int AS n FROM archived WHERE kind = 'raw'`,
      )
      assert.equal(rows[0].n, appended)
    },
  }
}

/** The folder of objects of a server without S3. */
export async function objectsOf(pool: Pool, dataDir: string): Promise<string> {
  const { rows } = await pool.query('SELECT id FROM installation')
  return join(dataDir, 'objects', rows[0].id)
}

export const readAllOf = (dir: string, kind: string, format: 'ndjson' | 'parquet') =>
  format === 'ndjson'
    ? `read_json_auto('${dir}/${kind}/**/*.gz')`
    : `read_parquet('${dir}/${kind}/**/*.parquet')`

export async function ask(scope: Scope, sql: string): Promise<Record<string, unknown>[]> {
  const instance = await DuckDBInstance.create()
  const connection = await instance.connect()
  atEnd(scope, () => {
    connection.closeSync()
    instance.closeSync()
  })
  return (await connection.runAndReadAll(sql)).getRowObjectsJS()
}

/** Names of objects with the time at which they were written and their length, in the order of names. */
export async function filesIn(dir: string): Promise<{ name: string; written: number; bytes: number }[]> {
  const names = await Array.fromAsync(glob('{raw,aggregates,late}/**/*.{gz,parquet}', { cwd: dir }))
  return Promise.all(
    names.toSorted().map(async (name) => {
      const { mtimeMs, size } = await stat(join(dir, name))
      return { name, written: mtimeMs, bytes: size }
    }),
  )
}
