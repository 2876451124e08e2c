import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { DuckDBInstance } from '@duckdb/node-api'
import { isObjectName } from '../../src/platform/objects/objects.ts'
import type { ArchiveColumn, ArchiveRow } from '../../src/streams/archive/archive-columns.ts'
import { type ArchiveFormat, archiveName, encodeArchive } from '../../src/streams/archive/archive-file.ts'
import { encodeParquet } from '../../src/streams/archive/archive-parquet.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { createTestDir } from '../helpers/server.ts'

const COLUMNS: ArchiveColumn[] = [
  { name: 'user_id', type: 'integer' },
  { name: 'postcode', type: 'string' },
  { name: 'timestamp', type: 'integer' },
  { name: 'seconds', type: 'number' },
  { name: 'isFirst', type: 'boolean' },
]
const FILES = 6
const ROWS = 500
const AT = Date.parse('2026-11-24T21:30:00Z')

/** Events of one file; the optional fields are in some of them, and in none of the first file. */
function events(file: number): ArchiveRow[] {
  return Array.from({ length: ROWS }, (_, n) => ({
    user_id: n === 0 ? Number.MAX_SAFE_INTEGER - file : -n,
    postcode: n % 2 ? `SW${n}` : '"é\n🪨"',
    timestamp: AT / 1_000 + n,
    ...(file > 0 && n % 3 === 0 && { seconds: n / 8, isFirst: n % 2 === 0 }),
  }))
}

/** One file an hour, the last ones on the next day. */
const nameOf = (format: ArchiveFormat, file: number) =>
  archiveName({
    kind: 'raw',
    stream: 'pageviews',
    format,
    partition: file % 2,
    first: file * ROWS,
    last: file * ROWS + ROWS - 1,
    at: new Date(AT + file * 3_600_000),
  })

const linesOf = (rows: readonly ArchiveRow[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('')

async function encode(
  format: ArchiveFormat,
  rows: readonly ArchiveRow[],
  columns = COLUMNS,
): Promise<Buffer> {
  const half = rows.length >> 1
  const lines = [rows.slice(0, half), rows.slice(half)].map((part) => Buffer.from(linesOf(part)))
  return Buffer.concat(await encodeArchive(format, lines, columns))
}

async function writeArchive(scope: Scope, format: ArchiveFormat): Promise<string> {
  const dir = await createTestDir(scope)
  for (let file = 0; file < FILES; file++) {
    const path = join(dir, nameOf(format, file))
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, await encode(format, events(file)))
  }
  return dir
}

async function ask(scope: Scope, sql: string) {
  const instance = await DuckDBInstance.create()
  const connection = await instance.connect()
  atEnd(scope, () => {
    connection.closeSync()
    instance.closeSync()
  })
  return (await connection.runAndReadAll(sql)).getRowObjectsJS()
}

describe('files of archives', () => {
  for (const [format, read] of [
    ['ndjson', (dir: string) => `read_json_auto('${dir}/raw/**/*.gz')`],
    ['parquet', (dir: string) => `read_parquet('${dir}/raw/**/*.parquet')`],
  ] as const) {
    test(`S3 DuckDB reads all files of a folder at once, as they were: ${format}`, async (t) => {
      const dir = await writeArchive(t, format)
      const fields = COLUMNS.map(({ name }) => `"${name}"`).join(', ')
      const rows = await ask(t, `SELECT ${fields} FROM ${read(dir)} ORDER BY dt, hour, "timestamp"`)
      const found = rows.map((row) =>
        Object.fromEntries(
          Object.entries(row)
            .filter(([, value]) => value !== null)
            .map(([name, value]) => [name, typeof value === 'bigint' ? Number(value) : value]),
        ),
      )
      assert.deepEqual(found, Array.from({ length: FILES }, (_, file) => events(file)).flat())
      const [counted] = await ask(
        t,
        `SELECT count(*)::int AS events FROM ${read(dir)} WHERE dt = '2026-11-25' AND hour = 2`,
      )
      assert.deepEqual(counted, { events: ROWS })
    })

    test(`S3 the same events are the same bytes: ${format}`, async () => {
      const [one, two] = await Promise.all([1, 2].map(() => encode(format, events(1))))
      assert.deepEqual(one, two)
      assert.notDeepEqual(one, await encode(format, events(2)))
    })

    test(`S3 a file without events can be read as well: ${format}`, async (t) => {
      const dir = await writeArchive(t, format)
      const path = join(dir, nameOf(format, FILES))
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, await encode(format, []))
      const [counted] = await ask(t, `SELECT count(*)::int AS events FROM ${read(dir)}`)
      assert.deepEqual(counted, { events: FILES * ROWS })
    })
  }

  test('S3 a large Parquet file, which a thread of its own encodes, is the same', async () => {
    const lines = Array.from({ length: 20 }, (_, file) => Buffer.from(linesOf(events(file))))
    assert.ok(Buffer.concat(lines).length > 512 * 1024)
    const [bytes] = await encodeArchive('parquet', lines, COLUMNS)
    assert.deepEqual(bytes, encodeParquet(lines, COLUMNS))
  })

  test('S3 a line is the event as it is; nothing in the file tells where or when it was made', async () => {
    const bytes = await encode('ndjson', events(1))
    assert.equal(gunzipSync(bytes).toString(), linesOf(events(1)))
    // ID, method, flags, time, extra flags, system (RFC 1952).
    assert.deepEqual([...bytes.subarray(0, 10)], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255])
  })

  test('S3 names tell kind, stream, hour, partition and offsets, and sort by these', () => {
    const archive = { kind: 'raw', stream: 'pageviews', format: 'ndjson', partition: 3 } as const
    const at = new Date('2026-11-24T10:59:59.999Z')
    const name = archiveName({ ...archive, first: 120, last: 199, at })
    assert.equal(name, 'raw/pageviews/dt=2026-11-24/hour=10/3-0000000000000120-0000000000000199.ndjson.gz')
    assert.ok(isObjectName(name))
    assert.ok(name < archiveName({ ...archive, first: 1_000n, last: 1_001n, at }))
    assert.equal(
      archiveName({ ...archive, kind: 'late', format: 'parquet', first: 0, last: 2 ** 53 - 1, at }),
      'late/pageviews/dt=2026-11-24/hour=10/3-0000000000000000-9007199254740991.parquet',
    )
  })
})
