import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { suiteScope } from '../helpers/scope.ts'
import { startServer, type TestServer } from '../helpers/server.ts'
import { HEADER, importFile, upload, uploadJob, validRows } from './helpers.ts'

describe('reading jobs', () => {
  const scope = suiteScope()
  let server: TestServer
  before(async () => {
    server = await startServer(scope)
  })

  test('F2 the list is newest first, page by page, and every page has its own jobs', async () => {
    const token = await server.token('alice@example.com', 'krn:pages')
    const ids: string[] = []
    for (let n = 0; n < 5; n++) ids.unshift(await uploadJob(server, HEADER, { token, filename: `${n}.csv` }))
    const seen: string[] = []
    let path: string | undefined = '/api/jobs?limit=2'
    while (path) {
      const { status, body, headers } = await server.call('GET', path, { token })
      assert.equal(status, 200)
      assert.ok(body.length <= 2)
      seen.push(...body.map(({ id }: { id: string }) => id))
      path = /^<([^>]+)>; rel="next"$/.exec(headers.get('link') ?? '')?.[1]
    }
    assert.deepEqual(seen, ids)
    assert.equal((await server.call('GET', '/api/jobs?after=nonsense', { token })).status, 400)
    assert.equal((await server.call('GET', '/api/jobs?limit=0', { token })).status, 400)
  })

  /** Times that Date can hold and PostgreSQL cannot read, and ids that only look like some, were errors of ours. */
  test('F2 a cursor of somebody else’s making is refused, whatever it holds', async () => {
    const id = '00000000-0000-0000-0000-000000000000'
    const madeUp = [[0, '-'.repeat(36)], [-8e15, id], [8e15, id], [-1, id], [1.5, id], [0, 0], [0], {}, null]
    for (const parts of madeUp) {
      const after = Buffer.from(JSON.stringify(parts)).toString('base64url')
      const { status, body } = await server.call('GET', `/api/jobs?after=${after}`, { token: null })
      assert.deepEqual([status, body.errors?.[0].field], [400, 'after'], JSON.stringify(parts))
    }
  })

  test('F2 a list shows few errors of each job, a job the first 1,000, and the download all', async () => {
    const token = await server.token('alice@example.com', 'krn:many')
    const bad = Array.from({ length: 1_500 }, (_, n) => `,bad${n},,C\n`).join('')
    const job = await importFile(server, HEADER + bad, { token })
    assert.equal(job.failedCount, 1_500)
    assert.equal(job.errors.length, 1_000)
    assert.deepEqual([job.errors[0].rowNumber, job.errors[999].rowNumber], [2, 1_001])
    const [listed] = (await server.call('GET', '/api/jobs', { token })).body
    assert.equal(listed.errors.length, 10)
    assert.deepEqual({ ...listed, errors: [] }, { ...job, errors: [] })
    const csv = (await server.call('GET', `/api/jobs/${job.id}/errors.csv`, { token })).body
    assert.equal(csv.split('\r\n').length, 1_502)
  })

  test('F2 large rows bound what is shown of them, not what is kept', async () => {
    const token = await server.token('alice@example.com', 'krn:large')
    const bad = Array.from({ length: 12 }, (_, n) => `,bad${n},,${'x'.repeat(900_000)}\n`).join('')
    const job = await importFile(server, HEADER + bad, { token })
    assert.equal(job.failedCount, 12)
    assert.equal(job.errors.length, 5)
    assert.ok((await server.call('GET', '/api/jobs', { token })).body[0].errors.length < 5)
    const csv = (await server.call('GET', `/api/jobs/${job.id}/errors.csv`, { token })).body
    assert.equal(csv.split('\r\n').length, 14)
  })

  test('F4 the download has the columns of the file in their order, and nothing in it runs in a spreadsheet', async () => {
    const content = [
      'Company,EMAIL,name,extra',
      '"=HYPERLINK(""http://x"")",@bad,-,+1',
      '"a, ""b""\nc",not an address,@SUM(A1),2',
    ].join('\n')
    const job = await importFile(server, content, { filename: "Käufer (1)'s 100%.csv" })
    assert.equal(job.failedCount, 2)
    const { status, headers, body } = await server.call('GET', `/api/jobs/${job.id}/errors.csv`, {
      token: null,
    })
    assert.equal(status, 200)
    assert.match(headers.get('content-type')!, /^text\/csv; charset=utf-8/)
    assert.equal(
      headers.get('content-disposition'),
      `attachment; filename="K_ufer (1)'s 100_-errors.csv"; filename*=UTF-8''K%C3%A4ufer%20%281%29%27s%20100%25-errors.csv`,
    )
    assert.deepEqual(body.split('\r\n'), [
      'rowNumber,Company,EMAIL,name,extra,error',
      `2,"'=HYPERLINK(""http://x"")",'@bad,-,'+1,email: is not a valid e-mail address`,
      `3,"a, ""b""\nc",not an address,'@SUM(A1),2,email: is not a valid e-mail address`,
      '',
    ])
  })

  test('F4 a job without bad rows has a download of the header alone', async () => {
    const job = await importFile(server, validRows(1, 'clean'))
    const { body } = await server.call('GET', `/api/jobs/${job.id}/errors.csv`, { token: null })
    assert.equal(body, 'rowNumber,name,email,phone,company,error\r\n')
  })

  test('F2 tenants never see each other’s jobs', async () => {
    const one = await server.token('alice@example.com', 'krn:tenant:1')
    const two = await server.token('alice@example.com', 'krn:tenant:2')
    const jobId = await uploadJob(server, HEADER, { token: one })
    for (const path of ['', '/stream', '/errors.csv']) {
      for (const token of [two, null, await server.token('alice@example.com')]) {
        const { status, body } = await server.call('GET', `/api/jobs/${jobId}${path}`, { token })
        assert.deepEqual([status, body.code], [404, 'not_found'], path)
      }
    }
    assert.deepEqual((await server.call('GET', '/api/jobs', { token: two })).body, [])
    assert.equal((await server.call('GET', '/api/jobs', { token: one })).body.length, 1)
  })

  test('F2 what is no id is not found either', async () => {
    for (const id of ['0190b6d2-0000-7000-8000-000000000000', 'nope', '%00', 'upload']) {
      const { status, body } = await server.call('GET', `/api/jobs/${id}`, { token: null })
      assert.ok(status === 404 || (id === '%00' && status === 400), `${id}: ${status}`)
      assert.ok(['not_found', 'invalid_request'].includes(body.code))
    }
  })

  test('a token that is there must be valid, also where none is needed', async () => {
    assert.equal((await upload(server, HEADER, { token: 'nonsense' })).status, 401)
    assert.equal((await server.call('GET', '/api/jobs', { token: 'nonsense' })).status, 401)
  })

  test('a token without a client stands for the development client, under its own e-mail', async () => {
    const token = await server.token('zoe@example.com')
    const job = await importFile(server, HEADER, { token, filename: 'zoe.csv' })
    assert.equal((await server.call('GET', `/api/jobs/${job.id}`, { token: null })).status, 200)
    const record = await server.call('GET', '/clients/krn:dev/progress?filename=zoe.csv')
    assert.equal(record.body.email, 'zoe@example.com')
  })

  test('the routes are described, the upload as a form', async () => {
    const { paths } = (await server.call('GET', '/openapi.json')).body
    const { requestBody } = paths['/api/jobs/upload'].post
    assert.deepEqual(requestBody.content['multipart/form-data'].schema.required, ['file'])
    for (const path of [
      '/api/jobs',
      '/api/jobs/{id}',
      '/api/jobs/{id}/stream',
      '/api/jobs/{id}/errors.csv',
    ]) {
      assert.ok(paths[path].get.summary, path)
    }
  })
})
