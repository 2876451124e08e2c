import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { suiteScope } from '../helpers/scope.ts'
import { startServer, type TestServer, update } from '../helpers/server.ts'

describe('POST /clients/{clientKrn}/progress', () => {
  const scope = suiteScope()
  let server: TestServer
  before(async () => {
    server = await startServer(scope)
  })

  test('P1 creates, then updates; the response has the fields of the source', async () => {
    const body = {
      filename: 'sales-data.csv',
      counts: { done: 150, warn: 5, failed: 2 },
      total: 2000,
      isLast: false,
      errors: [{ line: 45, message: "Invalid date format: '13/45/2024'" }],
      warnings: [{ line: 23, message: "Deprecated field 'phone_number' used" }],
    }
    const created = await server.call('POST', '/clients/krn:clnt:p1/progress', { body })
    assert.equal(created.status, 200)
    const { isLast: _, ...same } = body
    const expected = {
      ...same,
      clientKrn: 'krn:clnt:p1',
      isCompleted: false,
      errorsTotal: 1,
      warningsTotal: 1,
    }
    assert.deepEqual(created.body, { result: 'created', ...expected })

    const updated = await server.call('POST', '/clients/krn:clnt:p1/progress', {
      body: update('sales-data.csv'),
    })
    assert.deepEqual(updated.body, {
      result: 'updated',
      ...expected,
      counts: { done: 151, warn: 5, failed: 2 },
    })
  })
})
