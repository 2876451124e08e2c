import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { suiteScope } from '../helpers/scope.ts'
import { createTestDir, startServer, type TestServer } from '../helpers/server.ts'
import { runCommand } from './run-command.ts'

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
