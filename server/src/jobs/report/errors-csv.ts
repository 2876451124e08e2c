import { Readable } from 'node:stream'
import type { Pool } from 'pg'
import { findDeclaration } from '../../datasets/store-postgres.ts'
import { csvLine, guardFormula } from '../../platform/csv.ts'
import { splitCells } from '../csv/cells.ts'
import type { Dialect, Job, Reject } from '../job.ts'
import { readRejects } from '../read-postgres.ts'
import { ERROR, ROW_NUMBER, readCorrectedReport } from './corrected-report.ts'

const CHUNK = { limit: 1_000, maxBytes: 1024 * 1024 }

/** All rejected rows of a job, in their order, so many at a time. */
export async function* rejectPages(pool: Pool, jobId: string): AsyncGenerator<Reject[]> {
  for (let after = 0; ; ) {
    const rejects = await readRejects(pool, jobId, { after, ...CHUNK })
    const last = rejects.at(-1)
    if (!last) return
    yield rejects
    after = last.rowNumber
  }
}

/** All rejected rows of a job, with the columns of its file; read on only as fast as they are taken. */
export function streamErrorsCsv(pool: Pool, job: Job): Readable {
  return Readable.from(errorsCsv(pool, job), { objectMode: false })
}

/**
 * `rowNumber,<original columns>,error`, safe to open in a spreadsheet. The same rows give the same bytes, whose hash is
 * in the job's receipt.
 */
export async function* errorsCsv(pool: Pool, job: Job): AsyncGenerator<string> {
  const report = job.dialect ? describeReport(job, job.dialect) : undefined
  const header = report?.header ?? (await columnsOf(pool, job))
  yield csvLine([ROW_NUMBER, ...header.map(guardFormula), ERROR])
  // When the job was read, its file had not been: what is refused since then is for the next one who asks.
  if (!report) return
  for await (const rejects of rejectPages(pool, job.id))
    yield rejects.map((reject) => errorLine(report, reject)).join('')
}

/** What the header of a file that was not read yet should have. */
export async function columnsOf(pool: Pool, job: Job): Promise<string[]> {
  const found = await findDeclaration(pool, job.clientKrn, job.dataset, job.datasetVersion)
  return found?.declaration.columns.map(({ name }) => name) ?? []
}

/** Cells beyond the header come after the error, so that every error stands in its column. */
function errorLine({ header, read }: Report, reject: Reject): string {
  const { rowNumber, cells } = read(reject)
  const row = Array.from({ length: header.length }, (_, index) => guardFormula(cells[index] ?? ''))
  const beyond = cells.slice(header.length).map(guardFormula)
  return csvLine([rowNumber, ...row, reject.message, ...beyond])
}

interface Report {
  header: readonly string[]
  read(reject: Reject): { rowNumber: number | null; cells: string[] }
}

/**
 * A correction reports like the job that it corrects: with the columns of that file and its row numbers, so that what
 * was refused once more can be corrected once more in the same way.
 */
function describeReport({ parentId }: Job, dialect: Dialect): Report {
  const { header } = dialect
  const cellsOf = ({ raw }: Reject) => splitCells(raw.toString(), dialect)
  if (parentId === null)
    return { header, read: (reject) => ({ rowNumber: reject.rowNumber, cells: cellsOf(reject) }) }
  const corrected = readCorrectedReport(header)
  return {
    header: corrected.header,
    read(reject) {
      const cells = cellsOf(reject)
      return { rowNumber: corrected.parentRow(cells), cells: corrected.dataCells(cells) }
    },
  }
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
