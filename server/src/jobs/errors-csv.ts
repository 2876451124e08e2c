import { Readable } from 'node:stream'
import type { Pool } from 'pg'
import { CUSTOMERS } from '../datasets/customers.ts'
import { csvLine } from '../platform/csv.ts'
import { splitCells } from './csv/cells.ts'
import type { Dialect, Job, Reject } from './job.ts'
import { readRejects } from './read-postgres.ts'

const CHUNK = { limit: 1_000, maxBytes: 1024 * 1024 }

/** All rejected rows of a job, with the columns of its file; read on only as fast as they are taken. */
export function streamErrorsCsv(pool: Pool, job: Job): Readable {
  return Readable.from(errorsCsv(pool, job), { objectMode: false })
}

async function* errorsCsv(pool: Pool, { id, dialect }: Job): AsyncGenerator<string> {
  const header = dialect?.header ?? CUSTOMERS.columns.map(({ name }) => name)
  yield csvLine(['rowNumber', ...header, 'error'])
  for (let after = 0; ; ) {
    const rejects = await readRejects(pool, id, { after, ...CHUNK })
    const last = rejects.at(-1)
    if (!last) return
    yield rejects.map((reject) => errorLine(reject, dialect!)).join('')
    after = last.rowNumber
  }
}

/** Cells beyond the header come after the error, so that every error stands in its column. */
function errorLine({ rowNumber, message, raw }: Reject, dialect: Dialect): string {
  const cells = splitCells(raw.toString(), dialect)
  const width = dialect.header.length
  const row = Array.from({ length: width }, (_, index) => cells[index] ?? '')
  return csvLine([rowNumber, ...row, message, ...cells.slice(width)])
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
