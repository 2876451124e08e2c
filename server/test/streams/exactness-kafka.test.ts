import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { PAGEVIEWS } from '../../src/streams/declaration.ts'
import { createTestDatabase } from '../helpers/database.ts'
import { createTestDir } from '../helpers/server.ts'
import { kafkaMissing, startKafka } from '../helpers/services.ts'
import { seededRandom } from '../verify/ledger-storm.ts'
import { planEvents, VISITS } from '../verify/streams-plan.ts'
import { openStage } from '../verify/streams-stage.ts'
import { runStreamsStorm } from '../verify/streams-storm.ts'

describe('a storm of events over Kafka', { skip: kafkaMissing() }, () => {
  test('S1 S2 S3 S4 S5 S9 N5 N8 instances killed, the broker killed and frozen: every event once in the log and in the archive, every window and revision once in table, archive and topic', async (t) => {
    const [databaseUrl, dataDir, broker] = await Promise.all([
      createTestDatabase(t),
      createTestDir(t),
      startKafka(t),
    ])
    const seed = Math.floor(Math.random() * 2 ** 31)
    t.diagnostic(`seed ${seed}`)
    const plan = planEvents({
      events: 8_000,
      postcodes: 50,
      batchSize: 40,
      streams: [PAGEVIEWS, VISITS],
      seed,
    })
    const stage = openStage(t, {
      databaseUrl,
      dataDir,
      bootstrapServers: broker.bootstrapServers,
      latePolicy: 'revise',
    })
    const { report, sent } = await runStreamsStorm({
      ...stage,
      plan,
      senders: 6,
      instances: 3,
      kills: 1,
      broker,
      brokerRestarts: 1,
      // Longer than a request waits for a broker that is only slow.
      outages: [{ what: 'the broker', service: broker, how: 'frozen', ms: 2_000 }],
      tellsDuplicates: false,
      random: seededRandom(seed),
      log: (line) => t.diagnostic(line),
    })
    const found = await stage.check(plan, sent)
    t.diagnostic(JSON.stringify({ ...report, ...found }))
    assert.deepEqual([report.sent, report.kills, report.brokerRestarts], [8_000, 1, 1])
    assert.ok(found.late! > 50)
    assert.ok(found.revisions! > 20)
    assert.ok(found.windows! > 500)
  })
})
