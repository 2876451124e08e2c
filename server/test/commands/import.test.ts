import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { suiteScope } from '../helpers/scope.ts'
import { createTestDir, startServer, type TestServer } from '../helpers/server.ts'
import { runCommand } from './run-command.ts'

/** Cancels the job of a server as soon as there is one and something of it was imported. */
async function cancelFirst(server: TestServer): Promise<string> {
  for (;;) {
    const [job] = (await server.call('GET', '/api/jobs', { token: null })).body
    if (job?.processedRows > 0) {
      assert.equal((await server.call('POST', `/api/jobs/${job.id}/cancel`, { token: null })).status, 200)
      return job.id
    }
    await delay(20)
  }
}

describe('pebbles import', () => {
  const scope = suiteScope()
  let server: TestServer
  let dir: string
  before(async () => {
    server = await startServer(scope, { MAX_UPLOAD_BYTES: '2000000' })
    dir = await createTestDir(scope)
  })

  async function importText(name: string, csv: string, ...args: string[]) {
    const path = join(dir, name)
    await writeFile(path, csv)
    const env = { PEBBLES_URL: server.url, PEBBLES_DATA: server.dataDir }
    return runCommand(['import', path, ...args], env)
  }

  const customers = (prefix: string, rows: number) =>
    Array.from({ length: rows }, (_, i) => `N${i},${prefix}${i}@example.com,,Acme\n`).join('')

  test('follows an import to its end, sums it up, and saves the refused rows', async () => {
    const errors = join(dir, 'refused.csv')
    const csv = `name,email,phone,company\n${customers('a', 300)}Nobody,nothing,,Acme\n`
    const { code, stdout, stderr } = await importText('some "bad".csv', csv, '--errors', errors)
    assert.equal(code, 0, stderr)
    assert.match(stdout, /100 % .* uploading some "bad"\.csv\nJob /)
    assert.match(stdout, /301 of 301 rows {2}some "bad"\.csv {2}300 done · 1 failed {2}completed/)
    assert.match(stdout, /301 rows in [\d.]+ s: 300 imported, 1 refused\.\n/)
    assert.match(await readFile(errors, 'utf8'), /^rowNumber,[^\n]*\n302,Nobody,nothing,,Acme,/)
  })

  test('without a refused row no report is written', async () => {
    const errors = join(dir, 'none.csv')
    const { code, stdout } = await importText(
      'good.csv',
      `name,email,phone,company\n${customers('b', 3)}`,
      '--errors',
      errors,
    )
    assert.equal(code, 0)
    assert.match(stdout, /3 imported, 0 refused/)
    assert.equal(existsSync(errors), false)
  })

  test('N6 takes the report that it saved back, corrected', async () => {
    const errors = join(dir, 'corrected.csv')
    const csv = `name,email,phone,company\n${customers('p', 3)}Nobody,nothing,,Acme\n`
    const first = await importText('parent.csv', csv, '--errors', errors)
    const parent = /Job (\S+)\./.exec(first.stdout)![1]!
    const report = (await readFile(errors, 'utf8')).replace('nothing', 'something@example.com')
    const { code, stdout } = await importText('corrected.csv', report, '--parent', parent)
    assert.equal(code, 0)
    assert.match(stdout, /1 imported, 0 refused/)
    const job = (await server.call('GET', `/api/jobs/${parent}`, { token: null })).body
    assert.deepEqual([job.successCount, job.failedCount, job.correctedCount], [4, 0, 1])
  })

  test('F12 an import that is cancelled fails the command, which says so', async () => {
    const slow = await startServer(scope, { IMPORT_BATCH_ROWS: '10' })
    const path = join(dir, 'cancelled.csv')
    await writeFile(path, `name,email,phone,company\n${customers('x', 20_000)}`)
    const env = { PEBBLES_URL: slow.url, PEBBLES_DATA: slow.dataDir }
    const importing = runCommand(['import', path], env)
    const cancelled = await cancelFirst(slow)
    const { code, stdout, stderr } = await importing
    assert.equal(code, 1)
    assert.match(stdout, /cancelled\n/)
    assert.equal(stderr, 'The import was cancelled.\n')
    const watching = await runCommand(['watch', '--job', cancelled], env)
    assert.equal(watching.code, 1)
    assert.match(watching.stdout, /cancelled\n$/)
  })

  test('imports for the client of its token', async () => {
    const csv = `name,email,phone,company\n${customers('c', 2)}`
    const { code, stdout } = await importText('client.csv', csv, '--client', 'krn:clnt:cli')
    assert.equal(code, 0)
    const jobId = /Job (\S+)\./.exec(stdout)![1]
    const token = await server.token('dev@localhost', 'krn:clnt:cli')
    assert.equal((await server.call('GET', `/api/jobs/${jobId}`, { token })).body.successCount, 2)
    assert.equal((await server.call('GET', `/api/jobs/${jobId}`, { token: null })).status, 404)
  })

  test('a file that is not one of customers fails, with the reason', async () => {
    const { code, stderr } = await importText('letters.csv', 'some text\nand more\n')
    assert.equal(code, 1)
    assert.match(stderr, /^The import failed\. The first row is not a header/)
  })

  test('a file that is refused, is missing, or is a folder, fails with the reason', async () => {
    const large = await importText('large.csv', `name,email,phone,company\n${customers('d', 100_000)}`)
    assert.equal(large.code, 1)
    assert.match(large.stderr, /^413 too_large/)
    const env = { PEBBLES_URL: server.url, PEBBLES_DATA: server.dataDir }
    const missing = await runCommand(['import', join(dir, 'missing.csv')], env)
    assert.match(missing.stderr, /missing\.csv cannot be read\.\n {2}ENOENT/)
    const folder = await runCommand(['import', dir], env)
    assert.match(folder.stderr, /is not a file/)
  })

  test('F10 a dataset that is not there is told before anything is imported', async () => {
    const { code, stderr } = await importText('none.csv', 'a\n1\n', '--dataset', 'no such')
    assert.equal(code, 1)
    assert.match(stderr, /dataset: is not a dataset of this client/)
  })
})
