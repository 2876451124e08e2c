import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { type ArchiveColumn, type ArchiveRow, fitColumns, toColumn } from './archive-columns.ts'

const TYPES = { string: 'STRING', integer: 'INT64', number: 'DOUBLE', boolean: 'BOOLEAN' } as const
const ROW_GROUP_ROWS = 100_000
/** What takes less than the 25 ms or so that a thread takes to begin is done here. */
const MAX_BYTES_HERE = 512 * 1024

/** What a thread is to encode. */
export interface ParquetTask {
  lines: readonly Uint8Array[]
  columns: readonly ArchiveColumn[]
}

/** As {@link encodeParquet}, in a thread of its own when it is much. */
export async function encodeParquetAside(
  lines: readonly Uint8Array[],
  columns: readonly ArchiveColumn[],
): Promise<Uint8Array> {
  const sizeBytes = lines.reduce((sum, piece) => sum + piece.length, 0)
  if (sizeBytes <= MAX_BYTES_HERE) return encodeParquet(lines, columns)
  const workerData: ParquetTask = { lines, columns }
  const worker = new Worker(new URL('./archive-parquet-thread.ts', import.meta.url), { workerData })
  const [bytes] = (await once(worker, 'message')) as [Uint8Array]
  return bytes
}

/** Rows that are NDJSON, in the columns and whatever else they have. */
export function encodeParquet(lines: readonly Uint8Array[], columns: readonly ArchiveColumn[]): Uint8Array {
  const rows = lines.flatMap((piece) => parseLines(piece))
  const bytes = parquetWriteBuffer({
    columnData: fitColumns(rows, columns).map(({ name, type }) => ({
      name,
      type: TYPES[type],
      nullable: true,
      // A field may be called `constructor`.
      data: rows.map((row) => toColumn(type, Object.hasOwn(row, name) ? row[name] : undefined)),
    })),
    rowGroupSize: ROW_GROUP_ROWS,
    createdBy: 'pebbles',
  })
  return new Uint8Array(bytes)
}

function parseLines(piece: Uint8Array): ArchiveRow[] {
  const text = Buffer.from(piece.buffer, piece.byteOffset, piece.length).toString()
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as ArchiveRow)
}
