/** What the archiver wrote, read back and held against the log. */
import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { GetObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import { DuckDBInstance } from '@duckdb/node-api'
import { assertSame, type Count, checkTold, eventOf, type Told } from './streams-books.ts'
import type { Plan } from './streams-plan.ts'

const NAME =
  /^(raw|aggregates|late)\/([a-z]+)\/dt=\d{4}-\d\d-\d\d\/hour=\d\d\/(\d+)-(\d{16})-(\d{16})\.(ndjson\.gz|parquet)$/

interface ArchiveObject {
  path: string
  kind: string
  stream: string
  extension: Extension
  partition: number
  first: number
  last: number
  rows: Row[]
}

interface Row {
  clientKrn: string
  /** As it was sent, or as the API shows it. */
  text: string
}

/** Each event in exactly one raw object, in the one that its offset belongs to; aggregates and late events alike. */
export async function checkObjects(
  folder: string,
  plan: Plan,
  count: Count,
): Promise<{ objects: number; rawObjects: number; archivedRevisions: number }> {
  using duckDb = await openDuckDb()
  const objects = await readArchive(folder, duckDb)
  checkRanges(objects)
  const seen = new Uint8Array(plan.events)
  const told: Told[] = []
  const late: string[] = []
  let rawObjects = 0
  for (const { kind, path, stream, partition, first, last, rows } of objects) {
    if (kind === 'raw') rawObjects++
    let before = first - 1
    for (const { clientKrn, text } of rows) {
      if (kind === 'aggregates') {
        told.push({ clientKrn, stream, aggregate: JSON.parse(text) })
        continue
      }
      const { user_id: index } = eventOf(text, plan)
      const request = plan.requestOf(index)
      assert.deepEqual([clientKrn, stream], [request.clientKrn, request.stream])
      const offset = count.offsets[index]!
      assert.ok(count.partitions[index] === partition && offset > before && offset <= last, path)
      before = offset
      if (kind === 'late') late.push(`${partition}/${offset}`)
      else {
        assert.equal(seen[index], 0, `event ${index} is in two objects, or twice in ${path}`)
        seen[index] = 1
      }
    }
  }
  const missing = []
  for (const [index, offset] of count.offsets.entries())
    if (offset !== -1 && !seen[index]) missing.push(index)
  assert.deepEqual(missing.slice(0, 20), [], `${missing.length} events are in no raw object`)
  const inLog = count.offsets.reduce((sum, offset) => sum + Number(offset !== -1), 0)
  const extensions = [...new Set(objects.map(({ extension }) => extension))]
  assert.deepEqual(await duckDb.countRaw(folder, extensions), [inLog, inLog], 'DuckDB counts the same')
  const archivedRevisions = checkTold('archived aggregates', told, count)
  assertSame('archived late events', late.sort(), [...count.late.keys()].sort())
  return { objects: objects.length, rawObjects, archivedRevisions }
}

/** Objects of one stream in one partition have no offset in common. */
function checkRanges(objects: readonly ArchiveObject[]): void {
  const groups = Map.groupBy(objects, ({ kind, stream, partition }) => `${kind} ${stream} ${partition}`)
  for (const [group, members] of groups) {
    members.sort((a, b) => a.first - b.first)
    for (const [i, { path, first, last }] of members.entries()) {
      assert.ok(first <= last, path)
      const before = members[i - 1]
      assert.ok(!before || before.last < first, `${group}: ${before?.path} and ${path} overlap`)
    }
  }
}

/** Partition by partition, in the order of what is in them. */
async function readArchive(folder: string, duckDb: DuckDb): Promise<ArchiveObject[]> {
  const found: ArchiveObject[] = []
  for (const kind of ['raw', 'aggregates', 'late']) {
    const entries = await readdir(join(folder, kind), { recursive: true, withFileTypes: true }).catch(
      () => [],
    )
    for (const entry of entries) {
      if (!entry.isFile()) continue
      const path = join(entry.parentPath, entry.name).slice(folder.length + 1)
      const [, , stream, partition, first, last, extension] = NAME.exec(path) ?? []
      assert.ok(extension !== undefined, `an object with another name: ${path}`)
      const range = { partition: Number(partition), first: Number(first), last: Number(last) }
      const rows = await FORMATS[extension as Extension].read(join(folder, path), duckDb)
      found.push({ path, kind, stream: stream!, extension: extension as Extension, ...range, rows })
    }
  }
  return found.sort((a, b) => a.partition - b.partition || a.first - b.first)
}

type Extension = 'ndjson.gz' | 'parquet'

const FORMATS: Record<Extension, { relation: string; read(path: string, duckDb: DuckDb): Promise<Row[]> }> = {
  'ndjson.gz': {
    relation: 'read_json_auto',
    async read(path) {
      const text = gunzipSync(await readFile(path)).toString()
      assert.ok(text.endsWith('\n'), path)
      return text.slice(0, -1).split('\n').map(takeClient)
    },
  },
  parquet: {
    relation: 'read_parquet',
    // Columns are in the order of fields; those that a row has not are null.
    async read(path, duckDb) {
      const rows = await duckDb.query(`FROM read_parquet('${path}', hive_partitioning = false)`)
      return rows.map(({ _client, ...fields }) => ({
        clientKrn: _client as string,
        text: JSON.stringify(fields, (_, value) =>
          value === null ? undefined : typeof value === 'bigint' ? Number(value) : value,
        ),
      }))
    },
  },
}

/** A line without the `_client` that the archiver adds, word for word. */
function takeClient(line: string): Row {
  const [, head, clientKrn, tail] = /^(.*?),?"_client":"([^"]*)"(.*)$/.exec(line)!
  return { clientKrn: clientKrn!, text: head === '{' ? `{${tail!.slice(1)}` : `${head}${tail}` }
}

