/**
 * The long form of `jobs/kills.test.ts` and `jobs/hostile.test.ts`.
 *
 *   npm run verify:imports -- [--kills 200] [--rows 200000] [--seed 1]
 *   npm run verify:imports -- --hostile [--scale 1] [--only cell]
 */
import { parseArgs } from 'node:util'
import { startEmbeddedPostgres } from '../../src/platform/postgres/embedded.ts'
import { migrate } from '../../src/platform/postgres/migrations.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { createTestDir } from '../helpers/server.ts'
import { runHostileFile, spawnSmallServer } from './hostile.ts'
import { HOSTILE_FILES } from './hostile-files.ts'
import { runImportStorm } from './imports-storm.ts'
import { seededRandom } from './ledger-storm.ts'

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    rows: { type: 'string', default: '200000' },
    seed: { type: 'string' },
    hostile: { type: 'boolean', default: false },
    scale: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
  },
})

const closers: (() => unknown)[] = []
const scope: Scope = { after: (fn) => void closers.push(fn) }
try {
  await (values.hostile ? verifyHostile(Number(values.scale), values.only) : verifyKills())
} finally {
  for (const close of closers) await close()
}

async function verifyKills(): Promise<void> {
  const seed = values.seed ? Number(values.seed) : Math.floor(Math.random() * 2 ** 31)
  console.log(`seed ${seed}`)
  const report = await runImportStorm(scope, {
    kills: Number(values.kills),
    rows: Number(values.rows),
    random: seededRandom(seed),
    pauseMs: [200, 4_000],
    batchRows: 10_000,
    log: (line) => console.log(`  ${line}`),
  })
  console.log(`exact. ${JSON.stringify(report)}`)
  if (report.longestTakeoverMs > 10_000) throw new Error('a job went on later than 10 s after a kill')
}

async function verifyHostile(scale: number, only: string): Promise<void> {
  const dir = await createTestDir(scope)
  const postgres = await startEmbeddedPostgres({ dataDir: `${dir}/postgres` })
  atEnd(scope, () => postgres.stop())
  await migrate(postgres.url, 'up')
  const server = await spawnSmallServer(scope, { DATABASE_URL: postgres.url, PEBBLES_DATA: dir })
  for (const [index, file] of HOSTILE_FILES.entries()) {
    if (!file.what.includes(only)) continue
    console.log(
      JSON.stringify(await runHostileFile(server, file, { scale, clientKrn: `krn:hostile:${index}` })),
    )
  }
}
