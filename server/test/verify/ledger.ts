/**
 * The long form of `progress/exactness.test.ts`: storms with many kills, one after the other, for as long as asked.
 *
 *   npm run verify:ledger -- --minutes 10
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startEmbeddedPostgres } from '../../src/platform/postgres/embedded.ts'
import { migrate } from '../../src/platform/postgres/migrations.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { spawnServer } from '../helpers/server.ts'
import { runStorm, seededRandom } from './ledger-storm.ts'

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '10' }, seed: { type: 'string' } },
})
const endsAt = Date.now() + Number(values.minutes) * 60_000
let seed = values.seed ? Number(values.seed) : Math.floor(Math.random() * 2 ** 31)

const closers: (() => unknown)[] = []
const scope: Scope = { after: (fn) => void closers.push(fn) }
try {
  const dir = await mkdtemp(join(tmpdir(), 'pebbles-verify-'))
  atEnd(scope, () => rm(dir, { recursive: true, force: true }))
  const postgres = await startEmbeddedPostgres({ dataDir: join(dir, 'postgres') })
  atEnd(scope, () => postgres.stop())
  for (let round = 1; Date.now() < endsAt; round++, seed++) {
    const report = await oneStorm(postgres.url, dir, round)
    console.log(`round ${round}, seed ${seed}: exact. ${JSON.stringify(report)}`)
  }
} finally {
  for (const close of closers) await close()
}

/** A database of its own for each round, as files are remembered. */
async function oneStorm(serverUrl: string, dir: string, round: number) {
  const url = new URL(serverUrl)
  const admin = new (await import('pg')).default.Client({ connectionString: serverUrl })
  await admin.connect()
  await admin.query(`CREATE DATABASE storm_${round}`)
  await admin.end()
  url.pathname = `storm_${round}`
  await migrate(url.href, 'up')
  const roundScope: (() => unknown)[] = []
  try {
    return await runStorm({
      instances: 3,
      callers: 64,
      files: 50,
      updates: 50_000,
      kills: 10,
      random: seededRandom(seed),
      spawn: () =>
        spawnServer(
          { after: (fn) => void roundScope.push(fn) },
          { DATABASE_URL: url.href, PEBBLES_DATA: dir, PEBBLES_ROLES: 'api' },
        ),
      log: (line) => console.log(`  ${line}`),
    })
  } finally {
    for (const close of roundScope) await close()
  }
}
