/**
 * The long form of `streams/exactness.test.ts` and `streams/exactness-kafka.test.ts`: events come in over HTTP while
 * instances are killed and the broker is restarted; or while the broker or S3 is away. Then everything that was made of
 * them is held against a plain count of the log.
 *
 *   npm run verify:streams -- --log kafka --events 2000000 --kills 30 --broker-restarts 2
 *   npm run verify:streams -- --log postgres --freezes 3 --minutes 10
 *   npm run verify:streams -- --log kafka --broker-away 60
 *   npm run verify:streams -- --s3-away 60
 *   npm run verify:streams -- --log kafka --late revise --format parquet --declared --freezes 3
 */
import assert from 'node:assert/strict'
import { parseArgs } from 'node:util'
import { startEmbeddedPostgres } from '../../src/platform/postgres/embedded.ts'
import { migrate } from '../../src/platform/postgres/migrations.ts'
import { PAGEVIEWS } from '../../src/streams/declaration.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { createTestDir } from '../helpers/server.ts'
import { startKafka, startS3 } from '../helpers/services.ts'
import { seededRandom } from './ledger-storm.ts'
import { planEvents, VISITS } from './streams-plan.ts'
import { openStage } from './streams-stage.ts'
import { type Outage, runStreamsStorm, type StormOptions } from './streams-storm.ts'
import { readByJava } from './streams-topics.ts'

const { values } = parseArgs({
  options: {
    /** `postgres`, or `kafka`. */
    log: { type: 'string', default: 'postgres' },
    /** Default: 2,000,000 on Kafka, 200,000 on Postgres. */
    events: { type: 'string' },
    /** The fewer, the more late events meet in one window. */
    postcodes: { type: 'string', default: '500' },
    kills: { type: 'string', default: '15' },
    /** `keep`, or `revise`. */
    late: { type: 'string', default: 'keep' },
    /** `ndjson`, or `parquet`; of several, instances take turns. */
    format: { type: 'string', multiple: true, default: ['ndjson'] },
    /** Half of the events are of a declared stream with distinct counts. */
    declared: { type: 'boolean', default: false },
    freezes: { type: 'string', default: '0' },
    'broker-restarts': { type: 'string', default: '0' },
    /** Seconds for which each is away; then instances are left alone, and events come at a rate. */
    'broker-away': { type: 'string', default: '0' },
    's3-away': { type: 'string', default: '0' },
    rate: { type: 'string', default: '10000' },
    /** Rounds follow each other for so long. */
    minutes: { type: 'string', default: '0' },
    seed: { type: 'string' },
  },
})
const MiB = 1024 * 1024
/** So that what is garbage goes soon, and does not pass for what is held. */
const SMALL_HEAP = '--max-old-space-size=256 --max-semi-space-size=8'
const MAX_GROWTH_MIB = 150
/** A batch is tried for ten seconds, after the one before it. */
const MAX_ANSWER_MS = 30_000

const { format: formats, declared } = values
const log = oneOf('log', ['postgres', 'kafka'])
const latePolicy = oneOf('late', ['keep', 'revise'])
const kills = Number(values.kills)
const freezes = Number(values.freezes)
const brokerRestarts = Number(values['broker-restarts'])
const brokerAwayMs = Number(values['broker-away']) * 1_000
const s3AwayMs = Number(values['s3-away']) * 1_000
const awayMs = brokerAwayMs + s3AwayMs
const rate = Number(values.rate)
if (log !== 'kafka' && (brokerRestarts > 0 || brokerAwayMs > 0))
  throw new Error('there is a broker with --log kafka')
const endsAt = Date.now() + Number(values.minutes) * 60_000
let seed = values.seed ? Number(values.seed) : Math.floor(Math.random() * 2 ** 31)

for (let round = 1; round === 1 || Date.now() < endsAt; round++, seed++) {
  console.log(`round ${round}, seed ${seed}`)
  console.log(
    JSON.stringify({ exact: true, log, latePolicy, formats, declared, seed, ...(await oneStorm()) }),
  )
}

function oneOf<Choice extends string>(name: 'log' | 'late', choices: readonly Choice[]): Choice {
  const choice = choices.find((choice) => choice === values[name])
  if (choice === undefined) throw new Error(`--${name} is one of ${choices.join(', ')}`)
  return choice
}

/** On servers of its own. */
async function oneStorm() {
  const closers: (() => unknown)[] = []
  const scope: Scope = { after: (fn) => void closers.push(fn) }
  try {
    const [postgresDir, dataDir] = [await createTestDir(scope), await createTestDir(scope)]
    const postgres = await startEmbeddedPostgres({ dataDir: postgresDir })
    atEnd(scope, () => postgres.stop())
    await migrate(postgres.url, 'up')
    const s3 = s3AwayMs > 0 ? await startS3(scope) : undefined
    const broker = log === 'kafka' ? await startKafka(scope) : undefined
    const stage = openStage(scope, {
      databaseUrl: postgres.url,
      dataDir,
      s3: s3?.env,
      bootstrapServers: broker?.bootstrapServers,
      readTopic: readByJava,
      latePolicy,
      formats,
      // Much less than comes in meanwhile.
      ...(s3 && { env: { ARCHIVE_MAX_PENDING_BYTES: String(16 * MiB), NODE_OPTIONS: SMALL_HEAP } }),
    })
    const outages = (['frozen', 'killed'] as const)
      .flatMap((how): Outage[] => [
        { what: 'the broker', service: broker!, how, ms: brokerAwayMs },
        { what: 'S3', service: s3!, how, ms: s3AwayMs },
      ])
      .filter(({ ms }) => ms > 0)
    const usual = awayMs > 0 ? (rate * (2 * awayMs + 30_000)) / 1_000 : log === 'kafka' ? 2_000_000 : 200_000
    const events = Number(values.events ?? usual)
    const plan = planEvents({
      events,
      postcodes: Number(values.postcodes),
      // Those on their way at a time are some seconds of the stream's time, or most would come late.
      batchSize: Math.min(1_000, Math.ceil(events / 2_000)),
      streams: declared ? [PAGEVIEWS, VISITS] : [PAGEVIEWS],
      seed,
    })
    const trouble: Partial<StormOptions> =
      awayMs > 0 ? { kills: 0, outages, eventsPerSecond: rate } : { kills, freezes, brokerRestarts }
    const { report, sent } = await runStreamsStorm({
      ...stage,
      plan,
      broker,
      senders: 8,
      instances: s3 ? 1 : 3,
      kills: 0,
      ...trouble,
      tellsDuplicates: log === 'postgres',
      random: seededRandom(seed),
      log: (line) => console.log(`  ${line}`),
    })
    const found = await stage.check(plan, sent)
    if (awayMs > 0) {
      assert.ok(report.slowestMs < MAX_ANSWER_MS, `an answer came after ${report.slowestMs} ms`)
      assert.ok(report.awayGrowthMiB < MAX_GROWTH_MIB, `grew by ${report.awayGrowthMiB} MiB meanwhile`)
    }
    return { ...report, ...found }
  } finally {
    for (const close of closers.reverse()) await close()
  }
}
