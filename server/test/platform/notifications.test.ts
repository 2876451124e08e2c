import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Pool } from 'pg'
import { listenForChanges } from '../../src/platform/postgres/notifications.ts'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import { atEnd, type Scope } from '../helpers/scope.ts'

describe('the listening connection', { concurrency: true }, () => {
  test('one that was dropped without a word is noticed and made again', async (t) => {
    const url = await createTestDatabase(t)
    const pool = openTestPool(t, url)
    const proxy = await startProxy(t, url)
    const { heard, reconnects, logged } = await listen(t, proxy.url, { checkEveryMs: 200, timeoutMs: 3_000 })
    await pool.query("SELECT pg_notify('news', 'a,b')")
    await waitFor(() => heard.length === 2)
    proxy.goSilent()
    await waitFor(() => reconnects() === 1)
    await pool.query("SELECT pg_notify('news', 'c')")
    await waitFor(() => heard.length === 3)
    assert.deepEqual(heard, ['a', 'b', 'c'])
    assert.ok(logged.includes('the listening connection does not answer'))
  })

  test('one that breaks is made again, and there is never a second', async (t) => {
    const url = await createTestDatabase(t)
    const pool = openTestPool(t, url)
    const { reconnects } = await listen(t, url, { checkEveryMs: 50 })
    for (let n = 1; n <= 2; n++) {
      await pool.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'pebbles-listen'",
      )
      await waitFor(() => reconnects() === n)
      assert.equal(await countListening(pool), 1)
    }
  })

  test('one that cannot listen is not left open', async (t) => {
    const url = await createTestDatabase(t)
    const pool = openTestPool(t, url)
    const channels = { '': () => {} }
    await assert.rejects(listenForChanges({ url, channels, onReconnect() {}, log() {} }))
    await waitFor(async () => (await countListening(pool)) === 0)
  })

  test('a server that takes connections and says nothing is given up', async (t) => {
    const url = await createTestDatabase(t)
    const proxy = await startProxy(t, url)
    proxy.goSilent({ forNew: true })
    const options = { channels: {}, onReconnect() {}, log() {}, timeoutMs: 300 }
    await assert.rejects(listenForChanges({ url: proxy.url, ...options }))
  })

  test('closing while it is made again leaves nothing open, and does not wait', async (t) => {
    const url = await createTestDatabase(t)
    const proxy = await startProxy(t, url)
    // Longer than a test may take: one that waited would not end.
    const { listener, reconnects } = await listen(t, proxy.url, { timeoutMs: 600_000 })
    const before = proxy.connections()
    proxy.goSilent({ forNew: true })
    proxy.cut()
    await waitFor(() => proxy.connections() > before)
    await listener[Symbol.asyncDispose]()
    await waitFor(() => proxy.open() === 0)
    await sleep(1_500)
    assert.equal(proxy.connections(), before + 1)
    assert.equal(reconnects(), 0)
  })
})

async function listen(scope: Scope, url: string, times: { checkEveryMs?: number; timeoutMs?: number }) {
  const heard: string[] = []
  const logged: string[] = []
  let reconnects = 0
  const listener = await listenForChanges({
    url,
    channels: { news: (ids) => void heard.push(...ids) },
    onReconnect: () => void reconnects++,
    log: (message) => void logged.push(message),
    ...times,
  })
  atEnd(scope, () => listener[Symbol.asyncDispose]())
  return { listener, heard, logged, reconnects: () => reconnects }
}

/** Between a client and PostgreSQL; can let connections stand without a word, as a firewall does that forgot them. */
async function startProxy(scope: Scope, databaseUrl: string) {
  const target = new URL(databaseUrl)
  const clients = new Set<Socket>()
  let taken = 0
  let isSilentForNew = false
  const server = createServer((client) => {
    taken++
    clients.add(client)
    const upstream = connect(Number(target.port), target.hostname)
    for (const socket of [client, upstream]) socket.on('error', () => {})
    client.on('close', () => {
      clients.delete(client)
      upstream.destroy()
    })
    upstream.on('close', () => client.destroy())
    if (isSilentForNew) client.resume()
    else client.pipe(upstream).pipe(client)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  atEnd(scope, () => {
    for (const client of clients) client.destroy()
    server.close()
  })
  const url = new URL(databaseUrl)
  url.port = String((server.address() as AddressInfo).port)
  return {
    url: url.href,
    connections: () => taken,
    open: () => clients.size,
    goSilent({ forNew = false } = {}) {
      isSilentForNew = forNew
      for (const client of clients) client.unpipe().removeAllListeners('data').resume()
    },
    cut() {
      for (const client of clients) client.destroy()
    },
  }
}

async function countListening(pool: Pool): Promise<number> {
  const { rows } = await pool.query(
    "SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'pebbles-listen'",
  )
  return rows[0].n
}

async function waitFor(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 60_000; !(await condition()); await sleep(20))
    assert.ok(Date.now() < deadline, 'waited in vain')
}