type DuckDb = Awaited<ReturnType<typeof openDuckDb>>

async function openDuckDb() {
  const instance = await DuckDBInstance.create()
  const connection = await instance.connect()
  const query = async (sql: string) =>
    (await connection.runAndReadAll(sql)).getRowObjectsJS() as Record<string, unknown>[]
  return {
    query,
    /** Rows of the raw archive, and how many events these are. */
    async countRaw(folder: string, extensions: readonly Extension[]): Promise<number[]> {
      const raw = extensions.map(
        (extension) =>
          `SELECT user_id FROM ${FORMATS[extension].relation}('${folder}/raw/**/*.${extension}')`,
      )
      const [counted] = await query(
        `SELECT count(*) AS n, count(DISTINCT user_id) AS of FROM (${raw.join(' UNION ALL ')})`,
      )
      return Object.values(counted!).map(Number)
    },
    [Symbol.dispose]() {
      connection.closeSync()
      instance.closeSync()
    },
  }
}

/** Everything in a bucket below a prefix, into a folder. */
export async function download(s3: Record<string, string>, prefix: string, folder: string): Promise<void> {
  const client = new S3Client({
    endpoint: s3.S3_ENDPOINT!,
    region: s3.AWS_REGION!,
    forcePathStyle: true,
    credentials: { accessKeyId: s3.AWS_ACCESS_KEY_ID!, secretAccessKey: s3.AWS_SECRET_ACCESS_KEY! },
  })
  try {
    const keys = new Set<string>()
    const below = { Bucket: s3.S3_BUCKET!, Prefix: `${prefix}/` }
    for (let token: string | undefined, more = true; more; more = token !== undefined) {
      const page = await client.send(new ListObjectsV2Command({ ...below, ContinuationToken: token }))
      for (const { Key } of page.Contents ?? []) keys.add(Key!)
      token = page.NextContinuationToken
    }
    for (const Key of keys) {
      if (DRAFT.test(Key) && keys.has(Key.replace(DRAFT, ''))) continue
      const { Body } = await client.send(new GetObjectCommand({ Bucket: s3.S3_BUCKET!, Key }))
      const path = join(folder, Key.slice(prefix.length + 1))
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, await Body!.transformToByteArray())
    }
  } finally {
    client.destroy()
  }
}

// S3Proxy writes an object beside its name first, and one that is killed meanwhile leaves that behind.
const DRAFT = /-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
