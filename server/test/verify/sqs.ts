/**
 * The long form of the storm in `progress/from-sqs-outages.test.ts`, on servers of its own.
 *
 *   npm run verify:sqs                         100,000 updates, 3 processes, 10 kills
 *   npm run verify:sqs -- --freeze             half-way the database stops for 30 s, then SQS for 30 s
 *   npm run verify:sqs -- --updates 20000 --kills 5
 */
import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startEmbeddedPostgres } from '../../src/platform/postgres/embedded.ts'
import { migrate } from '../../src/platform/postgres/migrations.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { createTestDir } from '../helpers/server.ts'
import { startSqs } from '../helpers/services.ts'
import { runSqsStorm } from './sqs-storm.ts'

const FREEZE_MS = 30_000

const { values } = parseArgs({
  options: {
    updates: { type: 'string', default: '100000' },
    kills: { type: 'string', default: '10' },
    freeze: { type: 'boolean', default: false },
  },
})
const closers: (() => unknown)[] = []
const scope: Scope = { after: (fn) => void closers.push(fn) }
const log = (line: string) => console.log(`  ${line}`)
try {
  const dataDir = join(await createTestDir(scope), 'postgres')
  const postgres = await startEmbeddedPostgres({ dataDir })
  atEnd(scope, () => postgres.stop())
  await migrate(postgres.url, 'up')
  const sqs = await startSqs(scope)

  async function freezeBoth(): Promise<void> {
    const pids = await postgresPids(dataDir)
    const signal = (name: NodeJS.Signals) => {
      for (const pid of pids) signalIfThere(pid, name)
    }
    log('the database stops for 30 s')
    signal('SIGSTOP')
    await sleep(FREEZE_MS)
    signal('SIGCONT')
    log('the database goes on')
    await sleep(5_000)
    log('SQS stops for 30 s')
    sqs.freeze()
    await sleep(FREEZE_MS)
    sqs.thaw()
    log('SQS goes on')
  }

  const report = await runSqsStorm(scope, {
    env: sqs.env,
    databaseUrl: postgres.url,
    updates: Number(values.updates),
    files: 500,
    processes: 3,
    kills: Number(values.kills),
    log,
    ...(values.freeze && { halfWay: freezeBoth }),
  })
  const share = report.deliveredAgain / report.messages
  console.log(`exact. ${(share * 100).toFixed(1)} % were delivered twice or more. ${JSON.stringify(report)}`)
  if (share < 0.1) throw new Error('less than a tenth was delivered twice: this run proves too little')
} finally {
  for (const close of closers) await close()
}

/** The server and all its processes of this moment. */
async function postgresPids(dataDir: string): Promise<number[]> {
  const file = await readFile(join(dataDir, 'cluster', 'postmaster.pid'), 'utf8')
  const postmaster = Number(file.split('\n', 1)[0])
  const children = execFileSync('ps', ['-o', 'pid=', '--ppid', String(postmaster)], { encoding: 'utf8' })
  return [postmaster, ...children.trim().split(/\s+/).map(Number)]
}

function signalIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // A connection that ended meanwhile.
  }
}
