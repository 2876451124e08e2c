import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { atEnd, type Scope } from './scope.ts'

export const TEMPLATE_DATABASE = 'pebbles_template'

/**
 * A migrated database of its own, dropped afterwards. A connection that the test left open fails it: whatever opens
 * pools must close them.
 */
export async function createTestDatabase(scope: Scope): Promise<string> {
  const serverUrl = process.env.TEST_DATABASE_URL
  if (!serverUrl) throw new Error('run tests with: npm test -- <file>')
  const name = `test_${randomBytes(6).toString('hex')}`
  await onServer(serverUrl, (client) => client.query(`CREATE DATABASE ${name} TEMPLATE ${TEMPLATE_DATABASE}`))
  atEnd(scope, () =>
    onServer(serverUrl, async (client) => {
      const leaked = await waitForNoConnections(client, name)
      if (leaked.length > 0) await endConnections(client, name)
      // Without FORCE, which is refused while an autovacuum worker is at a table: this ends the worker by itself.
      await client.query(`DROP DATABASE ${name}`)
      if (leaked.length > 0) throw new Error(`connections left open: ${leaked.join('; ')}`)
    }),
  )
  const url = new URL(serverUrl)
  url.pathname = name
  return url.href
}

async function waitForNoConnections(client: pg.Client, database: string): Promise<string[]> {
  for (const deadline = Date.now() + 60_000; ; ) {
    const { rows } = await client.query(
      `SELECT application_name, left(query, 80) AS query FROM pg_stat_activity
       WHERE datname = $1 AND backend_type = 'client backend'`,
      [database],
    )
    // A closed connection's backend needs a moment to go.
    if (rows.length === 0 || Date.now() > deadline)
      return rows.map((row) => `${row.application_name}: ${row.query}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Those of clients alone: autovacuum's worker belongs to a superuser, and asking to end it is an error. */
export async function endConnections(client: pg.Client, database: string): Promise<void> {
  await client.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'`,
    [database],
  )
}

/**
 * Takes a test's database away, and no other, since all tests share the server: nobody is let in, and who is in is
 * thrown out. Returns how to give it back.
 */
export async function takeDatabaseAway(url: string): Promise<() => Promise<void>> {
  const name = new URL(url).pathname.slice(1)
  const serverUrl = process.env.TEST_DATABASE_URL!
  await onServer(serverUrl, async (client) => {
    await client.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`)
    await endConnections(client, name)
  })
  return () =>
    onServer(serverUrl, async (client) => {
      await client.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS true`)
    })
}

async function onServer(url: string, work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}

/** A plain pool on a test's database, for looking behind the scenes. */
export function openTestPool(scope: Scope, url: string): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max: 5 })
  // Its end does not wait for the server, which may be stopped next and tell so: nothing that a test is about.
  pool.on('error', () => {})
  atEnd(scope, () => pool.end())
  return pool
}

/**
 * Stops every process of an embedded PostgreSQL where it stands: connections stay, new ones are taken by the kernel, and nothing
 * is answered until it is thawed, at the end of the test at the latest.
 */
export async function freezePostgres(
  scope: Scope,
  { url, dataDir }: { url: string; dataDir: string },
): Promise<{ thaw: () => void }> {
  const file = await readFile(join(dataDir, 'cluster', 'postmaster.pid'), 'utf8')
  const postmaster = Number(file.split('\n')[0])
  let pids: number[] = []
  const thaw = () => {
    for (const pid of pids.splice(0)) {
      try {
        process.kill(pid, 'SIGCONT')
      } catch {
        // A backend whose client gave up has ended.
      }
    }
  }
  atEnd(scope, thaw)
  await onServer(url, async (client) => {
    // The postmaster first: from then on there are no new ones.
    process.kill(postmaster, 'SIGSTOP')
    pids = [postmaster]
    const { rows } = await client.query('SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()')
    pids.push(...rows.map(({ pid }) => pid as number))
  })
  // Not before this connection has ended, which needs locks that one of them may hold where it is stopped. Those that
  // end meanwhile are still there, as only the postmaster can bury them.
  for (const pid of pids) process.kill(pid, 'SIGSTOP')
  return { thaw }
}
