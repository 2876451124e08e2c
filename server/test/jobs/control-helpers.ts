import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import type { Scope } from '../helpers/scope.ts'
import { type Answer, createTestDir, type TestServer } from '../helpers/server.ts'
import { until } from '../helpers/until.ts'
import { readEverything } from './worker-helpers.ts'

/** A database and a folder for several servers, with small batches so that there is a middle to interrupt. */
export async function shareStorage(scope: Scope, env: Record<string, string> = {}) {
  const DATABASE_URL = await createTestDatabase(scope)
  const PEBBLES_DATA = await createTestDir(scope)
  return {
    env: { DATABASE_URL, PEBBLES_DATA, IMPORT_BATCH_ROWS: '10', ...env },
    pool: openTestPool(scope, DATABASE_URL),
  }
}

export function waitForRows(pool: pg.Pool, jobId: string, atLeast: number): Promise<void> {
  return until(`${atLeast} rows are imported`, async () => {
    const { rows } = await pool.query('SELECT processed_rows::int AS n FROM jobs WHERE id = $1', [jobId])
    return rows[0].n >= atLeast
  })
}

/**
 * Has an address as somebody who has not committed yet: an import that comes to it waits in the middle of its batch, until
 * it is let go.
 *
 * @returns lets it go
 */
export async function holdAddress(pool: pg.Pool, email: string): Promise<() => Promise<void>> {
  const holder = await pool.connect()
  await holder.query(
    `BEGIN; INSERT INTO customers (id, job_id, client_krn, row_number, name, email, company)
     VALUES (gen_random_uuid(), gen_random_uuid(), 'krn:dev', 1, '', '${email}', '')`,
  )
  return async () => {
    await holder.query('ROLLBACK')
    holder.release()
  }
}

/** Job, table, rejects and ledger of a job say the same; returns what they say. */
export async function assertAgreed(pool: pg.Pool, jobId: string) {
  const all = await readEverything(pool, jobId)
  assert.equal(Number(all.processed), Number(all.success) + Number(all.failed), 'processed')
  assert.deepEqual(
    [all.record.done, all.record.failed, all.record.isCompleted],
    [Number(all.success), Number(all.failed), ['completed', 'failed', 'cancelled'].includes(all.status)],
    'the record in the ledger',
  )
  assert.equal(all.rejects, Number(all.failed), 'refused rows')
  return all
}

/** Asked again while the answer is to come back: a busy machine may not get to it within the time that it is given. */
async function persist(ask: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    const answer = await ask()
    if (answer.status !== 503) return answer
    await delay(Number(answer.headers.get('retry-after')) * 1_000)
  }
}

export const control = (
  server: TestServer,
  jobId: string,
  action: 'cancel' | 'retry',
  token: string | null = null,
) => persist(() => server.call('POST', `/api/jobs/${jobId}/${action}`, { token }))

export const remove = (server: TestServer, jobId: string, query = '', token: string | null = null) =>
  persist(() => server.call('DELETE', `/api/jobs/${jobId}${query}`, { token }))

export const balance = async (server: TestServer, jobId: string) =>
  (await server.call('GET', `/api/jobs/${jobId}/balance`, { token: null })).body
