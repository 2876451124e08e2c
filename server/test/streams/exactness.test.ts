import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PAGEVIEWS } from '../../src/streams/declaration.ts'
import { createTestDatabase } from '../helpers/database.ts'
import { createTestDir } from '../helpers/server.ts'
import { seededRandom } from '../verify/ledger-storm.ts'
import { planEvents, VISITS } from '../verify/streams-plan.ts'
import { openStage } from '../verify/streams-stage.ts'
import { runStreamsStorm } from '../verify/streams-storm.ts'

test('S1 S2 S3 S4 S5 S9 N5 N8 three instances, events out of order, three kills: every event once in the log and in the archive, every window once, and its revisions, as counted plainly', async (t) => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  t.diagnostic(`seed ${seed}`)
  const plan = planEvents({
    events: 10_000,
    postcodes: 50,
    batchSize: 40,
    streams: [PAGEVIEWS, VISITS],
    seed,
  })
  const stage = openStage(t, {
    databaseUrl: await createTestDatabase(t),
    dataDir: await createTestDir(t),
    // Little enough that open windows are moved into the database now and then.
    env: { STREAM_MAX_OPEN_BYTES: '20000' },
    latePolicy: 'revise',
    formats: ['ndjson', 'parquet'],
  })
  const { report, sent } = await runStreamsStorm({
    ...stage,
    plan,
    senders: 6,
    instances: 3,
    kills: 3,
    tellsDuplicates: true,
    random: seededRandom(seed),
  })
  const found = await stage.check(plan, sent)
  t.diagnostic(JSON.stringify({ ...report, ...found }))
  assert.equal(report.sent, 10_000)
  assert.equal(report.kills, 3)
  assert.ok(found.late! > 50)
  assert.ok(found.archivedRevisions! > 50)
  assert.ok(found.windows! > 1_000)
})
