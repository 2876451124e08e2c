import { Readable } from 'node:stream'
import { createGzip } from 'node:zlib'
import type { ArchiveColumn } from './archive-columns.ts'

export type ArchiveFormat = 'ndjson' | 'parquet'
export type ArchiveKind = 'raw' | 'aggregates' | 'late'

const EXTENSIONS: Record<ArchiveFormat, string> = { ndjson: 'ndjson.gz', parquet: 'parquet' }
/** 2^53 has as many. */
const OFFSET_DIGITS = 16

/**
 * Where the rows of a partition from offset `first` to `last` lie, such as
 * `raw/pageviews/dt=2026-11-24/hour=10/3-0000000000000120-0000000000000199.ndjson.gz`. Names of one partition sort as
 * their offsets do.
 *
 * @param at  whose hour (UTC) names the folder; any retry must give the same
 */
export function archiveName(archive: {
  kind: ArchiveKind
  stream: string
  format: ArchiveFormat
  partition: number
  first: number | bigint
  last: number | bigint
  at: Date
}): string {
  const { kind, stream, format, partition, first, last, at } = archive
  const [day, time = ''] = at.toISOString().split('T')
  const [from, to] = [first, last].map((offset) => String(offset).padStart(OFFSET_DIGITS, '0'))
  return `${kind}/${stream}/dt=${day}/hour=${time.slice(0, 2)}/${partition}-${from}-${to}.${EXTENSIONS[format]}`
}

/**
 * The content of an archive file, in pieces: the same rows give the same bytes, on any machine. NDJSON has the lines as
 * they are; Parquet has the columns, integers in 64 bits. Compressing and encoding hold up no other work.
 *
 * @param lines rows as NDJSON, in pieces that end where a line does
 */
export async function encodeArchive(
  format: ArchiveFormat,
  lines: readonly Uint8Array[],
  columns: readonly ArchiveColumn[],
): Promise<Uint8Array[]> {
  if (format === 'ndjson') return compress(lines)
  // Loaded only where it is used.
  const { encodeParquetAside } = await import('./archive-parquet.ts')
  return [await encodeParquetAside(lines, columns)]
}

/** Level 6 takes almost twice the time of all this for files that are a tenth smaller. */
const GZIP_LEVEL = 1
/** Each piece is a way to another thread and back. */
const PIECE_BYTES = 256 * 1024
const OS_AT = 9
const OS_UNKNOWN = 255

async function compress(lines: readonly Uint8Array[]): Promise<Uint8Array[]> {
  const gzip = Readable.from(lines).pipe(createGzip({ level: GZIP_LEVEL, chunkSize: PIECE_BYTES }))
  const pieces: Uint8Array[] = []
  for await (const piece of gzip as AsyncIterable<Buffer>) pieces.push(piece)
  // The header (RFC 1952) names the system. The time in it is 0 as it is.
  pieces[0]![OS_AT] = OS_UNKNOWN
  return pieces
}
