import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { suiteScope } from '../../server/test/helpers/scope.ts'
import { startServer, type TestServer } from '../../server/test/helpers/server.ts'
import { until } from '../../server/test/helpers/until.ts'
import {
  createProgressReporter,
  PebblesApiError,
  PebblesTimeoutError,
  type ReporterOptions,
} from '../src/index.ts'
import { type Fate, startProxy } from './helpers/proxy.ts'

const CLIENT = 'krn:clnt:sdk'

describe('createProgressReporter', () => {
  const scope = suiteScope()
  let server: TestServer
  before(async () => {
    server = await startServer(scope)
  })

  /** A reporter behind a proxy of its own, and a look at the record. */
  async function open(filename: string, options: Partial<ReporterOptions> = {}) {
    const proxy = await startProxy(scope, server.url)
    const connection = { url: proxy.url, clientKrn: CLIENT, filename, token: await server.token() }
    const reporter = createProgressReporter({ ...connection, flushIntervalMs: 20, ...options })
    return { proxy, reporter, read: () => readRecord(filename) }
  }

  async function readRecord(filename: string) {
    const query = `?filename=${encodeURIComponent(filename)}`
    return (await server.call('GET', `/clients/${CLIENT}/progress${query}`)).body
  }

  test('reports counts, issues and the total, and completes the file', async () => {
    const { reporter, read } = await open('ümläut & co.csv', { total: 7 })
    reporter.done()
    reporter.done(3)
    reporter.warn()
    reporter.warning(2, 'odd')
    reporter.failed()
    reporter.error(5, 'bad')
    reporter.error(5, 'worse')
    reporter.total(6)
    const result = await reporter.complete()
    assert.deepEqual(result.counts, { done: 4, warn: 1, failed: 1 })
    assert.deepEqual(result.errors, [
      { line: 5, message: 'bad' },
      { line: 5, message: 'worse' },
    ])
    assert.deepEqual(result.warnings, [{ line: 2, message: 'odd' }])
    await reporter.close()
    const record = await read()
    assert.deepEqual(record.counts, { done: 4, warn: 1, failed: 1 })
    assert.equal(record.total, 6)
    assert.equal(record.isCompleted, true)
    assert.throws(() => reporter.done(), /completed or closed/)
  })

  test('many calls become few updates, one at a time', async () => {
    const { proxy, reporter, read } = await open('coalesced.csv')
    let inFlight = 0
    let most = 0
    const begun = Promise.withResolvers<void>()
    const called = Promise.withResolvers<void>()
    proxy.decide = async (): Promise<Fate> => {
      most = Math.max(most, ++inFlight)
      begun.resolve()
      await called.promise
      inFlight--
      return 'pass'
    }
    for (let row = 0; row < 5_000; row++) {
      reporter.done()
      // The first update is on its way for as long as the calls take, and longer than the next ones would wait.
      if (row === 100) await begun.promise
      if (row > 100 && row % 100 === 0) await delay(2)
    }
    called.resolve()
    await reporter.close()
    assert.equal((await read()).counts.done, 5_000)
    assert.equal(proxy.seen.length, 2)
    assert.equal(most, 1)
  })

  test('lost answers, lost requests and overload never change a count', async () => {
    const { proxy, reporter, read } = await open('lossy.csv')
    const fates = ['lose answer', 'pass', 'lose request', { status: 503 }, 'lose answer', 'pass'] as const
    proxy.decide = (_request, index) => fates[index % fates.length]!
    for (let round = 0; round < 8; round++) {
      reporter.done(10)
      reporter.failed()
      reporter.error(round, `round ${round}`)
      await reporter.flush()
    }
    await reporter.complete()
    const record = await read()
    assert.deepEqual(record.counts, { done: 80, warn: 0, failed: 8 })
    assert.equal(record.errorsTotal, 8)
    const bodies = new Map<string, Set<string>>()
    for (const { key, body } of proxy.seen) bodies.set(key!, (bodies.get(key!) ?? new Set()).add(body))
    assert.equal(bodies.size, 9, 'one key per update')
    for (const same of bodies.values()) assert.equal(same.size, 1, 'each attempt is the same request')
  })

  test('Retry-After is waited for', async () => {
    const heard: boolean[] = []
    const { proxy, reporter } = await open('later.csv', {
      onError: (_, { willRetry }) => heard.push(willRetry),
    })
    proxy.decide = (_request, index) =>
      index === 0 ? { status: 429, headers: { 'retry-after': '1' } } : 'pass'
    reporter.done()
    await reporter.close()
    const [first, second] = proxy.seen
    assert.ok(second!.atMs - first!.atMs >= 1_000, `${second!.atMs - first!.atMs} ms`)
    assert.deepEqual(heard, [true])
  })

  test('a token function is asked again after 401, once', async () => {
    let asked = 0
    const good = await server.token()
    const token = async () => (++asked === 1 ? 'stale' : good)
    const { reporter, read } = await open('refreshed.csv', { token })
    reporter.done()
    await reporter.flush()
    reporter.done()
    await reporter.close()
    assert.equal(asked, 2)
    assert.equal((await read()).counts.done, 2)

    const { reporter: refused, proxy } = await open('refused.csv', { token: () => 'never good' })
    refused.done()
    await assert.rejects(refused.flush(), { name: 'PebblesApiError', status: 401 })
    assert.equal(proxy.seen.length, 2)
  })

  test('a refusal surfaces with its code, and nothing more is sent', async () => {
    const { reporter: owner } = await open('owned.csv')
    owner.done()
    await owner.close()
    const errors: Error[] = []
    const { reporter, proxy, read } = await open('owned.csv', {
      token: await server.token('mallory@example.com'),
      onError: (error) => errors.push(error),
    })
    reporter.done()
    await assert.rejects(reporter.flush(), (error: PebblesApiError) => {
      assert.ok(error instanceof PebblesApiError)
      assert.equal(error.status, 403)
      assert.equal(error.code, 'forbidden')
      assert.match(error.problem!.detail, /started this file/)
      return true
    })
    reporter.done()
    await assert.rejects(reporter.ready(), { code: 'forbidden' })
    await assert.rejects(reporter.complete(), { code: 'forbidden' })
    await assert.rejects(reporter.close(), { code: 'forbidden' })
    assert.equal(reporter.failure, errors[0])
    assert.equal(proxy.seen.length, 1)
    assert.equal((await read()).counts.done, 1)
  })

  test('a bad request names the field', async () => {
    const { reporter } = await open('x'.repeat(2_000))
    reporter.done()
    await assert.rejects(reporter.close(), /filename/)
    assert.throws(() => reporter.done(0.5), TypeError)
    assert.throws(() => reporter.error(-1, 'no such line'), TypeError)
  })

  test('more issues than fit into an update are split', async () => {
    const { proxy, reporter, read } = await open('split.csv')
    for (let line = 1; line <= 25_000; line++) reporter.error(line, 'short')
    // About 9 MiB of JSON, each character of which could need three bytes.
    for (let line = 1; line <= 800; line++) reporter.warning(line, 'ä'.repeat(4_000))
    await reporter.complete()
    const record = await read()
    assert.equal(record.errorsTotal, 25_000)
    assert.equal(record.warningsTotal, 800)
    for (const { body } of proxy.seen) {
      assert.ok(Buffer.byteLength(body) < 4 * 1024 * 1024)
      assert.ok((JSON.parse(body).errors ?? []).length <= 10_000)
    }
  })

  test('messages that could not be stored are made fit', async () => {
    const { reporter, read } = await open('texts.csv')
    reporter.error(1, 'a'.repeat(5_000))
    reporter.error(2, 'nul \0 and half \ud83d of a pair')
    reporter.error(3, '😀'.repeat(2_048))
    await reporter.close()
    const { errors } = await read()
    assert.equal(errors[0].message, `${'a'.repeat(4_095)}…`)
    assert.equal(errors[1].message, 'nul \uFFFD and half \uFFFD of a pair')
    assert.equal(errors[2].message, '😀'.repeat(2_048))
  })

  test('who awaits ready() loses no issue; who does not is told how many', async () => {
    const { reporter, read } = await open('patient.csv', { maxPendingBytes: 20_000 })
    for (let line = 1; line <= 2_000; line++) {
      reporter.error(line, 'x'.repeat(50))
      await reporter.ready()
    }
    await reporter.close()
    assert.equal(reporter.dropped, 0)
    assert.equal((await read()).errorsTotal, 2_000)

    const { reporter: hasty, read: readHasty } = await open('hasty.csv', { maxPendingBytes: 20_000 })
    for (let line = 1; line <= 2_000; line++) {
      hasty.failed()
      hasty.error(line, 'x'.repeat(50))
    }
    await hasty.close()
    const record = await readHasty()
    assert.equal(record.counts.failed, 2_000)
    assert.ok(hasty.dropped > 0)
    assert.equal(record.errorsTotal, 2_000 - hasty.dropped + 1)
    const note = record.errors.find(({ line }: { line: number }) => line === 0)
    assert.match(note.message, new RegExp(`^${hasty.dropped} errors were not recorded`))
  })

  test('flush() stops waiting after its time; the update is sent later and counts once', async () => {
    const { proxy, reporter, read } = await open('late.csv', { timeoutMs: 100 })
    let isDown = true
    proxy.decide = () => (isDown ? 'lose answer' : 'pass')
    reporter.done(3)
    await assert.rejects(reporter.flush(), PebblesTimeoutError)
    isDown = false
    reporter.done(4)
    await until('both are counted', async () => (await read()).counts.done >= 7)
    assert.equal((await read()).counts.done, 7)
    await reporter.close()
  })

  test('close() gives up after its time and says why', async () => {
    const refused = Promise.withResolvers<void>()
    const options = { timeoutMs: 100, onError: () => refused.resolve() }
    const { proxy, reporter } = await open('given-up.csv', options)
    proxy.decide = () => ({ status: 500 })
    reporter.done()
    await refused.promise
    await assert.rejects(reporter.close(), (error: Error) => {
      assert.ok(error instanceof PebblesTimeoutError)
      assert.equal((error.cause as PebblesApiError).status, 500)
      return true
    })
  })

  test('await using flushes, and does not hide an error that was already told', async () => {
    const { reporter, read } = await open('used.csv', { flushIntervalMs: 60_000 })
    {
      await using used = reporter
      used.done(2)
    }
    assert.equal((await read()).counts.done, 2)

    const { reporter: refused } = await open('used.csv', { token: await server.token('mallory@example.com') })
    const work = async () => {
      await using used = refused
      used.done()
      await used.complete()
    }
    await assert.rejects(work(), PebblesApiError)
  })

  test('a redirect, or an answer that is not of Pebbles, does not count as a confirmation', async () => {
    for (const fate of [
      { status: 302, headers: { location: `${server.url}/health` } },
      { status: 200, body: '<html>' },
      { status: 200, body: '{}' },
    ]) {
      const { proxy, reporter } = await open('elsewhere.csv')
      proxy.decide = () => fate
      reporter.done()
      await assert.rejects(reporter.flush(), { name: 'PebblesApiError', status: fate.status })
    }
  })

  test('a process with a reporter that was forgotten can end, and close() finishes first', async () => {
    const { url } = await startProxy(scope, server.url)
    const script = (end: string) => `
      import { createProgressReporter } from ${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)}
      const reporter = createProgressReporter({ url: '${url}', clientKrn: '${CLIENT}', filename: 'process.csv',
        token: process.env.TOKEN, flushIntervalMs: 600_000 })
      reporter.done()
      ${end}`
    assert.equal(await runScript(script('')), 0)
    assert.equal((await server.call('GET', `/clients/${CLIENT}/progress?filename=process.csv`)).status, 404)
    assert.equal(await runScript(script('await reporter.close()')), 0)
    assert.equal((await readRecord('process.csv')).counts.done, 1)
  })

  async function runScript(script: string): Promise<number | null> {
    const env = { ...process.env, TOKEN: await server.token() }
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { env, stdio: 'inherit' })
    return new Promise((resolve) => child.on('exit', resolve))
  }
})
