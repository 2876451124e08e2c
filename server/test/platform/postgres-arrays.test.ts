import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import fc from 'fast-check'
import type { Pool } from 'pg'
import {
  booleanArray,
  jsonArray,
  numberArray,
  plainArray,
  textArray,
} from '../../src/platform/postgres/arrays.ts'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import { suiteScope } from '../helpers/scope.ts'

/** Array literals say to PostgreSQL exactly what they were made from. */
describe('array literals', () => {
  const scope = suiteScope()
  let pool: Pool

  before(async () => {
    pool = openTestPool(scope, await createTestDatabase(scope))
  })

  async function asRead(type: string, literal: string): Promise<unknown> {
    const { rows } = await pool.query(
      `SELECT (SELECT coalesce(json_agg(v), '[]') FROM unnest($1::${type}[]) AS v) AS values`,
      [literal],
    )
    return rows[0].values
  }

  const character = fc.oneof(
    fc.constantFrom('"', '\\', '{', '}', ',', ' ', '\n', '\t', "'", 'N', 'U', 'L'),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }).filter((text) => text !== '\0'),
  )
  const text = fc.oneof(
    fc.constantFrom('', 'NULL', 'null', ' ', '{}', '{a,b}', '"', '\\', '\\"', 'a,b', '\\x41'),
    fc.array(character, { maxLength: 12 }).map((characters) => characters.join('')),
  )

  test('P3 S2 texts come through whatever they hold, and null stays apart from "NULL"', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.option(text), { maxLength: 20 }), async (values) => {
        assert.deepEqual(await asRead('text', textArray(values)), values)
      }),
      { numRuns: 300 },
    )
  })

  test('N1 JSON comes through whatever its texts hold, and null stays apart from JSON', async () => {
    const value = fc.option(fc.array(fc.oneof(text, fc.maxSafeInteger(), fc.constant(null))))
    await fc.assert(
      fc.asyncProperty(fc.array(value, { maxLength: 20 }), async (values) => {
        // Without -0, which JSON does not tell from 0.
        assert.deepEqual(await asRead('json', jsonArray(values)), JSON.parse(JSON.stringify(values)))
      }),
    )
  })

  test('P2 S2 numbers come through to the last digit', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.option(fc.maxSafeInteger())), async (values) => {
        assert.deepEqual(
          await asRead('bigint', numberArray(values)),
          values.map((n) => (n === null ? n : n + 0)),
        )
      }),
    )
  })

  test('N1 S5 flags and UUIDs come through', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.boolean()), fc.array(fc.option(fc.uuid())), async (flags, ids) => {
        assert.deepEqual(await asRead('boolean', booleanArray(flags)), flags)
        assert.deepEqual(await asRead('uuid', plainArray(ids)), ids)
      }),
    )
  })
})
