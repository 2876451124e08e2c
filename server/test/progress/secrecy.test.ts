import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { openDevIssuer } from '../../src/platform/tokens/dev-issuer.ts'
import { createTestDatabase, endConnections, openTestPool } from '../helpers/database.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'
import { createTestDir, update } from '../helpers/server.ts'
import { type RawAnswer, sendRaw, talk } from './raw-http.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const UPDATES = '/clients/krn:clnt:secret/progress'

/** What callers are never told: where our code lies, what it asks the database, and how that answers. */
const INNARDS =
  /\bat \S+ \(|\.[jt]s\b|node_modules|\/src\/|postgres|\bselect\b|\binsert\b|\brelation\b|\bcolumn\b|constraint|stack"/i

interface LoudServer {
  url: string
  /** Everything that it wrote to standard output and standard error. */
  written(): string
  stop(): Promise<void>
}

/** A server as a process of its own, with every log line that it can write. */
async function spawnLoud(scope: Scope, env: Record<string, string>): Promise<LoudServer> {
  const child: ChildProcess = spawn(process.execPath, [MAIN, 'serve'], {
    env: { ...process.env, PORT: '0', AUTH: 'dev', LOG_LEVEL: 'debug', PEBBLES_ROLES: 'api', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = once(child, 'exit')
  let written = ''
  const url = await new Promise<string>((resolve, reject) => {
    const listen = (chunk: Buffer) => {
      written += chunk
      const found = /listens on (http:\S+)/.exec(written)
      if (found) resolve(found[1]!)
    }
    child.stdout!.on('data', listen)
    child.stderr!.on('data', listen)
    child.on('exit', () => reject(new Error(`the server did not start:\n${written}`)))
  })
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
    await exited
  }
  atEnd(scope, stop)
  return { url, written: () => written, stop }
}

describe('secrets', () => {
  test('neither tokens nor bodies, keys, queries or the database password are written or answered', async (t) => {
    const databaseUrl = await createTestDatabase(t)
    const dataDir = await createTestDir(t)
    const issuer = await openDevIssuer({ dataDir })
    const mark = (place: string) => `${place}-${randomBytes(8).toString('hex')}`
    const marks = {
      filename: mark('filename'),
      message: mark('message'),
      field: mark('field'),
      key: mark('key'),
      client: mark('client'),
      query: mark('query'),
      header: mark('header'),
      email: mark('email'),
      badToken: mark('token'),
    }
    const token = await issuer.issue({ email: `${marks.email}@example.com` })
    const others = await issuer.issue({ email: `other-${marks.email}@example.com` })
    const server = await spawnLoud(t, { DATABASE_URL: databaseUrl, PEBBLES_DATA: dataDir })

    const answers: RawAnswer[] = []
    const statuses: number[] = []
    async function call(
      method: string,
      path: string,
      more: { body?: string | Uint8Array; token?: string | null; key?: string } = {},
    ) {
      const { body, token: bearer = token, key } = more
      const answer = await sendRaw(server.url, {
        method,
        path,
        headers: {
          ...(bearer !== null && { authorization: `Bearer ${bearer}` }),
          ...(key !== undefined && { 'idempotency-key': key }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
          'user-agent': marks.header,
          cookie: `session=${marks.header}`,
        },
        ...(body !== undefined && { body }),
      })
      answers.push(answer)
      statuses.push(answer.status)
      return answer
    }
    const good = (more = {}) =>
      JSON.stringify(update(marks.filename, { errors: [{ line: 1, message: marks.message }], ...more }))
    const read = `${UPDATES}?filename=${marks.filename}`
    const post = (body: string | Uint8Array, more = {}) => call('POST', UPDATES, { body, ...more })

    // What goes well.
    assert.equal((await post(good(), { key: marks.key })).status, 200)
    assert.equal((await post(good(), { key: marks.key })).status, 200)
    assert.equal(
      (await call('POST', `${UPDATES}/batch`, { body: `[${good({ id: marks.key })},{}]` })).status,
      200,
    )
    assert.equal((await call('GET', read)).status, 200)

    // What is refused.
    const refused: [number, Promise<RawAnswer>][] = [
      [422, post(good({ total: 1 }), { key: marks.key })],
      [403, post(good(), { token: others })],
      [400, post(good({ [marks.field]: marks.message }))],
      [400, post(good().slice(0, -3))],
      [400, post(`{"${marks.field}":tru ${marks.message}}`)],
      [400, post(Buffer.concat([Buffer.from(good()), Buffer.from([0xff])]))],
      [400, post(good({ filename: `${marks.filename}\0` }))],
      [400, post(good(), { key: `${marks.key}\t`.repeat(20) })],
      [413, post(good().padEnd(5_000_000))],
      [401, post(good(), { token: null })],
      [401, post(good(), { token: `${token.slice(0, -4)}AAAA` })],
      [401, post(good(), { token: marks.badToken })],
      [401, post(good(), { token: `eyJhbGciOiJub25lIn0.${token.split('.')[1]}.` })],
      [404, call('GET', `/${marks.client}/${marks.query}`)],
      [404, call('GET', `/clients/${marks.client}/progress?filename=${marks.query}`)],
      [400, call('GET', `/clients/${marks.client}%00/progress`)],
      [400, call('GET', `/clients/${marks.client}%ZZ/progress`)],
      [400, call('GET', `${UPDATES}?after=${marks.query}`)],
      [400, call('GET', `${read}&secret=${marks.query}`)],
    ]
    for (const [status, answer] of refused) assert.equal((await answer).status, status, (await answer).text)
    await talk(server.url, [`GARBAGE ${marks.header} ${token}\r\n\r\n`])
    await talk(server.url, [
      `POST ${UPDATES} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n: ${marks.header}\r\n\r\n`,
    ])

    // What breaks behind us: connections first, which is mended unseen; then a table; then the database.
    const pool = openTestPool(t, databaseUrl)
    const terminate = () =>
      pool.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'pebbles'`,
      )
    const underWay = Array.from({ length: 50 }, async (_, i) => {
      // The update is not lost; reading its record for the answer may be, and is asked for again.
      while ((await post(good(), { key: `${marks.key}/${i}` })).status === 503);
    })
    for (let round = 0; round < 5; round++) await terminate()
    await Promise.all(underWay)
    assert.equal(JSON.parse((await call('GET', read)).text).counts.done, 51)

    await pool.query('ALTER TABLE issues RENAME COLUMN message TO text')
    assert.equal((await post(good())).status, 500)
    await pool.query('ALTER TABLE records RENAME TO elsewhere')
    for (const answer of [await call('GET', read), await post(good()), await call('GET', UPDATES)])
      assert.equal(answer.status, 500, answer.text)

    // An item of a batch fails by itself, and is told and logged as a request would be.
    const batch = await call('POST', `${UPDATES}/batch`, { body: `[${good()}]` })
    assert.equal(batch.status, 200)
    assert.equal(JSON.parse(batch.text)[0].status, 500)
    assert.doesNotMatch(batch.text, INNARDS)

    await withoutDatabase(databaseUrl, async () => {
      for (const answer of [await call('GET', read), await post(good()), await call('GET', '/readyz')])
        assert.ok(answer.status >= 500, answer.text)
      assert.equal((await call('GET', '/health')).text, 'OK')
    })
    await server.stop()

    const log = server.written()
    for (const line of ['request failed', 'an item of a batch failed']) assert.ok(log.includes(line), line)
    const password = new URL(databaseUrl).password
    assert.ok(password.length > 10)
    const secrets = {
      ...marks,
      password,
      token,
      others,
      signature: token.split('.')[2]!,
      claims: token.split('.')[1]!,
    }
    for (const [name, secret] of Object.entries(secrets)) {
      const at = log.indexOf(secret)
      assert.ok(at === -1, `${name} is in the log: ${log.slice(at - 300, at + 100)}`)
    }
    for (const { status, text, headers } of answers) {
      if (status >= 400) {
        assert.doesNotMatch(text, INNARDS)
        assert.equal(
          headers['content-type'],
          status === 503 && !text.includes('urn:')
            ? headers['content-type']
            : 'application/problem+json; charset=utf-8',
        )
      }
      const whole = text + JSON.stringify(headers)
      for (const secret of [
        password,
        token,
        others,
        marks.badToken,
        marks.header,
        marks.query,
        secrets.signature,
      ])
        assert.ok(!whole.includes(secret), whole)
    }
  })
})

/** Runs `work` while the database has another name, so that nobody finds it. */
async function withoutDatabase(url: string, work: () => Promise<void>) {
  const name = new URL(url).pathname.slice(1)
  const client = new pg.Client({ connectionString: process.env.TEST_DATABASE_URL })
  await client.connect()
  try {
    await client.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`)
    await endConnections(client, name)
    for (let attempt = 0; ; attempt++) {
      try {
        await client.query(`ALTER DATABASE ${name} RENAME TO ${name}_gone`)
        break
      } catch (error) {
        if (attempt === 3_000) throw error
        await endConnections(client, name)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
    await work()
    await client.query(`ALTER DATABASE ${name}_gone RENAME TO ${name}`)
    await client.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS true`)
  } finally {
    await client.end()
  }
}
