import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { PgBoss } from 'pg-boss'
import { entryKey } from '../../src/jobs/queue/line.ts'
import { createTestDatabase, openTestPool, takeDatabaseAway } from '../helpers/database.ts'
import { until } from '../helpers/until.ts'
import { openQueueBench, openQueueOn, type QueueBench, type QueueServer } from './queue-bench.ts'
import { describeQueue } from './queue-contract.ts'
import { spawnWorker } from './queue-process.ts'

/** Lets pg-boss do now what it does every minute and every hour, on entries as old as given. */
async function maintain({ databaseUrl, pool }: QueueBench, age: string): Promise<void> {
  await pool.query(
    `UPDATE pgboss.job SET completed_on = completed_on - $1::interval, heartbeat_on = heartbeat_on - $1::interval`,
    [age],
  )
  await pool.query('UPDATE pgboss.queue SET maintain_on = NULL, monitor_on = NULL, monitor_claim_on = NULL')
  const boss = new PgBoss({ connectionString: databaseUrl, schedule: false, supervise: false, max: 1 })
  boss.on('error', () => {})
  await boss.start()
  await boss.supervise()
  await boss.stop()
}

const server: QueueServer = {
  redisUrl: undefined,
  async forget({ pool }) {
    await pool.query('DELETE FROM pgboss.job')
  },
  async restart({ databaseUrl }, awayMs) {
    const giveBack = await takeDatabaseAway(databaseUrl)
    await delay(awayMs)
    await giveBack()
  },
  async redeliver({ pool }, entry) {
    const db = { executeSql: (text: string, values?: unknown[]) => pool.query(text, values) }
    const boss = new PgBoss({ db, schedule: false, supervise: false, migrate: false })
    await boss.send('imports', { ...entry }, { singletonKey: entryKey(entry) })
  },
  async count(bench) {
    await maintain(bench, '2 hours')
    return (await bench.pool.query('SELECT count(*)::int AS n FROM pgboss.job')).rows[0].n
  },
}

describeQueue('pg-boss on PostgreSQL', async () => server)

describe('pg-boss', { concurrency: 2 }, () => {
  test('F7 many processes that start at once on a new database make its schema once', async (t) => {
    const databaseUrl = await createTestDatabase(t)
    const pool = openTestPool(t, databaseUrl)
    await pool.query('DROP SCHEMA pgboss CASCADE')
    await Promise.all([1, 2, 3, 4, 5].map(() => openQueueOn(t, { databaseUrl, redisUrl: undefined })))
    const { rows } = await pool.query('SELECT name, heartbeat_seconds FROM pgboss.queue')
    assert.deepEqual(rows, [{ name: 'imports', heartbeat_seconds: 30 }])
  })

  test('F7 an entry lives by the heartbeats of its worker, and is closed without them', async (t) => {
    const bench = await openQueueBench(t, server)
    const worker = await spawnWorker(t, bench, server, { HOLD: 'true' })
    await bench.newJob()
    await until('the worker has begun', () => worker.lines.length === 1)
    const states = async () =>
      (await bench.pool.query('SELECT state FROM pgboss.job')).rows.map(({ state }) => state)
    await maintain(bench, '20 seconds')
    assert.deepEqual(await states(), ['active'])
    await worker.end('SIGKILL')
    await maintain(bench, '40 seconds')
    assert.deepEqual(await states(), ['failed'])
  })
})
