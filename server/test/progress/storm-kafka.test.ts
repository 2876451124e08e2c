import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import { createTestDir, spawnWorker } from '../helpers/server.ts'
import { kafkaMissing, startKafka } from '../helpers/services.ts'
import { runKafkaStorm } from '../verify/kafka-storm.ts'
import { seededRandom } from '../verify/ledger-storm.ts'
import { openTestLog } from './kafka-helpers.ts'
import { openTestStore } from './kafka-outside.ts'

describe('a storm over a topic', { skip: kafkaMissing() }, () => {
  test('P15 P24 N1 consumers killed, a broker restarted, a topic replayed: every number is exact', async (t) => {
    const kafka = await startKafka(t)
    const topic = openTestLog(t, kafka.bootstrapServers)
    const DATABASE_URL = await createTestDatabase(t)
    const pool = openTestPool(t, DATABASE_URL)
    const PEBBLES_DATA = await createTestDir(t)
    const seed = Math.floor(Math.random() * 2 ** 31)
    t.diagnostic(`seed ${seed}`)
    const report = await runKafkaStorm({
      updates: 20_000,
      records: 100,
      partitions: 12,
      consumers: 3,
      kills: 3,
      brokerRestarts: 1,
      random: seededRandom(seed),
      topic,
      kafka,
      store: openTestStore(t, DATABASE_URL),
      async applied() {
        const { rows } = await pool.query('SELECT coalesce(sum(next_offset), 0)::int AS n FROM log_positions')
        return rows[0].n
      },
      spawn: () => spawnWorker(t, { ...topic.env, PEBBLES_ROLES: 'consumers', DATABASE_URL, PEBBLES_DATA }),
      scope: t,
      log: (line) => t.diagnostic(line),
    })
    assert.equal(report.kills, 3)
  })
})
