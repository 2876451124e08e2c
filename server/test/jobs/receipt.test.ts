import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { before, describe, test } from 'node:test'
import { compactVerify, createLocalJWKSet, decodeProtectedHeader, errors } from 'jose'
import type pg from 'pg'
import { openDatabase } from '../../src/platform/postgres/database.ts'
import { createSigningKeys } from '../../src/platform/postgres/signing-keys.ts'
import { createTestDatabase } from '../helpers/database.ts'
import { atEnd, suiteScope } from '../helpers/scope.ts'
import { startServer, type TestServer } from '../helpers/server.ts'
import { control, shareStorage, waitForRows } from './control-helpers.ts'
import { HEADER, importFile, uploadJob, validRows } from './helpers.ts'

const sha256 = (content: string | Buffer) => createHash('sha256').update(content).digest('hex')

describe('the receipt of a job', () => {
  const scope = suiteScope()
  let server: TestServer
  let pool: pg.Pool
  let env: Record<string, string>
  before(async () => {
    const shared = await shareStorage(scope)
    pool = shared.pool
    env = shared.env
    server = await startServer(scope, env)
  })

  async function receiptOf(jobId: string, at: TestServer = server): Promise<string> {
    const response = await fetch(`${at.url}/api/jobs/${jobId}/receipt`)
    assert.deepEqual([response.status, response.headers.get('content-type')], [200, 'application/jose'])
    return response.text()
  }

  const published = async () => (await fetch(`${server.url}/.well-known/jwks.json`)).json() as never

  /** As an auditor does, who has the receipt and the published keys, and nothing of ours. */
  async function verify(receipt: string) {
    const { payload, protectedHeader } = await compactVerify(receipt, createLocalJWKSet(await published()), {
      algorithms: ['EdDSA'],
    })
    assert.equal(protectedHeader.typ, 'pebbles-receipt+jwt')
    return JSON.parse(Buffer.from(payload).toString())
  }

  const content = `${validRows(20, 'receipt')}A,bad,,C\nB,receipt0@example.com,,C\n`

  test('N7 it is verified by the published key, and its hashes are those of the real downloads', async () => {
    const job = await importFile(server, content, { filename: 'receipt.csv' })
    const claims = await verify(await receiptOf(job.id))
    const report = Buffer.from(
      await (await fetch(`${server.url}/api/jobs/${job.id}/errors.csv`)).arrayBuffer(),
    )
    const { iss, iat, ...rest } = claims
    assert.match(iss, /^urn:pebbles:installation:[0-9a-f-]{36}$/)
    assert.ok(Math.abs(iat - Date.now() / 1000) < 60)
    assert.deepEqual(rest, {
      jobId: job.id,
      clientKrn: 'krn:dev',
      filename: 'receipt.csv',
      dataset: 'customers',
      parentId: null,
      status: 'completed',
      counts: { total: 22, done: 20, failed: 2, duplicate: 1, corrected: 0 },
      inputSha256: sha256(content),
      inputBytes: Buffer.byteLength(content),
      reportSha256: sha256(report),
      createdAt: job.createdAt,
      completedAt: job.completedAt,
      sequence: rest.sequence,
    })
  })

  test('N7 whatever is changed of it is found', async () => {
    const job = await importFile(server, HEADER, { filename: 'tamper.csv' })
    const receipt = await receiptOf(job.id)
    const [head, body = '', signature] = receipt.split('.')
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString())
    const forged = Buffer.from(
      JSON.stringify({ ...claims, counts: { ...claims.counts, done: 99 } }),
    ).toString('base64url')
    await assert.rejects(verify(`${head}.${forged}.${signature}`), errors.JWSSignatureVerificationFailed)
    const swapped = receipt.slice(0, -3) + (receipt.endsWith('AAA') ? 'BBB' : 'AAA')
    await assert.rejects(verify(swapped))
  })

  test('N7 the same state has the same receipt, byte for byte, on every instance and at the same instant', async () => {
    const job = await importFile(server, content.replaceAll('receipt', 'same'), { filename: 'same.csv' })
    const other = await startServer(scope, env)
    const receipts = await Promise.all(
      Array.from({ length: 8 }, (_, n) => receiptOf(job.id, n % 2 ? other : server)),
    )
    assert.equal(new Set([...receipts, await receiptOf(job.id)]).size, 1)
    await other.stop()
  })

  test('N7 a correction makes a new one, and the old one still verifies', async () => {
    const job = await importFile(server, content.replaceAll('receipt', 'newer'), { filename: 'newer.csv' })
    const before = await receiptOf(job.id)
    const report = (await server.call('GET', `/api/jobs/${job.id}/errors.csv`, { token: null })).body
    await importFile(server, report.replace(',bad,', ',newer-bad@example.com,'), { parent: job.id })
    const after = await receiptOf(job.id)
    const [old, now] = [await verify(before), await verify(after)]
    assert.deepEqual(now.counts, { total: 22, done: 21, failed: 1, duplicate: 1, corrected: 1 })
    assert.deepEqual([now.sequence, now.inputSha256], [old.sequence + 1, old.inputSha256])
    assert.notEqual(now.reportSha256, old.reportSha256)
    const { body } = await server.call('GET', `/api/jobs/${job.id}/errors.csv`, { token: null })
    assert.equal(now.reportSha256, sha256(body))
  })

  /** The race: rows are corrected while the report is hashed page by page. */
  test('N7 counts and hash are of one state, also while corrections are committed', async () => {
    const bad = Array.from({ length: 300 }, (_, n) => `Row ${n},storm-bad${n},,C\n`).join('')
    const job = await importFile(server, HEADER + bad, { filename: 'storm.csv' })
    const report = (await server.call('GET', `/api/jobs/${job.id}/errors.csv`, { token: null })).body
    const lines: string[] = report.split('\r\n')
    const correcting = importFile(server, report.replaceAll(/storm-bad(\d+)/g, 'storm$1@example.com'), {
      parent: job.id,
    })
    const receipts = new Set<string>()
    let isOver = false
    void correcting.then(() => {
      isOver = true
    })
    while (!isOver) {
      const response = await fetch(`${server.url}/api/jobs/${job.id}/receipt`)
      const text = await response.text()
      if (response.status === 200) receipts.add(text)
      else assert.equal(response.status, 503)
    }
    await correcting
    receipts.add(await receiptOf(job.id))
    for (const receipt of receipts) {
      const { counts, reportSha256 } = await verify(receipt)
      // Rows are corrected in their order, so what is left is the end of the first report.
      const left = [lines[0], ...lines.slice(1 + counts.corrected)].join('\r\n')
      assert.equal(counts.failed, 300 - counts.corrected)
      assert.equal(reportSha256, sha256(left), `with ${counts.failed} rows left`)
    }
  })

  test('N7 only a job that has ended has one; a cancelled one tells how far it came', async () => {
    const jobId = await uploadJob(server, validRows(20_000, 'running'), { filename: 'running.csv' })
    await waitForRows(pool, jobId, 10)
    const early = await server.call('GET', `/api/jobs/${jobId}/receipt`, { token: null })
    assert.deepEqual([early.status, early.body.code], [409, 'wrong_state'])
    const { body } = await control(server, jobId, 'cancel')
    const { status, counts } = await verify(await receiptOf(jobId))
    assert.deepEqual([status, counts.done, counts.total], ['cancelled', body.successCount, 20_000])
  })

  test('N7 the key set holds public keys only, and receipts name theirs', async () => {
    const { keys } = (await published()) as { keys: Record<string, string>[] }
    assert.equal(keys.length, 1)
    assert.deepEqual(Object.keys(keys[0]!).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x'])
    const job = await importFile(server, HEADER, { filename: 'kid.csv' })
    assert.equal(decodeProtectedHeader(await receiptOf(job.id)).kid, keys[0]!.kid)
  })

  test('N7 one key is made, however many instances ask first at the same instant', async (t) => {
    const url = await createTestDatabase(t)
    const databases = Array.from({ length: 4 }, () =>
      openDatabase({ url, maxConnections: 2, maxLanes: 1, maxJobConnections: 1, log: () => {} }),
    )
    for (const database of databases) atEnd(t, () => database[Symbol.asyncDispose]())
    const kids = await Promise.all(
      databases.map(async ({ pool }) => (await createSigningKeys(pool).current()).kid),
    )
    assert.equal(new Set(kids).size, 1)
  })
})
