/**
 * The import as the source has it: csv-parser, one INSERT for each 100 rows, one file at a time, the event loop yielded
 * to between batches. It is given what it has not: the file is on its disk already.
 *
 * The source keeps a job's errors in one array in the job's row. With `each` they are added to it batch by batch, which
 * writes the whole array anew each time; with `end` they are written once, which is kinder than the source is.
 */
import { createReadStream } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import csv from 'csv-parser'
import pg from 'pg'
import { v7 as uuidv7 } from 'uuid'
import { emailFault } from '../../server/src/datasets/email.ts'

const BATCH_ROWS = 100
const [databaseUrl = '', path = '', table = '', whenErrors = 'end'] = process.argv.slice(2)

interface Row {
  name: string
  email: string
  phone: string
  company: string
}

const client = new pg.Client({ connectionString: databaseUrl })
await client.connect()
await client.query(
  `CREATE TEMPORARY TABLE source_job (processed integer, success integer, failed integer, errors jsonb)`,
)
await client.query(`INSERT INTO source_job VALUES (0, 0, 0, '[]')`)

const jobId = uuidv7()
const errors: { rowNumber: number; message: string; row: Row }[] = []
let told = 0
let batch: { rowNumber: number; row: Row }[] = []
let rowNumber = 1
let success = 0

for await (const row of createReadStream(path).pipe(csv()) as AsyncIterable<Row>) {
  rowNumber++
  const message = faultOf(row)
  if (message) errors.push({ rowNumber, message, row })
  else if (batch.push({ rowNumber, row }) === BATCH_ROWS) await flush()
}
await flush()
await tellErrors()
await client.end()
console.log(JSON.stringify({ success, failed: errors.length }))

function faultOf({ name, email, company }: Row): string | undefined {
  if (name.trim() === '') return 'name is required'
  if (email.trim() === '') return 'email is required'
  if (emailFault(email.trim())) return 'email is not valid'
  return company.trim() === '' ? 'company is required' : undefined
}

async function flush(): Promise<void> {
  if (batch.length > 0) {
    const values: unknown[] = []
    const rows = batch.map(({ rowNumber, row }) => {
      const { name, email, phone, company } = row
      const at = values.push(uuidv7(), jobId, 'krn:dev', rowNumber, name, email, phone || null, company)
      return `(${Array.from({ length: 8 }, (_, index) => `$${at - 7 + index}`)})`
    })
    const { rows: inserted } = await client.query(
      `INSERT INTO ${pg.escapeIdentifier(table)} (id, job_id, client_krn, row_number, name, email, phone, company)
       VALUES ${rows} ON CONFLICT DO NOTHING RETURNING row_number`,
      values,
    )
    success += inserted.length
    if (inserted.length < batch.length) {
      const stored = new Set(inserted.map(({ row_number }) => Number(row_number)))
      for (const each of batch)
        if (!stored.has(each.rowNumber)) errors.push({ ...each, message: 'email already exists' })
    }
    await client.query('UPDATE source_job SET processed = $1, success = $2, failed = $3', [
      rowNumber - 1,
      success,
      errors.length,
    ])
    batch = []
    if (whenErrors === 'each') await tellErrors()
  }
  await setImmediate()
}

async function tellErrors(): Promise<void> {
  if (told === errors.length) return
  await client.query('UPDATE source_job SET errors = errors || $1::jsonb', [
    JSON.stringify(errors.slice(told)),
  ])
  told = errors.length
}
