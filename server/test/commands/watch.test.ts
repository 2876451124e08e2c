import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { createLiveLines, printable } from '../../src/commands/live-lines.ts'
import { formatProgress } from '../../src/commands/progress-line.ts'
import { suiteScope } from '../helpers/scope.ts'
import { createTestDir, startServer, type TestServer, update } from '../helpers/server.ts'
import { runCommand } from './run-command.ts'

describe('pebbles watch', () => {
  const scope = suiteScope()
  let server: TestServer
  let env: Record<string, string>
  before(async () => {
    server = await startServer(scope)
    env = { PEBBLES_URL: server.url, PEBBLES_DATA: await createTestDir(scope) }
  })
  const report = (filename: string, more = {}) =>
    server.call('POST', '/clients/krn:dev/progress', { body: update(filename, more) })

  test('ends when the watched file is completed', async () => {
    await report('live.csv', { total: 4 })
    const { code, stdout } = await runCommand(
      ['watch', '--file', 'live.csv'],
      env,
      () => void report('live.csv', { isLast: true }),
    )
    assert.equal(code, 0)
    const lines = stdout.trimEnd().split('\n')
    assert.match(lines[0]!, /^█{6}░{18} {2}25 % {2}1 of 4 rows {2}live\.csv {2}1 done · 0 warn · 0 failed$/)
    assert.match(lines.at(-1)!, /50 % .* 2 done .* completed$/)
    assert.ok(!stdout.includes('\x1b'), 'no colours where there is no terminal')
  })

  test('says so when the service cannot be reached', async () => {
    const { code, stderr } = await runCommand(['watch', '--url', 'http://127.0.0.1:9999'], env)
    assert.equal(code, 1)
    assert.match(stderr, /^Nothing answers at http:\/\/127\.0\.0\.1:9999\..*\n {2}connect ECONNREFUSED/)
  })

  test('says so when there is no such job, or no such address', async () => {
    const job = await runCommand(['watch', '--job', 'nope'], env)
    assert.equal(job.code, 1)
    assert.match(job.stderr, /^404 not_found: There is no such job\.\n$/)
    const address = await runCommand(['watch', '--url', 'nowhere'], env)
    assert.equal(address.code, 1)
    assert.match(address.stderr, /^"nowhere" is not an address/)
  })

  test('where reading needs a token, a development token is used on this machine', async () => {
    const closed = await startServer(scope, { PUBLIC_READ: 'false' })
    await closed.call('POST', '/clients/krn:dev/progress', { body: update('closed.csv', { isLast: true }) })
    const args = ['watch', '--file', 'closed.csv', '--url', closed.url]
    const allowed = await runCommand(args, { PEBBLES_DATA: closed.dataDir })
    assert.equal(allowed.code, 0, allowed.stderr)
    const refused = await runCommand(args, env)
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /^401 unauthorized: .*\nGive a token with --token/)
  })
})

describe('live lines', () => {
  function open(rows: number) {
    const written: string[] = []
    const out = { isTTY: true, rows, write: (text: string) => written.push(text) }
    const lines = createLiveLines(out as unknown as NodeJS.WriteStream)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the escapes are what is tested
    return { lines, last: () => written.at(-1)!.replaceAll(/\x1b\[\?7[lh]/g, '') }
  }

  test('are rewritten in place; a final one stays above', () => {
    const { lines, last } = open(24)
    lines.show('a', 'a 1')
    lines.show('b', 'b 1')
    assert.equal(last(), '\x1b[1A\x1b[0Ja 1\nb 1\n')
    lines.show('a', 'a 2')
    assert.equal(last(), '\x1b[2A\x1b[0Ja 2\nb 1\n')
    lines.show('a', 'a 3', { isFinal: true })
    assert.equal(last(), '\x1b[2A\x1b[0Ja 3\nb 1\n')
    lines.show('b', 'b 2')
    assert.equal(last(), '\x1b[1A\x1b[0Jb 2\n')
    lines.note('lost')
    assert.equal(last(), '\x1b[1A\x1b[0Jlost\nb 2\n')
  })

  test('never take more room than the terminal has', () => {
    const { lines, last } = open(5)
    for (let i = 1; i <= 9; i++) lines.show(`${i}`, `line ${i}`)
    assert.equal(last(), '\x1b[3A\x1b[0J… and 7 more\nline 8\nline 9\n')
    lines.show('2', 'line 2 again')
    assert.equal(last(), '\x1b[3A\x1b[0J… and 7 more\nline 9\nline 2 again\n')
  })

  test('names cannot steer the terminal', () => {
    assert.equal(printable('a\x1b[2Jb\x07c\nd'), 'ab\uFFFDc\uFFFDd')
  })

  test('100 % is said only when it is true, and more than the total is no error', () => {
    const line = (done: number, total: number | null) =>
      formatProgress({ name: 'f', done, failed: 0, total, state: 'running' })
    assert.match(line(999_999, 1_000_000), / 99 % {2}999,999 of 1,000,000 rows/)
    assert.match(line(12, 10), / 100 % {2}12 of 10 rows/)
    assert.match(line(0, 0), / 100 % /)
    assert.match(line(12, null), /· +– {2}12 rows/)
  })
})
