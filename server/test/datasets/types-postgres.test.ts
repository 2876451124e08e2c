import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import fc from 'fast-check'
import type pg from 'pg'
import { COLUMN_TYPES } from '../../src/datasets/column-types.ts'
import {
  COLUMN_TYPE_NAMES,
  type ColumnDeclaration,
  type ColumnTypeName,
} from '../../src/datasets/declaration.ts'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import { suiteScope } from '../helpers/scope.ts'
import { column, stored } from './helpers.ts'

const NEEDED: Partial<Record<ColumnTypeName, Partial<ColumnDeclaration>>> = {
  enum: { values: ['Active', 'On hold', 'İ', 'ß'] },
  regex: { pattern: '(?:[\\w.+-]|\\p{L})*' },
}

const digits = (min: number, max: number) =>
  fc.string({ unit: fc.constantFrom(...'0123456789'), minLength: min, maxLength: max })
const part = (...values: string[]) => fc.constantFrom(...values)
const joined = (...parts: fc.Arbitrary<string>[]) => fc.tuple(...parts).map((found) => found.join(''))
const realDates = fc
  .date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
  .map((date) => date.toISOString().slice(0, 10))
const dates = fc.oneof(
  joined(
    digits(4, 4),
    part('-', '/'),
    part('01', '02', '06', '12', '13'),
    part('-', '/'),
    part('00', '01', '28', '29', '30', '31'),
  ),
  realDates,
)

/** Texts near what each type takes, so that both sides of its borders are met. */
const NEAR: Record<ColumnTypeName, fc.Arbitrary<string>> = {
  text: fc.string({ unit: 'binary', minLength: 1 }),
  integer: joined(
    part('', '+', '-'),
    fc.oneof(digits(1, 40), fc.bigInt({ min: 0n, max: 2n ** 64n }).map(String)),
  ),
  decimal: joined(part('', '+', '-'), digits(0, 60), part('', '.', ',', 'e'), digits(0, 60)),
  boolean: part('true', 'FALSE', 'Yes', 'no', '1', '0', 'on', 't', 'maybe'),
  date: dates,
  timestamp: joined(
    realDates,
    part('T', ' ', 't'),
    part('00:00', '12:30', '23:59', '09:05', '24:00', '12:60'),
    part('', ':00', ':07', ':59', ':60'),
    fc.oneof(
      part('', '.', '.5'),
      joined(part('.'), digits(1, 7)),
      joined(part('.'), digits(1, 6), part('000')),
    ),
    part('Z', 'z', '', '+14:00', '-14:00', '+15:59', '+0530', '-03', '+00:00', '-00:30', '+2'),
  ),
  email: fc.oneof(fc.emailAddress(), fc.string()),
  url: fc.oneof(
    fc.webUrl({ withQueryParameters: true, withFragments: true }),
    fc.string().map((text) => `https://example.com/${text}`),
  ),
  enum: part('active', 'ON HOLD', 'i̇', 'İ', 'ss', 'ẞ', 'ß'),
  regex: fc.string({ unit: 'grapheme' }),
}

describe('values that are found valid', () => {
  const scope = suiteScope()
  let pool: pg.Pool
  before(async () => {
    pool = openTestPool(scope, await createTestDatabase(scope))
  })

  for (const type of COLUMN_TYPE_NAMES) {
    test(`F10 ${type}: PostgreSQL reads every one of them, and reads what was meant`, async () => {
      const checked = column({ type, ...NEEDED[type] })
      let found = 0
      await fc.assert(
        fc.asyncProperty(fc.array(NEAR[type], { minLength: 20, maxLength: 60 }), async (texts) => {
          const values = texts
            .map((text) => text.trim())
            .filter(
              (text) =>
                text !== '' &&
                !text.includes('\0') &&
                text.isWellFormed() &&
                checked.findFault?.(text) === undefined,
            )
          found += values.length
          const kept = values.map((value) => stored(checked, value))
          const { rows } = await pool.query({
            // As COPY does: the input function of the type, on a text.
            text: `SELECT ${READ[type] ?? 'v::text'} AS read FROM unnest($1::text[]) WITH ORDINALITY AS t(s, i),
                   LATERAL (SELECT s::${COLUMN_TYPES[type].sqlType} AS v) x ORDER BY i`,
            values: [kept],
          })
          const read = rows.map((row) => row.read)
          const meant = values.map((value, index) => MEANT[type]?.(value) ?? kept[index])
          assert.deepEqual(read, meant)
        }),
        { numRuns: 60 },
      )
      assert.ok(found > 100, `only ${found} texts were valid`)
    })
  }
})

/** How a stored value is read back for comparing, where its text will not do. */
const READ: Partial<Record<ColumnTypeName, string>> = {
  date: `(v - date '1970-01-01')::text`,
  timestamp: `(extract(epoch from v) * 1000000)::bigint::text`,
}

/** What a text means, found out in another way than by the code under test. */
const MEANT: Partial<Record<ColumnTypeName, (value: string) => string>> = {
  integer: (value) => String(BigInt(value)),
  decimal: (value) => {
    const [, sign = '', whole = '', fraction] = /^([+-]?)(\d*)\.?(\d*)$/.exec(value)!
    const number = `${whole.replace(/^0+/, '') || '0'}${fraction ? `.${fraction}` : ''}`
    return sign === '-' && /[1-9]/.test(number) ? `-${number}` : number
  },
  boolean: (value) => String(['true', 'yes', '1'].includes(value.toLowerCase())),
  date: (value) => String(Date.parse(value.replaceAll('/', '-')) / 86_400_000),
  timestamp: (value) => {
    // What the language reads ends at milliseconds, and knows no short forms.
    const [, day, time, second = ':00', fraction = '', offset = ''] =
      /^(.{10}).(\d\d:\d\d)(:\d\d)?(\.\d+)?(.*)$/.exec(value)!
    const zone = /z/i.test(offset)
      ? 'Z'
      : offset.replace(/^(...):?(..)?$/, (_, hours, minutes = '00') => `${hours}:${minutes}`)
    const ms = Date.parse(`${day}T${time}${second}${zone}`)
    return String(BigInt(ms) * 1_000n + BigInt(fraction.slice(1, 7).padEnd(6, '0')))
  },
}
