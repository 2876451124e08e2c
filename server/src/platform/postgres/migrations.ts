import { readdir, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { runner } from 'node-pg-migrate'
import pg from 'pg'
import { PebblesError } from '../errors.ts'
import { isTransient } from './database.ts'

const DIR = fileURLToPath(new URL('../../../migrations', import.meta.url))

/**
 * Brings the schema up (all pending migrations) or down (the newest one). Several processes may do so at once: one
 * works, the others wait for its advisory lock and then find nothing to do.
 *
 * @returns names of the migrations that were run
 * @throws PebblesError `unavailable` when the database does not let one in
 */
export async function migrate(databaseUrl: string, direction: 'up' | 'down'): Promise<string[]> {
  // A connection of ours, so that it has gone for certain before whoever called stops the server.
  const dbClient = new pg.Client({ connectionString: databaseUrl })
  try {
    await dbClient.connect()
  } catch (error) {
    if (!isTransient(error)) throw error
    const { host, port, database } = dbClient
    // Not the address as it was given, which may hold a password.
    const where = `${database ?? ''} at ${host}:${port}`
    throw new PebblesError('unavailable', `The database ${where} cannot be used (DATABASE_URL).`, {
      cause: error,
    })
  }
  try {
    return await run(dbClient, direction)
  } finally {
    await dbClient.end()
  }
}

async function run(dbClient: pg.Client, direction: 'up' | 'down'): Promise<string[]> {
  const done = await runner({
    dbClient,
    dir: DIR,
    migrationsTable: 'pebbles_migrations',
    direction,
    count: direction === 'up' ? Number.POSITIVE_INFINITY : 1,
    advisoryLockMode: 'wait',
    // Its progress report is for a terminal; errors are thrown anyway.
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  })
  return done.map(({ name }) => name)
}

/** Creates the next numbered migration file and returns its path. */
export async function createMigration(name: string): Promise<string> {
  const slug = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
  if (slug === '')
    throw new PebblesError('invalid_request', 'A migration needs a name of letters and digits.')
  const numbers = (await readdir(DIR)).map((file) => Number.parseInt(file, 10)).filter(Number.isInteger)
  const next = String(Math.max(0, ...numbers) + 1).padStart(4, '0')
  const path = `${DIR}/${next}_${slug}.sql`
  await writeFile(path, '-- Up Migration\n\n-- Down Migration\n', { flag: 'wx' })
  return path
}
