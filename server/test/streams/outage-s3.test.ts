import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createTestDatabase } from '../helpers/database.ts'
import { createTestDir } from '../helpers/server.ts'
import { s3Missing, startS3 } from '../helpers/services.ts'
import { seededRandom } from '../verify/ledger-storm.ts'
import { planEvents } from '../verify/streams-plan.ts'
import { openStage } from '../verify/streams-stage.ts'
import { runStreamsStorm } from '../verify/streams-storm.ts'

const AWAY_MS = 1_500

describe('S3 away', { skip: s3Missing() }, () => {
  test('S3 events come in while S3 hangs, and while it is gone: each is taken, and lies in one object in the end', async (t) => {
    const [databaseUrl, dataDir, service] = await Promise.all([
      createTestDatabase(t),
      createTestDir(t),
      startS3(t),
    ])
    const seed = Math.floor(Math.random() * 2 ** 31)
    t.diagnostic(`seed ${seed}`)
    const plan = planEvents({ events: 15_000, postcodes: 50, batchSize: 40, seed })
    // What waits for S3 is several times what may wait in memory: the rest waits in the log.
    const env = { ARCHIVE_MAX_PENDING_BYTES: String(1024 * 1024) }
    const stage = openStage(t, { databaseUrl, dataDir, s3: service.env, env })
    const { report, sent } = await runStreamsStorm({
      ...stage,
      plan,
      senders: 4,
      instances: 2,
      kills: 0,
      outages: [
        { what: 'S3', service, how: 'frozen', ms: AWAY_MS, isUnnoticed: true },
        { what: 'S3', service, how: 'killed', ms: AWAY_MS, isUnnoticed: true },
      ],
      eventsPerSecond: 2_500,
      tellsDuplicates: true,
      random: seededRandom(seed),
      log: (line) => t.diagnostic(line),
    })
    const found = await stage.check(plan, sent)
    t.diagnostic(JSON.stringify({ ...report, ...found }))
    assert.ok(report.awayEvents.every((events) => events > 0))
    assert.equal(report.refused503, 0, 'nobody is turned away because of S3')
  })
})
