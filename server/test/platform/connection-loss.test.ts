import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { describe, test } from 'node:test'
import pg from 'pg'
import { isMongoTransient } from '../../src/platform/mongo/connection.ts'
import {
  inOneFlush,
  isTransient,
  isUnanswered,
  orAway,
  withConnection,
} from '../../src/platform/postgres/database.ts'
import { createTestDatabase } from '../helpers/database.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'

function openPool(scope: Scope, options: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool(options)
  pool.on('error', () => {})
  // One that breaks while it is lent must not end the process.
  pool.on('connect', (client) => client.on('error', () => {}))
  atEnd(scope, () => (pool.ended ? undefined : pool.end()))
  return pool
}

/** The address of a server that does this with whoever connects. */
async function startListener(scope: Scope, onConnect: (socket: Socket) => void): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    onConnect(socket)
  })
  atEnd(scope, () => server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return `postgres://127.0.0.1:${(server.address() as AddressInfo).port}/none`
}

const errorOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => assert.fail('it went well'),
    (error) => error,
  )

describe('what PostgreSQL and its driver throw', () => {
  test('N1 a database that cannot be reached, does not answer or goes away is tried again, and nobody knows of its COMMITs', async (t) => {
    const url = await createTestDatabase(t)
    const silent = await startListener(t, () => {})
    const rude = await startListener(t, (socket) => socket.destroy())
    const plain = await startListener(t, (socket) => socket.once('data', () => socket.write('N')))
    const connecting = (connectionString: string) =>
      openPool(t, { connectionString, connectionTimeoutMillis: 100 }).query('SELECT 1')
    const broken = await openPool(t, { connectionString: url }).connect()
    const [{ pid }] = (await broken.query('SELECT pg_backend_pid() AS pid')).rows
    const busy = openPool(t, { connectionString: url, max: 1 })
    const held = await busy.connect()
    busy.options.connectionTimeoutMillis = 10

    const thrown = {
      refused: () => connecting('postgres://127.0.0.1:1/none'),
      'refused at each address of a name': () => connecting('postgres://localhost:1/none'),
      'a name that nobody has': () => connecting('postgres://nobody.invalid/none'),
      'no such socket': () => connecting('postgres://%2Fnowhere/none'),
      'taken, and no word': () => connecting(silent),
      'taken, and ended': () => connecting(rude),
      'no TLS there': () => connecting(`${plain}?sslmode=require`),
      'no such database': () => connecting(url.replace(/\w+$/, 'no_such_database')),
      'every connection lent': () => busy.connect(),
      'no answer in time': () =>
        openPool(t, { connectionString: url, query_timeout: 10 }).query('SELECT pg_sleep(0.2)'),
      'ended by the server': () => broken.query(`SELECT pg_terminate_backend(${pid})`),
    }
    for (const [what, work] of Object.entries(thrown)) {
      const error = await errorOf(work())
      assert.equal(isTransient(error), true, `${what}: ${error}`)
      await assert.rejects(orAway(Promise.reject(error)), { code: 'unavailable' })
      if (what !== 'no such database') assert.equal(isUnanswered(error), true, `${what}: ${error}`)
    }
    assert.equal(isTransient(await errorOf(broken.query('SELECT 1'))), true, 'a connection that is broken')
    broken.release(true)
    held.release()
    await busy.end()
    assert.equal(isTransient(await errorOf(busy.connect())), true, 'a pool that has ended')
  })

  test('N1 S5 a mistake of ours is no outage: it is told as what it is, and not tried again for ever', async (t) => {
    const pool = openPool(t, { connectionString: await createTestDatabase(t), max: 1 })
    await pool.query({ name: 'one', text: 'SELECT 1' })
    const circular: Record<string, unknown> = {}
    circular.of = circular

    const thrown = {
      'one name for two statements': () => pool.query({ name: 'one', text: 'SELECT 2' }),
      'values that are no list': () => pool.query({ text: 'SELECT $1', values: {} as unknown[] }),
      'neither text nor name': () => pool.query({} as pg.QueryConfig),
      'a value that has no text': () => pool.query('SELECT $1', [circular]),
      'no such table': () => pool.query('SELECT * FROM no_such_table'),
      'a fault in a callback': () => Promise.reject(new TypeError('undefined is not a function')),
      'an error of our own': () => Promise.reject(new Error('the log holds events of nobody')),
    }
    for (const [what, work] of Object.entries(thrown)) {
      const error = await errorOf(work())
      assert.equal(isTransient(error), false, `${what}: ${error}`)
      await assert.rejects(orAway(Promise.reject(error)), (seen) => seen === error)
    }
    assert.equal(isMongoTransient(new Error('what we say ourselves')), false)
    // What the server refused did not happen. Of the others nobody knows.
    assert.equal(isUnanswered(await errorOf(pool.query('SELECT 1 / 0'))), false)
    assert.equal(isUnanswered(new TypeError('undefined is not a function')), true)
  })

  test('N1 P15 a transaction of which a statement is not sent is not committed', async (t) => {
    const url = await createTestDatabase(t)
    const pool = openPool(t, { connectionString: url, pipeline: true } as pg.PoolConfig)
    await pool.query('CREATE TABLE moved (n int)')
    const unmade = async () => assert.fail('it could not be made')
    const refused = (client: pg.PoolClient) => client.query({ name: 'one', text: 'SELECT 2' })
    for (const [write, said] of [
      [unmade, /could not be made/],
      [refused, /must be unique/],
    ] as const) {
      let isSent = false
      const moving = withConnection(pool, async (client) => {
        await client.query({ name: 'one', text: 'SELECT 1' })
        await client.query('BEGIN')
        await inOneFlush(
          client,
          () => [write(client), client.query('INSERT INTO moved VALUES (1)'), client.query('COMMIT')],
          () => {
            isSent = true
          },
        )
      })
      await assert.rejects(moving, said)
      assert.equal(isSent, false)
    }
    assert.equal((await pool.query('SELECT FROM moved')).rowCount, 0)
  })
})
