import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { before, beforeEach, describe, test } from 'node:test'
import { suiteScope } from '../helpers/scope.ts'
import { startServer, type TestServer } from '../helpers/server.ts'
import { until } from '../helpers/until.ts'
import { HEADER, send, upload, uploadJob, validRows, waitForEnd } from './helpers.ts'

const MAX_UPLOAD_BYTES = 200_000

describe('POST /api/jobs/upload', () => {
  const scope = suiteScope()
  let server: TestServer
  let filesBefore: string[]
  before(async () => {
    server = await startServer(scope, { MAX_UPLOAD_BYTES: String(MAX_UPLOAD_BYTES) })
  })
  beforeEach(async () => {
    filesBefore = await listFiles()
  })

  /** Every file of the object folder, half-written ones included. */
  async function listFiles(): Promise<string[]> {
    const entries = await readdir(join(server.dataDir, 'objects'), { recursive: true, withFileTypes: true })
    return entries
      .filter((entry) => entry.isFile())
      .map(({ name }) => name)
      .sort()
  }

  async function assertNothingLeft(): Promise<void> {
    const before = JSON.stringify(filesBefore)
    await until(
      'only the files of before are there',
      async () => JSON.stringify(await listFiles()) === before,
    )
  }

  test('F1 answers with the id of a job, whose file lies whole in its place', async () => {
    const { status, headers, body } = await upload(server, validRows(3, 'f1'))
    assert.equal(status, 200)
    assert.deepEqual(Object.keys(body), ['jobId'])
    assert.equal(headers.get('location'), `/api/jobs/${body.jobId}`)
    assert.deepEqual(await listFiles(), [...filesBefore, body.jobId].sort())
  })

  test('F1 a filename keeps its letters and loses its folders', async () => {
    const names: [string, string][] = [
      ['Kunden Müller 🙂.csv', 'Kunden Müller 🙂.csv'],
      ['/etc/../a b.csv', 'a b.csv'],
      ['C:\\Users\\ann\\list.csv', 'list.csv'],
      ['100% (1).csv', '100% (1).csv'],
      [`${'é'.repeat(510)}.csv`, `${'é'.repeat(510)}.csv`],
    ]
    for (const [given, expected] of names) {
      const jobId = await uploadJob(server, HEADER, { filename: given })
      assert.equal((await server.call('GET', `/api/jobs/${jobId}`, { token: null })).body.filename, expected)
    }
  })

  test('F1 the second of two names of full length still finds room for its number', async () => {
    const token = await server.token('alice@example.com', 'krn:long')
    const filename = `${'é'.repeat(510)}.csv`
    for (const _ of [1, 2])
      await waitForEnd(server, await uploadJob(server, HEADER, { filename, token }), token)
    const { body } = await server.call('GET', '/clients/krn:long/progress')
    assert.deepEqual(body.map((record: { filename: string }) => record.filename).sort(), [
      `${'é'.repeat(508)} (2).csv`,
      filename,
    ])
  })

  test('F1 a file that is too large is refused with 413, and nothing of it stays', async () => {
    const { status, headers, body } = await upload(server, 'x'.repeat(MAX_UPLOAD_BYTES + 1))
    assert.equal(status, 413)
    assert.match(headers.get('content-type')!, /problem\+json/)
    assert.deepEqual([body.code, body.errors[0].field], ['too_large', 'file'])
    await assertNothingLeft()
    assert.equal(
      (await upload(server, `${HEADER}${'x'.repeat(MAX_UPLOAD_BYTES - HEADER.length)}`)).status,
      200,
    )
  })

  test('F1 so is one whose length nobody told, as soon as it is too long', async () => {
    const boundary = 'b'
    const body = new ReadableStream({
      async start(controller) {
        const encoder = new TextEncoder()
        controller.enqueue(
          encoder.encode(
            `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="a.csv"\r\n\r\n`,
          ),
        )
        for (let i = 0; i < 100; i++) controller.enqueue(encoder.encode('y'.repeat(100_000)))
        controller.enqueue(encoder.encode(`\r\n--${boundary}--\r\n`))
        controller.close()
      },
    })
    const response = await fetch(`${server.url}/api/jobs/upload`, {
      method: 'POST',
      headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
      body,
      duplex: 'half',
    } as RequestInit)
    assert.equal(response.status, 413)
    await response.text()
    await assertNothingLeft()
  })

  test('F1 a client that goes away half-way leaves nothing behind', async () => {
    const { hostname, port } = new URL(server.url)
    const sent = request({
      hostname,
      port,
      method: 'POST',
      path: '/api/jobs/upload',
      headers: formHeaders('b', 90_000),
    })
    sent.on('error', () => {})
    sent.write('--b\r\ncontent-disposition: form-data; name="file"; filename="a.csv"\r\n\r\n')
    sent.write('z'.repeat(50_000))
    await until('the upload has begun', async () => (await listFiles()).length > filesBefore.length)
    sent.destroy()
    await assertNothingLeft()
    const jobs = await server.call('GET', '/api/jobs', { token: null })
    assert.ok(jobs.body.every((job: { filename: string }) => job.filename !== 'a.csv'))
  })

  test('F1 a form that ends early is a broken request, not an error of ours', async () => {
    const body = '--b\r\ncontent-disposition: form-data; name="file"; filename="a.csv"\r\n\r\nname,em'
    const answer = await send(server, body, {
      headers: { 'content-type': 'multipart/form-data; boundary=b' },
    })
    assert.equal(answer.status, 400)
    assert.equal(answer.body.errors[0].field, 'file')
    await assertNothingLeft()
  })

  test('F1 what is not one file in the field `file` is refused, naming the field', async () => {
    const twoFiles = new FormData()
    for (const name of ['a.csv', 'b.csv']) twoFiles.append('file', new Blob([HEADER]), name)
    const text = new FormData()
    text.append('file', 'name,email')
    const noFile = new FormData()
    noFile.append('note', 'x')
    const other = new FormData()
    other.append('upload', new Blob([HEADER]), 'a.csv')
    const nameless = '--b\r\ncontent-disposition: form-data; name="file"; filename=""\r\n\r\nx\r\n--b--\r\n'
    const folder = '--b\r\ncontent-disposition: form-data; name="file"; filename="a/"\r\n\r\nx\r\n--b--\r\n'
    const tooLong = new FormData()
    tooLong.append('file', new Blob([HEADER]), `${'é'.repeat(511)}.csv`)
    const form = { 'content-type': 'multipart/form-data; boundary=b' }
    const cases: [string, NonNullable<RequestInit['body']>, Record<string, string> | undefined, number][] = [
      ['two files', twoFiles, undefined, 400],
      ['a text field', text, undefined, 400],
      ['no file', noFile, undefined, 400],
      ['another field', other, undefined, 400],
      ['no filename', nameless, form, 400],
      ['a filename of dots', nameless.replace('""', '".."'), form, 400],
      ['a folder as filename', folder, form, 400],
      ['a filename that is too long', tooLong, undefined, 400],
      ['an empty form', '--b--\r\n', form, 400],
      ['an empty body', '', form, 400],
      ['no boundary', 'x', { 'content-type': 'multipart/form-data' }, 400],
      ['garbage', 'garbage', form, 400],
      ['JSON', '{"file":1}', { 'content-type': 'application/json' }, 415],
      ['text', 'name,email', { 'content-type': 'text/csv' }, 415],
      ['nothing', '', undefined, 415],
    ]
    for (const [what, body, headers, status] of cases) {
      const answer = await send(server, body, headers ? { headers } : {})
      assert.equal(answer.status, status, `${what}: ${JSON.stringify(answer.body)}`)
      assert.match(answer.headers.get('content-type')!, /problem\+json/, what)
      assert.equal(answer.body.errors?.[0].field, 'file', what)
    }
    await assertNothingLeft()
  })

  test('F1 other fields of a form, before or after the file, do no harm', async () => {
    const form = new FormData()
    form.append('note', 'before')
    form.append('file', new Blob([HEADER]), 'fields.csv')
    form.append('__proto', 'after')
    assert.equal((await send(server, form)).status, 200)
  })

  test('F1 a dataset or a parent in the form is refused, not passed over', async () => {
    for (const field of ['dataset', 'parent']) {
      const form = new FormData()
      form.append('file', new Blob([HEADER]), 'a.csv')
      form.append(field, 'products')
      const { status, body } = await send(server, form)
      assert.deepEqual([status, body.errors?.[0].field], [400, field])
    }
    await assertNothingLeft()
  })

  test('the same key and file give the same job, and the second copy is removed', async () => {
    const headers = { 'idempotency-key': 'upload-1' }
    const content = validRows(5, 'idem')
    const first = await upload(server, content, { headers })
    assert.equal(first.headers.get('idempotency-replayed'), null)
    const files = await listFiles()
    const second = await upload(server, content, { headers })
    assert.deepEqual([second.status, second.body], [200, first.body])
    assert.equal(second.headers.get('idempotency-replayed'), 'true')
    assert.deepEqual(await listFiles(), files)

    for (const other of [
      await upload(server, `${content} `, { headers }),
      await upload(server, content, { headers, filename: 'other.csv' }),
    ]) {
      assert.deepEqual([other.status, other.body.code], [422, 'idempotency_mismatch'])
    }
    assert.deepEqual(await listFiles(), files)
    const token = await server.token('somebody@example.com', 'krn:else')
    const elsewhere = await upload(server, content, { headers, token })
    assert.equal(elsewhere.status, 200)
    assert.notEqual(elsewhere.body.jobId, first.body.jobId)
  })

  test('many uploads at once with one key make one job', async () => {
    const headers = { 'idempotency-key': 'upload-2' }
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => upload(server, validRows(5, 'par'), { headers })),
    )
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
    assert.equal(new Set(answers.map(({ body }) => body.jobId)).size, 1)
    assert.equal(answers.filter((answer) => answer.headers.get('idempotency-replayed') === 'true').length, 5)
    assert.equal((await listFiles()).length, filesBefore.length + 1)
  })

  test('a key that cannot be one is refused', async () => {
    const { status, body } = await upload(server, HEADER, { headers: { 'idempotency-key': 'x'.repeat(256) } })
    assert.deepEqual([status, body.errors[0].field], [400, 'header Idempotency-Key'])
  })
})

const formHeaders = (boundary: string, length: number) => ({
  'content-type': `multipart/form-data; boundary=${boundary}`,
  'content-length': String(length),
})
