import assert from 'node:assert/strict'
import type pg from 'pg'
import type { FatedFile } from './fated-file.ts'

export interface JobInBooks {
  id: string
  status: string
  attempt: number
  processed: number
}

/**
 * What job, table, rejects and ledger say of all jobs at one instant, in one snapshot: the same story, and the one that
 * the files tell up to each checkpoint.
 */
export async function checkBooks(
  client: pg.Client,
  files: ReadonlyMap<string, FatedFile>,
): Promise<JobInBooks[]> {
  const { rows } = await inSnapshot(client, () =>
    client.query(
      `SELECT j.id, status, attempt, error, row_number AS "rowNumber", total_rows AS "totalRows",
              processed_rows AS processed, success_count AS success, failed_count AS failed,
              (SELECT count(*) FROM customers c WHERE c.job_id = j.id)::int AS stored,
              (SELECT count(*) FROM job_rejects r WHERE r.job_id = j.id)::int AS rejects,
              json_build_object('done', r.done, 'failed', r.failed, 'errors', r.errors_total, 'warn', r.warn,
                                'total', r.total, 'isCompleted', r.is_completed) AS record
       FROM jobs j
       JOIN records r ON r.client_krn = j.client_krn AND r.filename = j.ledger_filename
       WHERE j.id = ANY ($1::uuid[])`,
      [[...files.keys()]],
    ),
  )
  assert.equal(rows.length, files.size, 'every job is there, with its record')
  for (const row of rows) {
    const file = files.get(row.id)!
    const rowNumber = Number(row.rowNumber)
    const done = file.storedUpTo[rowNumber]!
    const failed = file.refusedUpTo[rowNumber]!
    const isDone = row.status === 'completed'
    assert.deepEqual(
      {
        ...row,
        processed: Number(row.processed),
        success: Number(row.success),
        failed: Number(row.failed),
        totalRows: row.totalRows === null ? null : Number(row.totalRows),
      },
      {
        ...row,
        error: null,
        processed: done + failed,
        success: done,
        failed,
        stored: done,
        rejects: failed,
        totalRows: row.totalRows === null ? null : file.total,
        record: {
          done,
          failed,
          errors: failed,
          warn: 0,
          total: row.totalRows === null ? null : file.total,
          isCompleted: isDone,
        },
      },
      `job ${row.id} at row ${rowNumber}`,
    )
    if (isDone) assert.equal(done + failed, file.total)
    assert.ok(['pending', 'processing', 'completed'].includes(row.status), row.status)
  }
  return rows.map(({ id, status, attempt, processed }) => ({
    id,
    status,
    attempt,
    processed: Number(processed),
  }))
}

/** Each row of a file that was imported, one by one: stored as what it is, or refused for what it is. */
export async function checkEveryRow(client: pg.Client, jobId: string, file: FatedFile): Promise<void> {
  const { rows: stored } = await client.query(
    'SELECT row_number, email, name, company FROM customers WHERE job_id = $1 ORDER BY row_number',
    [jobId],
  )
  assert.equal(stored.length, file.stored.size)
  let at = 0
  for (const [rowNumber, email] of file.stored) {
    const row = stored[at++]
    const n = email.slice(file.prefix.length + 1, email.indexOf('@'))
    assert.deepEqual([Number(row.row_number), row.email], [rowNumber, email])
    assert.ok(row.name === `Person ${n}` || row.name === `Käthe\n"${n}", Ltd`, row.name)
    assert.equal(row.company, `Company\r\n${n}, Inc`)
  }
  const { rows: rejects } = await client.query(
    'SELECT row_number, message FROM job_rejects WHERE job_id = $1 ORDER BY row_number',
    [jobId],
  )
  const { rows: issues } = await client.query(
    `SELECT i.line AS row_number, i.message FROM issues i JOIN records r ON r.id = i.record_id
     JOIN jobs j ON j.client_krn = r.client_krn AND j.ledger_filename = r.filename
     WHERE j.id = $1 ORDER BY i.line, i.ordinal`,
    [jobId],
  )
  for (const told of [rejects, issues]) {
    assert.deepEqual(
      told.map(({ row_number, message }) => [Number(row_number), message]),
      [...file.refused],
    )
  }
}

async function inSnapshot<T>(client: pg.Client, work: () => Promise<T>): Promise<T> {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
  try {
    return await work()
  } finally {
    await client.query('COMMIT')
  }
}
