import { randomBytes } from 'node:crypto'
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
      await client.query(`DROP DATABASE ${name} WITH (FORCE)`)
      if (leaked.length > 0) throw new Error(`connections left open: ${leaked.join('; ')}`)
    }),
  )
  const url = new URL(serverUrl)
  url.pathname = name
  return url.href
}

async function waitForNoConnections(client: pg.Client, database: string): Promise<string[]> {
  for (let attempt = 0; ; attempt++) {
    const { rows } = await client.query(
      'SELECT application_name, left(query, 80) AS query FROM pg_stat_activity WHERE datname = $1',
      [database],
    )
    // A closed connection's backend needs a moment to go.
    if (rows.length === 0 || attempt === 40) return rows.map((row) => `${row.application_name}: ${row.query}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
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
  atEnd(scope, () => pool.end())
  return pool
}
