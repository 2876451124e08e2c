import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LEASE_MS, RENEW_MS } from '../../src/jobs/import/claim-postgres.ts'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import { watchForHalts } from '../helpers/halts.ts'
import { createTestDir, startServer } from '../helpers/server.ts'
import { seededRandom } from '../verify/ledger-storm.ts'
import { HEADER, uploadJob, waitForEnd } from './helpers.ts'

const FILES = 40
const ROWS = 1_500
/** Fewer than all rows together, so that nearly each address is in several files. */
const ADDRESSES = 12_000

/** Rows of one file: addresses in an order of its own, some of them twice, in upper or lower case. */
function overlappingRows(random: () => number): { content: string; addresses: string[] } {
  const addresses = Array.from(
    { length: ROWS },
    () => `all${Math.floor(random() ** 2 * ADDRESSES)}@example.com`,
  )
  const lines = addresses.map((email) => `P,${random() < 0.3 ? email.toUpperCase() : email},,C\n`)
  return { content: HEADER + lines.join(''), addresses }
}

test('N2 F6 40 files at once, 4 workers, addresses that overlap in different orders: no deadlock, every file ends, each address once', async (t) => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  t.diagnostic(`seed ${seed}`)
  const random = seededRandom(seed)
  const DATABASE_URL = await createTestDatabase(t)
  const PEBBLES_DATA = await createTestDir(t)
  const env = { DATABASE_URL, PEBBLES_DATA, IMPORT_CONCURRENCY: '2', IMPORT_BATCH_ROWS: '200' }
  const [server] = await Promise.all([startServer(t, env), startServer(t, env)])
  using halts = watchForHalts()
  const files = Array.from({ length: FILES }, () => overlappingRows(random))
  const jobIds = await Promise.all(
    files.map(({ content }, n) => uploadJob(server, content, { filename: `${n}.csv` })),
  )
  let success = 0
  let duplicates = 0
  for (const jobId of jobIds) {
    const job = await waitForEnd(server, jobId, null, 120_000)
    assert.deepEqual([job.status, job.error, job.processedRows], ['completed', null, ROWS])
    assert.equal(job.successCount + job.failedCount, ROWS)
    success += job.successCount
    duplicates += job.failedCount
  }
  const distinct = new Set(files.flatMap(({ addresses }) => addresses)).size
  assert.deepEqual([success, duplicates], [distinct, FILES * ROWS - distinct])
  const pool = openTestPool(t, DATABASE_URL)
  const { rows } = await pool.query(
    `SELECT (SELECT count(*) FROM customers)::int AS stored,
            (SELECT count(DISTINCT lower(email)) FROM customers)::int AS addresses,
            (SELECT count(*) FROM job_rejects WHERE is_duplicate)::int AS rejects,
            (SELECT sum(done) FROM records)::int AS done,
            (SELECT deadlocks FROM pg_stat_database WHERE datname = current_database())::int AS deadlocks`,
  )
  assert.deepEqual(rows[0], {
    stored: distinct,
    addresses: distinct,
    rejects: FILES * ROWS - distinct,
    done: distinct,
    deadlocks: 0,
  })
  const { rows: most } = await pool.query('SELECT max(attempt) AS attempts FROM jobs')
  if (halts.longestMs() < LEASE_MS - RENEW_MS) assert.equal(most[0].attempts, 1)
})
