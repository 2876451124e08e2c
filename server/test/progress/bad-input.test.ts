import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import type { Pool } from 'pg'
import { openTestPool } from '../helpers/database.ts'
import { suiteScope } from '../helpers/scope.ts'
import { startServer, type TestServer } from '../helpers/server.ts'
import * as address from './bad-addresses.ts'
import * as bad from './bad-requests.ts'
import { type RawAnswer, sendRaw } from './raw-http.ts'

/** P8 and the rest of what must be refused: with a problem that says why, without a trace, and without harm. */
describe('bad input', () => {
  const scope = suiteScope()
  let server: TestServer
  let pool: Pool
  let authorization: string

  before(async () => {
    server = await startServer(scope)
    pool = openTestPool(scope, server.databaseUrl)
    authorization = `Bearer ${await server.token()}`
    await postValid()
    await server.call('POST', bad.UPDATES, {
      body: { filename: bad.FULL_FILE, counts: { done: bad.MAX_SAFE, warn: 0, failed: 0 } },
    })
  })

  /** A valid update that is counted the first time only. */
  async function postValid(): Promise<void> {
    const answer = await sendRaw(server.url, {
      method: 'POST',
      path: bad.UPDATES,
      headers: { authorization, 'content-type': 'application/json', 'idempotency-key': 'the-valid-one' },
      body: bad.updateText({ filename: '"valid.csv"' }),
    })
    assert.equal(answer.status, 200, answer.text)
  }

  /** Rows of each table, and all totals. */
  async function everythingStored(): Promise<unknown> {
    const { rows } = await pool.query(`
      SELECT (SELECT json_agg(r ORDER BY id) FROM records r) AS records, (SELECT count(*) FROM issues) AS issues,
             (SELECT count(*) FROM events) AS events, (SELECT count(*) FROM applied_ids) AS ids`)
    return rows[0]
  }

  const groups = {
    'what is not strict JSON': bad.notJson,
    'what is no update': bad.notAnUpdate,
    'what is too large': bad.oversized,
    'what is not called JSON': bad.notCalledJson,
    'bad idempotency keys': address.badKeys,
    'bad batches': bad.badBatches,
    'bad paths': address.badPaths,
    'bad queries': address.badQueries,
    'paths and methods where nothing is': address.nowhere,
  }
  for (const [title, requests] of Object.entries(groups)) {
    describe(`${title} is refused, and leaves no trace`, () => {
      for (const { name, method = 'POST', path = bad.UPDATES, body, ...expected } of requests) {
        test(name, async () => {
          const before = await everythingStored()
          const headers = { authorization, ...(expected.headers ?? (body !== undefined && JSON_TYPE)) }
          const answer = await sendRaw(server.url, {
            method,
            path,
            headers,
            ...(body !== undefined && { body }),
          })
          assertProblem(answer, expected)
          assert.deepEqual(await everythingStored(), before)
          await postValid()
        })
      }
    })
  }
})

const JSON_TYPE = { 'content-type': 'application/json' }

function assertProblem(
  answer: RawAnswer,
  expected: { status: number; code: string; fields?: string[] | undefined },
): void {
  assert.equal(answer.status, expected.status, answer.text.slice(0, 500))
  assert.equal(answer.headers['content-type'], 'application/problem+json; charset=utf-8')
  assert.ok(answer.text.length < 50_000, `an answer of ${answer.text.length} characters`)
  const { type, title, status, detail, code, errors, ...rest } = JSON.parse(answer.text)
  assert.deepEqual(
    { status, code, type, ...rest },
    { status: expected.status, code: expected.code, type: `urn:pebbles:problem:${expected.code}` },
  )
  for (const text of [title, detail]) assert.match(text, /^.{3,300}$/)
  for (const { message } of errors ?? []) assert.match(message, /^.{3,300}$/)
  if (expected.fields) {
    const fields = (errors ?? []).map(({ field }: { field: string }) => field)
    assert.deepEqual(fields.sort(), [...expected.fields].sort())
  }
}
