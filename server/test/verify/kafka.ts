/**
 * The long form of `progress/storm-kafka.test.ts`: a topic of a million updates, consumers killed twenty times, the
 * broker restarted twice, everything read again; and, when asked, the database or the broker frozen on the way.
 *
 *   npm run verify:kafka -- --updates 1000000 --kills 20 --freeze database --freeze broker
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { kafka } from '../../../scripts/services/kafka.ts'
import { programsDir } from '../../../scripts/services/service.ts'
import { openTestPool } from '../helpers/database.ts'
import { startPostgres } from '../helpers/own-postgres.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { spawnWorker } from '../helpers/server.ts'
import { openTestLog } from '../progress/kafka-helpers.ts'
import { openTestStore } from '../progress/kafka-outside.ts'
import { runKafkaStorm } from './kafka-storm.ts'
import { seededRandom } from './ledger-storm.ts'

const { values } = parseArgs({
  options: {
    updates: { type: 'string', default: '1000000' },
    records: { type: 'string', default: '1000' },
    kills: { type: 'string', default: '20' },
    'broker-restarts': { type: 'string', default: '2' },
    /** `database`, `broker`, or both: for 30 s each. */
    freeze: { type: 'string', multiple: true, default: [] },
    seed: { type: 'string' },
  },
})
const FROZEN_MS = 30_000
const seed = values.seed ? Number(values.seed) : Math.floor(Math.random() * 2 ** 31)
console.log(`seed ${seed}`)

const closers: (() => unknown)[] = []
const scope: Scope = { after: (fn) => void closers.push(fn) }
try {
  const PEBBLES_DATA = await mkdtemp(join(tmpdir(), 'pebbles-verify-'))
  atEnd(scope, () => rm(PEBBLES_DATA, { recursive: true, force: true }))
  const cacheDir = programsDir()
  await kafka.install(cacheDir)
  const broker = await kafka.start({ cacheDir, dataDir: join(PEBBLES_DATA, 'kafka') })
  atEnd(scope, () => broker.kill())
  const postgres = await startPostgres(scope)
  const DATABASE_URL = postgres.url
  const pool = openTestPool(scope, DATABASE_URL)
  const topic = openTestLog(scope, broker.bootstrapServers)
  const say = (line: string) => console.log(`  ${line}`)

  async function freeze(): Promise<void> {
    for (const what of values.freeze) {
      say(`${what} frozen for ${FROZEN_MS} ms`)
      await (what === 'database' ? postgres.freeze() : broker.freeze())
      await delay(FROZEN_MS)
      if (what === 'database') postgres.thaw()
      else broker.thaw()
    }
  }

  const report = await runKafkaStorm({
    updates: Number(values.updates),
    records: Number(values.records),
    partitions: 12,
    consumers: 3,
    kills: Number(values.kills),
    brokerRestarts: Number(values['broker-restarts']),
    random: seededRandom(seed),
    topic,
    kafka: broker,
    store: openTestStore(scope, DATABASE_URL),
    async applied() {
      const { rows } = await pool.query('SELECT coalesce(sum(next_offset), 0)::int AS n FROM log_positions')
      return rows[0].n
    },
    spawn: () => spawnWorker(scope, { ...topic.env, PEBBLES_ROLES: 'consumers', DATABASE_URL, PEBBLES_DATA }),
    scope,
    meanwhile: freeze,
    log: say,
  })
  console.log(`exact. ${JSON.stringify(report)}`)
} finally {
  for (const close of closers.reverse()) await close()
}
