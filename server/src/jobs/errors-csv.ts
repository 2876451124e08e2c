import { Readable } from 'node:stream'
import type { Pool } from 'pg'
import { CUSTOMERS } from '../datasets/customers.ts'
import { columnKey } from '../datasets/header.ts'
import { csvLine } from '../platform/csv.ts'
import type { Job, Reject } from './job.ts'
import { readRejects } from './read-postgres.ts'

const CHUNK = { limit: 1_000, maxBytes: 1024 * 1024 }
const COLUMNS = CUSTOMERS.columns.map(({ name }) => name)

/** All rejected rows of a job, read on only as fast as they are taken. */
export function streamErrorsCsv(pool: Pool, job: Job): Readable {
  return Readable.from(errorsCsv(pool, job), { objectMode: false })
}

async function* errorsCsv(pool: Pool, { id }: Job): AsyncGenerator<string> {
  yield csvLine(['rowNumber', ...COLUMNS, 'error'])
  for (let after = 0; ; ) {
    const rejects = await readRejects(pool, id, { after, ...CHUNK })
    const last = rejects.at(-1)
    if (!last) return
    yield rejects.map(errorLine).join('')
    after = last.rowNumber
  }
}

function errorLine({ rowNumber, message, row }: Reject): string {
  const cells = new Map(Object.entries(row).map(([name, value]) => [columnKey(name), value]))
  return csvLine([rowNumber, ...COLUMNS.map((name) => cells.get(name) ?? ''), message])
}

/** `Content-Disposition` for the errors of a file (RFC 6266): a plain name for all, the real one in RFC 8187. */
export function errorsDisposition(filename: string): string {
  const name = `${filename.replace(/\.csv$/i, '')}-errors.csv`
  const plain = name.replaceAll(/[^\x20-\x7e]|["\\%]/g, '_')
  const encoded = encodeURIComponent(name).replaceAll(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`
}
