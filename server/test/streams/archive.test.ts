import assert from 'node:assert/strict'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import pg from 'pg'
import { balanceOf } from '../../src/streams/balance/balance.ts'
import { countStreamBooks } from '../../src/streams/balance/balance-postgres.ts'
import { dropOldLogDays } from '../../src/streams/log/log-days-postgres.ts'
import { openTestPool } from '../helpers/database.ts'
import { scrape } from '../helpers/metrics.ts'
import { atEnd } from '../helpers/scope.ts'
import { startServer } from '../helpers/server.ts'
import { ask, filesIn, objectsOf, openRig, pageview, readAllOf } from './archive-rig.ts'

test('S3 a process is killed before the intent, behind it, and behind the object: every event is in one object', async (t) => {
  const rig = await openRig(t, { maxRows: 40 })
  const { pool, until } = rig
  const locker = new pg.Client({ connectionString: rig.databaseUrl })
  await locker.connect()
  atEnd(t, () => locker.end())
  /** Whoever writes to the table waits. */
  const lock = async (table: string) => {
    await locker.query('BEGIN')
    await locker.query(`LOCK TABLE ${table} IN SHARE MODE`)
  }
  const unlock = () => locker.query('ROLLBACK')
  const waitsForLock = async () =>
    (
      await pool.query(
        `SELECT FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
      )
    ).rowCount! > 0

  await rig.append(100)
  await lock('archive_intents')
  const first = await rig.spawn()
  await until('an intent on its way', waitsForLock)
  await first.kill()
  await unlock()
  assert.deepEqual([await rig.intents(), await rig.files()], [[], []])

  // A file where the folder should be: the intents are committed, and nothing can be written.
  const raw = join(rig.dir, 'raw')
  await mkdir(dirname(raw), { recursive: true })
  await writeFile(raw, '')
  const second = await rig.spawn()
  await until('intents', async () => (await rig.intents()).length === 2)
  await second.kill()
  await rm(raw)
  const intended = (await rig.intents()).flatMap(({ objects }) => objects.map(({ name }) => name))
  assert.ok(intended.length === 2)

  // Other limits and another format make no other objects of what was intended.
  await lock('archived')
  const third = await rig.spawn({ maxRows: 7, format: 'parquet' })
  await until('objects', async () => (await rig.files()).length === 2 && (await waitsForLock()))
  await third.kill()
  await unlock()
  const written = await rig.files()
  assert.deepEqual(
    written.map(({ name }) => name),
    intended,
  )

  await rig.append(50)
  await rig.spawn()
  await rig.allArchived()
  assert.deepEqual(
    (await rig.files()).filter(({ name }) => intended.includes(name)),
    written,
    'what was there was not touched',
  )
  await rig.checkEachOnce()
})

test('S3 N5 a process that hung wakes up when others have long gone on: it writes nothing new, and harms nothing', async (t) => {
  const rig = await openRig(t, { maxRows: 40 })
  const raw = join(rig.dir, 'raw')
  await mkdir(dirname(raw), { recursive: true })
  await writeFile(raw, '')
  await rig.append(200)
  const zombie = await rig.spawn()
  await rig.until('intents', async () => (await rig.intents()).length === 2)
  zombie.process.kill('SIGSTOP')
  await rm(raw)
  const other = await rig.spawn()
  await rig.allArchived()
  const files = await rig.files()
  await other.stop()
  zombie.process.kill('SIGCONT')
  // It is the only one now, so this is archived by the one that was asleep, from where the other one stopped.
  await rig.append(50)
  await rig.allArchived()
  const names = new Set(files.map(({ name }) => name))
  assert.deepEqual(
    (await rig.files()).filter(({ name }) => names.has(name)),
    files,
  )
  await rig.checkEachOnce()
})

for (const format of ['ndjson', 'parquet'] as const) {
  test(`S3 S4 S5 S6 N5 events of two clients, then silence: raw, aggregates and late are in objects, each once, and the books balance: ${format}`, async (t) => {
    const server = await startServer(t, {
      PEBBLES_ROLES: 'api,streams',
      STREAM_PARTITIONS: '2',
      STREAM_IDLE_MS: '300',
      STREAM_GRACE_MS: '2000',
      ARCHIVE_FORMAT: format,
      ARCHIVE_MAX_AGE_MS: '200',
    })
    const pool = openTestPool(t, server.databaseUrl)
    const tokens = new Map<string, string>()
    for (const client of ['krn:a', 'krn:b'])
      tokens.set(client, await server.token('alice@example.com', client))
    const send = async (client: string, path: string, body: unknown, method = 'POST') => {
      const answer = await server.call(method, path, { body, token: tokens.get(client)! })
      assert.ok(answer.status < 300, JSON.stringify(answer.body))
    }
    const views = '/api/pageviews/batch'
    const view = (user_id: number, postcode: string, time: string, more = {}) => ({
      user_id,
      postcode,
      webpage: 'www.website.com',
      timestamp: Date.parse(`2021-01-26T${time}Z`) / 1_000,
      ...more,
    })
    await send('krn:a', views, [view(1, 'SW19', '14:44:00'), view(2, 'SW19', '14:44:59', { event_id: 'x' })])
    await send('krn:a', views, [view(3, 'SW19', '14:50:00'), view(4, 'SW19', '14:44:30')])
    await send('krn:b', views, [view(5, 'SW19', '09:00:00')])
    for (const client of tokens.keys()) {
      const declaration = {
        key: ['shop'],
        timestamp: { field: 'at', unit: 's' },
        windowSeconds: 3_600,
        graceSeconds: 0,
        fields: [
          { name: 'shop', type: 'integer' },
          { name: 'at', type: 'integer' },
          { name: 'amount', type: 'number', required: false },
        ],
        measures: [{ name: 'sales', kind: 'count' }],
      }
      await send(client, `/clients/${client}/streams/sales`, declaration, 'PUT')
    }
    await send('krn:a', '/clients/krn:a/streams/sales/events', [{ shop: 8, at: 7_200, amount: 2.5 }])
    await send('krn:b', '/clients/krn:b/streams/sales/events', [{ shop: 7, at: 7_200 }])

    for (let look = 0; ; look++) {
      const books = await Promise.all(
        [...tokens].map(async ([client, token]) => {
          const { body } = await server.call('GET', `/clients/${client}/streams/pageviews/balance`, { token })
          assert.deepEqual(body.differences, [])
          assert.equal(body.archived + body.archiveInFlight, body.received)
          return body
        }),
      )
      const { rows } = await pool.query(
        `SELECT kind, sum(archived_rows)::int AS n FROM archived GROUP BY kind ORDER BY kind`,
      )
      const isDone = books.every(
        ({ inFlight, open, archiveInFlight }) => inFlight + open + archiveInFlight === 0,
      )
      if (isDone && rows.map(({ kind, n }) => `${kind} ${n}`).join() === 'aggregates 5,late 1,raw 7') break
      assert.ok(look < 1_200, JSON.stringify([books, rows]))
      await sleep(50)
    }

    const dir = await objectsOf(pool, server.dataDir)
    const all = (kind: string, fields: string) =>
      ask(t, `SELECT ${fields} FROM ${readAllOf(dir, kind, format)} ORDER BY ALL`)
    const rows = (kind: string, stream: string, fields: string) =>
      ask(t, `SELECT ${fields} FROM ${readAllOf(dir, `${kind}/${stream}`, format)} ORDER BY ALL`)
    const events = await rows(
      'raw',
      'pageviews',
      'user_id::int AS id, postcode, event_id, _client, "timestamp"::int AS at',
    )
    assert.deepEqual(
      events.map(({ id, event_id, _client }) => [id, event_id, _client]),
      [
        [1, null, 'krn:a'],
        [2, 'x', 'krn:a'],
        [3, null, 'krn:a'],
        [4, null, 'krn:a'],
        [5, null, 'krn:b'],
      ],
    )
    assert.equal(events[0]!.at, view(1, '', '14:44:00').timestamp)
    assert.deepEqual(await rows('late', 'pageviews', 'user_id::int AS id, _client'), [
      { id: 4, _client: 'krn:a' },
    ])
    assert.deepEqual(
      await rows(
        'aggregates',
        'pageviews',
        `_client, strftime(window_start::timestamp, '%H:%M:%S') AS start, postcode, pageview_count::int AS n`,
      ),
      [
        { _client: 'krn:a', start: '14:44:00', postcode: 'SW19', n: 2 },
        { _client: 'krn:a', start: '14:50:00', postcode: 'SW19', n: 1 },
        { _client: 'krn:b', start: '09:00:00', postcode: 'SW19', n: 1 },
      ],
    )
    assert.deepEqual(await rows('raw', 'sales', 'shop::int AS shop, "at"::int AS "at", amount, _client'), [
      { shop: 7, at: 7_200, amount: null, _client: 'krn:b' },
      { shop: 8, at: 7_200, amount: 2.5, _client: 'krn:a' },
    ])
    assert.equal((await all('aggregates', '_client')).length, 5)

    const samples = await scrape(server)
    const files = await filesIn(dir)
    for (const [writer, kind] of [
      ['raw', 'raw'],
      ['aggregate', 'aggregates'],
      ['late', 'late'],
    ]) {
      const written = files.filter(({ name }) => name.startsWith(`${kind}/`)).length
      assert.equal(samples[`pebbles_s3_writes_total{writer="${writer}"}`], written)
      assert.equal(samples[`pebbles_s3_write_duration_seconds_count{writer="${writer}"}`], written)
    }
    if (format === 'parquet') return
    const [name] = files
      .filter((file) => file.name.startsWith('aggregates/pageviews/'))
      .map((file) => file.name)
    const [line] = gunzipSync(await readFile(join(dir, name!)))
      .toString()
      .split('\n')
    assert.match(
      line!,
      /^\{"postcode":"SW19","window_start":"2021-01-26T(14:44|14:50|09:00):00","pageview_count":\d,"_client":"krn:.*"\}$/,
    )
  })
}

test('N5 without an archive the books do not speak of one, and nothing is written', async (t) => {
  const server = await startServer(t, { PEBBLES_ROLES: 'api,streams', ARCHIVE_FORMAT: 'off' })
  const { body } = await server.call('GET', '/api/streams/pageviews/balance')
  assert.deepEqual([body.archived, body.archiveInFlight, body.balanced], [null, null, true])
  assert.equal((await scrape(server))['pebbles_s3_writes_total{writer="raw"}'], undefined)
})

test('N5 events that left the log while nothing was archived are told as such, and the books balance', async (t) => {
  const rig = await openRig(t)
  const { pool, database, log } = rig
  const books = async (clientKrn: string, isArchived = true) => {
    const asked = { clientKrn, stream: 'pageviews', isRecount: false, isArchived }
    return balanceOf(await countStreamBooks(database.streams, log, asked))
  }
  await rig.append(20)
  await pool.query(`SELECT ensure_log_days('2026-01-01', '2026-01-02')`)
  await pool.query(`UPDATE log_runs SET day = '2026-01-01'`)
  await rig.append(10)
  const clientKrn = pageview(0).clientKrn
  const before = await books(clientKrn)
  assert.deepEqual([before.archived, before.archiveInFlight, before.balanced], [0, 15, true])
  await dropOldLogDays(pool, 7, [])
  await rig.spawn()
  await rig.allArchived()
  for (const n of [0, 1]) {
    const { received, archived, neverArchived, archiveInFlight, differences } = await books(
      pageview(n).clientKrn,
    )
    assert.deepEqual([received, archived, neverArchived, archiveInFlight], [15, 5, 10, 0])
    // Of the log; what the aggregator makes of events that are gone is not what is looked at.
    assert.ok(!differences.some((difference) => difference.includes('archived')))
  }
})
