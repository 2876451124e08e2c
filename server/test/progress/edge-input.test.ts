import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { suiteScope } from '../helpers/scope.ts'
import { startServer, type TestServer, update } from '../helpers/server.ts'
import { sendRaw } from './raw-http.ts'

const MAX_SAFE = Number.MAX_SAFE_INTEGER
/** Text that no compression makes small, so that it takes its full room in an index. */
const incompressible = (length: number, first: number) =>
  Array.from({ length }, (_, i) => String.fromCodePoint(first + ((i * 7919 + i * i * 31) % 4_000))).join('')

/** What looks bad and is not: taken, and read back as it was sent. */
describe('input at the edge', () => {
  const scope = suiteScope()
  let server: TestServer
  let headers: Record<string, string>
  let files = 0

  before(async () => {
    server = await startServer(scope)
    headers = { authorization: `Bearer ${await server.token()}`, 'content-type': 'application/json' }
  })

  const post = (client: string, body: string | Uint8Array, more: Record<string, string> = {}) =>
    sendRaw(server.url, {
      method: 'POST',
      path: `/clients/${client}/progress`,
      headers: { ...headers, ...more },
      body,
    })

  async function readBack(client: string, filename: string) {
    const path = `/clients/${client}/progress?filename=${encodeURIComponent(filename)}`
    const answer = await sendRaw(server.url, { method: 'GET', path })
    assert.equal(answer.status, 200, answer.text)
    return JSON.parse(answer.text)
  }

  const numbers: Record<string, [string, number]> = {
    'no row at all': ['0', 0],
    'as many rows as can be counted': [`${MAX_SAFE}`, MAX_SAFE],
    'minus zero': ['-0', 0],
    'an exponent': ['1e2', 100],
    'a fraction of nothing': ['7.0', 7],
    'a tenth of ten': ['100e-1', 10],
  }
  for (const [name, [text, expected]] of Object.entries(numbers)) {
    test(`${name} (${text}) counts as ${expected}`, async () => {
      const filename = `${files++}.csv`
      const counts = `{"done":${text},"warn":0,"failed":0}`
      const answer = await post('n', `{"filename":"${filename}","counts":${counts},"total":${text}}`)
      assert.equal(answer.status, 200, answer.text)
      // As text, too: a number must not come back as 1e2 or -0.
      assert.match(answer.text, new RegExp(`"done":${expected},.*"total":${expected},`))
      const record = await readBack('n', filename)
      assert.deepEqual(record.counts, { done: expected, warn: 0, failed: 0 })
      assert.equal(record.total, expected)
    })
  }

  test('a record filled up to 2^53 − 1 in steps takes no row more, and still takes what adds none', async () => {
    const filename = 'full.csv'
    const add = (done: number) =>
      post('n', JSON.stringify({ filename, counts: { done, warn: 0, failed: 0 } }))
    assert.equal((await add(MAX_SAFE - 2)).status, 200)
    assert.equal((await add(1)).status, 200)
    assert.equal((await add(2)).status, 400)
    assert.equal((await add(1)).status, 200)
    assert.equal((await add(1)).status, 400)
    assert.equal((await add(0)).status, 200)
    assert.equal((await readBack('n', filename)).counts.done, MAX_SAFE)
  })

  const filenames: Record<string, string> = {
    'one character': 'f',
    'a space': ' ',
    emoji: '📄👨‍👩‍👧.csv',
    'letters and accents that could be one': 'e\u0301.csv',
    'right-to-left text': 'قائمة\u202etxt.csv',
    'quotes and backslashes': `"'\\{}",\\\\u0000\\"`,
    'line breaks, tabs and other control characters': 'a\r\n\t\u0001\u001f\u007f\u0085\u2028',
    'a path': '../../etc/passwd',
    'what JavaScript knows': '__proto__',
    'what SQL knows': "'; drop table records; --",
    'null as text': 'NULL',
    'characters that are none': '\ufffe\uffff\u{10ffff}\ufeff',
    '1,024 bytes': 'f'.repeat(1_024),
    '1,024 bytes in 512 letters': 'é'.repeat(512),
    '1,024 bytes in 256 emoji': '😀'.repeat(256),
  }
  for (const [name, filename] of Object.entries(filenames)) {
    test(`a filename may be ${name}`, async () => {
      const issues = [{ line: 0, message: filename }]
      const body = update(filename, { errors: issues, warnings: issues })
      const answer = await post('f', JSON.stringify(body))
      assert.equal(answer.status, 200, answer.text)
      const record = await readBack('f', filename)
      assert.equal(record.filename, filename)
      assert.deepEqual([record.errors, record.warnings], [issues, issues])
    })
  }

  test('names that differ in normalisation or case are different files', async () => {
    for (const filename of ['\u00e9', 'e\u0301', 'E\u0301', '\u00c9']) {
      const answer = await post('norm', JSON.stringify(update(filename)))
      assert.equal(JSON.parse(answer.text).result, 'created')
    }
  })

  const clients: Record<string, string> = {
    'one character': 'c',
    colons: 'krn:clnt:this-is-opaque-to-us',
    'spaces and slashes': ' a / b / ',
    'two dots': '..',
    'a percent sign': '100%25',
    'marks of URLs and links': '?#&=;,<>"{}|\\^`[]@!$\'()*+',
    'letters of many scripts': 'Kundin Ü · 顧客 · عميل',
    'what JavaScript knows': '__proto__',
    'the name of a route': 'progress',
    '256 characters': 'k'.repeat(256),
    '256 letters of two bytes': 'é'.repeat(256),
    '256 emoji': '😀'.repeat(256),
    '256 slashes': '/'.repeat(256),
  }
  for (const [name, client] of Object.entries(clients)) {
    test(`a client may be ${name}, on every route and in every link`, async () => {
      const path = `/clients/${encodeURIComponent(client).replaceAll('.', '%2E')}/progress`
      const get = async (path: string) => {
        const { text, headers, status } = await sendRaw(server.url, { method: 'GET', path })
        assert.equal(status, 200, text)
        return { body: text.startsWith('[') || text.startsWith('{') ? JSON.parse(text) : text, headers }
      }
      for (const file of ['1', '2']) {
        const body = JSON.stringify(
          update(file, {
            errors: [
              { line: 1, message: 'm' },
              { line: 2, message: 'n' },
            ],
          }),
        )
        const answer = await sendRaw(server.url, { method: 'POST', path, headers, body })
        assert.equal(answer.status, 200, answer.text)
        assert.equal(JSON.parse(answer.text).clientKrn, client)
        const created = await get(answer.headers.location as string)
        assert.equal(created.body.filename, file)
      }
      const first = await get(`${path}?limit=1`)
      const second = await get(/^<(.*)>; rel="next"$/.exec(first.headers.link as string)![1]!)
      const found = [...first.body, ...second.body]
      assert.deepEqual(found.map(({ filename }) => filename).sort(), ['1', '2'])
      assert.ok(found.every(({ clientKrn }) => clientKrn === client))
      const { id } = found[0]
      const errors = await get(`${path}/${id}/errors?limit=1`)
      const rest = await get(/^<(.*)>; rel="next"$/.exec(errors.headers.link as string)![1]!)
      assert.deepEqual(rest.body, [{ line: 2, message: 'n' }])
      assert.match((await get(`${path}/${id}/errors.csv`)).body, /^line,message\r\n1,m\r\n2,n\r\n$/)
      assert.equal((await get(`${path}/${id}/events`)).body.length, 1)
    })
  }

  test('client, filename and e-mail may all be as long as they can', async () => {
    const client = encodeURIComponent(incompressible(256, 0x1f000))
    const filename = incompressible(341, 0x4e00)
    const email = `${incompressible(300, 0x61).replace(/[^a-z]/g, 'x')}@long.example.com`
    const token = `Bearer ${await server.token(email)}`
    const answer = await post(client, JSON.stringify(update(filename)), { authorization: token })
    assert.equal(answer.status, 200, answer.text)
    assert.equal((await readBack(client, filename)).email, email)
  })

  test('an e-mail may be as long as the tokens that are accepted have it', async () => {
    const token = `Bearer ${await server.token(incompressible(106, 0x4e00))}`
    const client = encodeURIComponent(incompressible(256, 0x1f000))
    const answer = await post(client, JSON.stringify(update(incompressible(340, 0x4e00))), {
      authorization: token,
    })
    assert.equal(answer.status, 200, answer.text)
  })

  for (const [name, email] of Object.entries({
    'plus signs': 'alice+tag@example.com',
    'letters beyond ASCII': 'jörg@bücher.example',
    quotes: '"a b"@example.com',
  })) {
    test(`an e-mail may have ${name}, and is found by it`, async () => {
      const authorization = `Bearer ${await server.token(email)}`
      await post('mail', JSON.stringify(update(`${name}.csv`)), { authorization })
      const { body } = await server.call('GET', `/clients/mail/progress?email=${encodeURIComponent(email)}`)
      assert.deepEqual(
        body.map((record: { email: string; filename: string }) => [record.email, record.filename]),
        [[email, `${name}.csv`]],
      )
    })
  }

  for (const [name, message] of Object.entries({
    empty: '',
    'of 4,096 characters': 'm'.repeat(4_096),
    'of 4,096 emoji': '😀'.repeat(4_096),
    'with what looks like an escaped NUL': '\\u0000 and \\ud800',
  })) {
    test(`a message may be ${name}`, async () => {
      const filename = `${files++}.csv`
      const answer = await post(
        'm',
        JSON.stringify(update(filename, { errors: [{ line: MAX_SAFE, message }] })),
      )
      assert.equal(answer.status, 200, answer.text)
      assert.deepEqual((await readBack('m', filename)).errors, [{ line: MAX_SAFE, message }])
    })
  }

  test('P3 an update may bring 10,000 errors and 10,000 warnings; the newest 1,000 of each are shown', async () => {
    const issues = Array.from({ length: 10_000 }, (_, line) => ({ line, message: `m${line}` }))
    const answer = await post('m', JSON.stringify(update('many.csv', { errors: issues, warnings: issues })))
    assert.equal(answer.status, 200, answer.text.slice(0, 500))
    const body = JSON.parse(answer.text)
    assert.deepEqual([body.errorsTotal, body.warningsTotal], [10_000, 10_000])
    assert.deepEqual([body.errors, body.warnings], [issues.slice(9_000), issues.slice(9_000)])
  })

  test('a body may have 4 MiB', async () => {
    const answer = await post('m', JSON.stringify(update('large.csv')).padEnd(4 * 1024 * 1024))
    assert.equal(answer.status, 200, answer.text)
  })

  test('P11 times that a client sends are ignored, whatever they are', async () => {
    const past = '1999-12-31T23:59:59Z'
    for (const time of [past, 0, null, { deep: [[[]]] }, true]) {
      const answer = await post(
        't',
        JSON.stringify(update('times.csv', { createdAt: time, updatedAt: time })),
      )
      assert.equal(answer.status, 200, answer.text)
      assert.equal('createdAt' in JSON.parse(answer.text), false)
    }
    const { createdAt, updatedAt } = await readBack('t', 'times.csv')
    for (const time of [createdAt, updatedAt])
      assert.ok(Math.abs(Date.parse(time) - Date.now()) < 60_000, time)
    assert.ok(createdAt < updatedAt)
  })

  test('a surrogate pair may be escaped, a name may be, and one name may be in many objects', async () => {
    const text = `{"file\\u006eame":"\\ud83d\\uDE00","counts":{"done":1,"warn":0,"failed":0},
      "errors":[{"line":1,"message":"a"},{"line":1,"message":"\\"line\\":1,{[:"}],"createdAt":{"counts":{"done":1}}}`
    const answer = await post('j', text)
    assert.equal(answer.status, 200, answer.text)
    assert.equal((await readBack('j', '😀')).errors[1].message, '"line":1,{[:')
  })

  test('32 levels may be nested where it is ignored', async () => {
    const nested = `${'['.repeat(31)}${']'.repeat(31)}`
    const answer = await post(
      'j',
      `${JSON.stringify(update('deep.csv')).slice(0, -1)},"createdAt":${nested}}`,
    )
    assert.equal(answer.status, 200, answer.text)
  })

  for (const type of [
    'application/json; charset=utf-8',
    'APPLICATION/JSON',
    'application/json;charset="UTF-8"',
  ]) {
    test(`the content type may be ${type}`, async () => {
      const answer = await post('j', JSON.stringify(update(type)), { 'content-type': type })
      assert.equal(answer.status, 200, answer.text)
    })
  }

  test('P4 a total may be less than what is done already, and 0', async () => {
    for (const total of [5, 0, MAX_SAFE]) {
      const answer = await post('n', JSON.stringify(update('total.csv', { total })))
      assert.equal(JSON.parse(answer.text).total, total)
    }
  })

  test('an Idempotency-Key may have 255 characters, and quotes around it are no part of it', async () => {
    const key = '!'.repeat(255)
    const body = JSON.stringify(update('keys.csv'))
    const first = await post('k', body, { 'idempotency-key': key })
    const second = await post('k', body, { 'idempotency-key': `"${key}"` })
    assert.deepEqual([first.status, second.status], [200, 200])
    assert.equal(second.headers['idempotency-replayed'], 'true')
    assert.equal((await readBack('k', 'keys.csv')).counts.done, 1)
  })
})
