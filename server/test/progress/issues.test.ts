import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { parse } from 'csv-parse/sync'
import { suiteScope } from '../helpers/scope.ts'
import { type Answer, startServer, type TestServer, update } from '../helpers/server.ts'

const UPDATES = '/clients/krn:clnt:issues/progress'

interface Issue {
  line: number
  message: string
}

/** P3: however many errors and warnings there are, all of them can be read. */
describe('P3 errors and warnings', () => {
  const scope = suiteScope()
  const errors: Issue[] = Array.from({ length: 2_500 }, (_, i) => ({
    line: i * 3,
    message: `error ${i}, "quoted"\nü`,
  }))
  const warnings: Issue[] = Array.from({ length: 1_000 }, (_, i) => ({ line: i, message: `warning ${i}` }))
  let server: TestServer
  let id: string

  before(async () => {
    server = await startServer(scope, { PEBBLES_ROLES: 'api' })
    for (const [from, to] of [
      [0, 1],
      [1, 1_001],
      [1_001, 1_001],
      [1_001, 2_500],
    ] as const) {
      const body = update('many.csv', { errors: errors.slice(from, to), warnings: warnings.slice(from, to) })
      assert.equal((await server.call('POST', UPDATES, { body })).status, 200)
    }
    id = (await get('?filename=many.csv')).body.id
  })

  const get = (path: string) => server.call('GET', `${UPDATES}${path}`, { token: null })

  async function readAll(path: string): Promise<{ pages: Issue[][] }> {
    const pages: Issue[][] = []
    for (let next: string | undefined = `${UPDATES}${path}`; next !== undefined; ) {
      const answer: Answer = await server.call('GET', next, { token: null })
      assert.equal(answer.status, 200)
      pages.push(answer.body)
      next = /^<(\/[^>]*)>; rel="next"$/.exec(answer.headers.get('link') ?? '')?.[1]
      assert.ok(pages.length < 100)
    }
    return { pages }
  }

  test('a response has the newest 1,000 of each kind, oldest of them first, and says how many there are', async () => {
    const { body } = await get('?filename=many.csv')
    assert.deepEqual([body.errorsTotal, body.warningsTotal], [2_500, 1_000])
    assert.deepEqual(body.errors, errors.slice(1_500))
    assert.deepEqual(body.warnings, warnings)
    const { body: answer } = await server.call('POST', UPDATES, { body: update('many.csv') })
    assert.deepEqual([answer.errors, answer.errorsTotal], [errors.slice(1_500), 2_500])
  })

  test('all of them are read page by page, in the order in which they were reported', async () => {
    for (const [limit, expected] of [
      [999, 3],
      [1_250, 2],
      [2_500, 1],
      [10_000, 1],
    ]) {
      const { pages } = await readAll(`/${id}/errors?limit=${limit}`)
      assert.equal(pages.length, expected)
      assert.deepEqual(pages.flat(), errors)
    }
    assert.equal((await readAll(`/${id}/errors`)).pages.length, 3)
    assert.deepEqual((await readAll(`/${id}/warnings?limit=300`)).pages.flat(), warnings)
  })

  test('reading on after the last one finds nothing, and what comes later', async () => {
    const body = update('later.csv', { errors: errors.slice(0, 2) })
    await server.call('POST', UPDATES, { body })
    const { id } = (await get('?filename=later.csv')).body
    for (const after of [2, 3, Number.MAX_SAFE_INTEGER]) {
      const answer = await get(`/${id}/errors?after=${after}`)
      assert.deepEqual([answer.body, answer.headers.get('link')], [[], null])
    }
    await server.call('POST', UPDATES, { body })
    assert.deepEqual((await get(`/${id}/errors?after=2`)).body, errors.slice(0, 2))
    assert.deepEqual((await get(`/${id}/errors?after=3`)).body, errors.slice(1, 2))
  })

  test('all of them are in the CSV, which spreadsheets and parsers read', async () => {
    const answer = await get(`/${id}/errors.csv`)
    assert.equal(answer.status, 200)
    assert.match(answer.headers.get('content-type')!, /^text\/csv; charset=utf-8/)
    assert.equal(answer.headers.get('content-disposition'), 'attachment; filename="errors.csv"')
    const [head, ...rows] = parse(answer.body, { recordDelimiter: '\r\n' }) as string[][]
    assert.deepEqual(head, ['line', 'message'])
    assert.deepEqual(
      rows,
      errors.map(({ line, message }) => [String(line), message]),
    )
    const { body } = await get(`/${id}/warnings.csv`)
    assert.equal(
      body,
      `line,message\r\n${warnings.map(({ line, message }) => `${line},${message}\r\n`).join('')}`,
    )
  })

  test('a message that a spreadsheet would run as a formula does not run, in CSV; in JSON it is as it was', async () => {
    const messages = [
      '=HYPERLINK("http://evil","x")',
      '+1',
      '-1+1',
      '@SUM(A1)',
      '\t=1',
      '\r=1',
      '-',
      '-5',
      'a=1',
    ]
    const issues = messages.map((message) => ({ line: 0, message }))
    await server.call('POST', UPDATES, { body: update('formula.csv', { errors: issues }) })
    const { id, errors: shown } = (await get('?filename=formula.csv')).body
    assert.deepEqual(shown, issues)
    const rows = parse((await get(`/${id}/errors.csv`)).body, { recordDelimiter: '\r\n' }) as string[][]
    assert.deepEqual(
      rows.slice(1).map(([, message]) => message),
      messages.map((message, i) => (i < 6 ? `'${message}` : message)),
    )
  })

  test('a record without any has empty lists and a CSV of its header', async () => {
    await server.call('POST', UPDATES, { body: update('none.csv') })
    const { id } = (await get('?filename=none.csv')).body
    for (const kind of ['errors', 'warnings']) {
      assert.deepEqual((await get(`/${id}/${kind}`)).body, [])
      assert.equal((await get(`/${id}/${kind}.csv`)).body, 'line,message\r\n')
    }
  })
})
