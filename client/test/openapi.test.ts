import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { startServer } from '../../server/test/helpers/server.ts'
import { openapiToTypes } from '../scripts/openapi-to-types.ts'

test('the types in src/openapi.ts are those of the service', async (t) => {
  const server = await startServer(t)
  const { body } = await server.call('GET', '/openapi.json')
  const checkedIn = await readFile(new URL('../src/openapi.ts', import.meta.url), 'utf8')
  assert.equal(checkedIn, openapiToTypes(body), 'out of date: npm run generate -w client')
})
