import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ColumnDeclaration } from '../../src/datasets/declaration.ts'
import { column, stored } from './helpers.ts'

type Given = Partial<ColumnDeclaration>

/** What is accepted, and what it is stored as. */
const valid: [given: Given, values: Record<string, string>][] = [
  [{ type: 'text' }, { Ann: 'Ann', "O'Neil\tand\nSons": "O'Neil\tand\nSons", '\\N': '\\N' }],
  [
    { type: 'text', minLength: 2, maxLength: 3 },
    { '😀😀': '😀😀', '😀😀😀': '😀😀😀', abc: 'abc' },
  ],
  [
    { type: 'integer' },
    {
      42: '42',
      '-7': '-7',
      '+5': '5',
      '007': '7',
      '-0': '0',
      '9223372036854775807': '9223372036854775807',
      '-9223372036854775808': '-9223372036854775808',
      '00000000000000000000000000000012': '12',
    },
  ],
  [
    { type: 'integer', min: '-9223372036854775808', max: 5 },
    { 5: '5', '-9223372036854775808': '-9223372036854775808' },
  ],
  [
    { type: 'decimal' },
    {
      '0.10': '0.10',
      '-12345678901234567890.123456789': '-12345678901234567890.123456789',
      '.5': '.5',
      '+1.5': '1.5',
    },
  ],
  [
    { type: 'decimal', min: 0.1, max: '0.3' },
    { '0.1': '0.1', '0.3': '0.3', '0.30': '0.30', '+0.2': '0.2' },
  ],
  [{ type: 'boolean' }, { true: 'true', YES: 'true', 1: 'true', False: 'false', no: 'false', 0: 'false' }],
  [
    { type: 'date' },
    {
      '2026-03-31': '2026-03-31',
      '2024/02/29': '2024-02-29',
      '0001-01-01': '0001-01-01',
      '2000-02-29': '2000-02-29',
    },
  ],
  [
    { type: 'date', min: '2026-01-01', max: '2026-12-31' },
    { '2026/01/01': '2026-01-01', '2026-12-31': '2026-12-31' },
  ],
  [
    { type: 'timestamp' },
    {
      '2026-03-31T14:30:00Z': '2026-03-31T14:30:00Z',
      '2026-03-31 14:30z': '2026-03-31T14:30:00Z',
      '2026-03-31T14:30:00.1234560+0200': '2026-03-31T14:30:00.123456+02:00',
      '2026-03-31t14:30:00-12': '2026-03-31T14:30:00-12:00',
    },
  ],
  [
    { type: 'timestamp', min: '2026-01-01T00:00:00Z' },
    { '2025-12-31T23:00:00-01:00': '2025-12-31T23:00:00-01:00' },
  ],
  [{ type: 'email' }, { 'Ann@Example.com': 'Ann@Example.com' }],
  [
    { type: 'url' },
    {
      'https://example.com': 'https://example.com',
      'HTTP://exämple.de/ä?q=1#x': 'HTTP://exämple.de/ä?q=1#x',
      'http://[::1]:8080/': 'http://[::1]:8080/',
    },
  ],
  [
    { type: 'enum', values: ['Active', 'On hold'] },
    { active: 'Active', 'ON HOLD': 'On hold', Active: 'Active' },
  ],
  [{ type: 'regex', pattern: '[A-Z]{2}-\\d+' }, { 'AB-1': 'AB-1' }],
  [{ type: 'regex', pattern: 'a|ab' }, { ab: 'ab' }],
  [{ type: 'regex', pattern: '(?i)\\p{L}{3}' }, { MÜL: 'MÜL' }],
]

/** What is refused, and the reason. */
const invalid: [given: Given, reason: string, values: string[]][] = [
  [{ minLength: 2 }, 'must have at least 2 characters', ['a', '😀']],
  [{ maxLength: 2 }, 'must not have more than 2 characters', ['abc', '😀😀😀', 'x'.repeat(1_000_000)]],
  [{ maxLength: 1 }, 'must not have more than 1 character', ['ab']],
  [
    { type: 'integer' },
    'is not a whole number such as 42',
    ['1.0', '1e3', '1,000', '1 000', '0x10', '--1', '+', 'NaN', '٣', '9'.repeat(500_000)],
  ],
  [
    { type: 'integer' },
    'is beyond the whole numbers that can be stored',
    ['9223372036854775808', '-9223372036854775809', '9'.repeat(99)],
  ],
  [{ type: 'integer', min: 3 }, 'must be 3 or more', ['2', '-9223372036854775808']],
  [{ type: 'integer', max: '9007199254740993' }, 'must be 9007199254740993 or less', ['9007199254740994']],
  [
    { type: 'decimal' },
    'is not a decimal number such as 1234.56',
    ['1,5', '1.234,5', '1e5', '1.', '.', '-', 'NaN', 'Infinity', '$5', '1_000', '9'.repeat(101)],
  ],
  [{ type: 'decimal', max: '0.3' }, 'must be 0.3 or less', ['0.30000000000000000000000001', '1']],
  [{ type: 'decimal', min: '-0.5' }, 'must be -0.5 or more', ['-0.51', '-1']],
  [{ type: 'boolean' }, 'is neither yes nor no', ['y', 't', 'on', '2', 'constructor', 'truee', 'ja']],
  [
    { type: 'date' },
    'is not a date such as 2026-03-31',
    [
      '31.03.2026',
      '03/04/2026',
      '2026-3-1',
      '20260331',
      '2026-03-31T00:00:00Z',
      '2026-03/31',
      'today',
      'infinity',
      '12026-01-01',
      '-2026-01-01',
    ],
  ],
  [
    { type: 'date' },
    'is no day of the calendar',
    [
      '2023-02-30',
      '2023-02-29',
      '1900-02-29',
      '2026-13-01',
      '2026-00-10',
      '2026-04-31',
      '0000-01-01',
      '2026-01-00',
    ],
  ],
  [{ type: 'date', min: '2026-01-01' }, 'must be 2026-01-01 or later', ['2025/12/31']],
  [
    { type: 'timestamp' },
    'is not a time such as 2026-03-31T14:30:00Z',
    [
      '2026-03-31',
      '14:30',
      '2026-03-31T14:30:00+2',
      '2026-03-31T14:30:00,5Z',
      '2026-03-31T14:30:00 CET',
      'now',
      'epoch',
    ],
  ],
  [
    { type: 'timestamp' },
    'has no time zone: it needs a Z or an offset such as +02:00',
    ['2026-03-31T14:30:00', '2026-03-31 14:30'],
  ],
  [{ type: 'timestamp' }, 'is no day of the calendar', ['2023-02-30T00:00:00Z', '0000-01-01T00:00:00Z']],
  [
    { type: 'timestamp' },
    'is no time of the day',
    ['2026-03-31T24:00:00Z', '2026-03-31T23:60:00Z', '2026-06-30T23:59:60Z'],
  ],
  [
    { type: 'timestamp' },
    'has an offset that no time zone has',
    ['2026-03-31T14:30:00+14:01', '2026-03-31T14:30:00+01:60', '2026-03-31T14:30:00-99'],
  ],
  [{ type: 'timestamp' }, 'must not be finer than microseconds', ['2026-03-31T14:30:00.0000001Z']],
  [
    { type: 'timestamp', max: '2026-01-01T00:00:00Z' },
    'must be 2026-01-01T00:00:00Z or earlier',
    ['2026-01-01T00:00:00.000001Z', '2026-01-01T00:30:00+00:15'],
  ],
  [{ type: 'email' }, 'is not a valid e-mail address', ['ann', 'ann@example']],
  [
    { type: 'url' },
    'is not a web address such as https://example.com/',
    [
      'example.com',
      'ftp://example.com',
      'javascript:alert(1)',
      'http:example.com',
      'https:\\\\example.com',
      'https://',
      'https://a b.example',
      'https://example.com/a b',
      'https://exa\nmple.com',
      'https://1.2.3.4.5',
      'http://example.com:99999',
    ],
  ],
  [{ type: 'url' }, 'must not have more than 2048 characters', [`https://example.com/${'a'.repeat(2_048)}`]],
  [
    { type: 'enum', values: ['Active', 'On hold'] },
    'is not one of Active, On hold',
    ['Activ', 'Active,On hold'],
  ],
  [
    { type: 'enum', values: Array.from({ length: 12 }, (_, i) => `v${i}`) },
    'is not one of v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, … (12 values)',
    ['v12'],
  ],
  [
    { type: 'regex', pattern: '[A-Z]{2}-\\d+' },
    'does not have the form that is asked for',
    ['AB-1x', 'xAB-1', 'AB-1\nAB-2', 'ab-1'],
  ],
  [{ type: 'regex', pattern: '.*' }, 'must not have more than 500 characters', ['a'.repeat(501)]],
  [
    { type: 'integer', max: 9, messages: { invalid: 'needs one digit' } },
    'needs one digit',
    ['x', '10', '99999999999999999999'],
  ],
]

describe('values of a column', () => {
  for (const [given, values] of valid) {
    for (const [value, kept] of Object.entries(values)) {
      test(`F10 ${JSON.stringify(given)} takes ${JSON.stringify(value)}`, () =>
        assert.equal(stored(column(given), value), kept))
    }
  }

  for (const [given, reason, values] of invalid) {
    test(`F10 ${JSON.stringify(given).slice(0, 80)}: what ${reason} is told so`, () => {
      const { findFault } = column(given)
      for (const value of values) assert.equal(findFault!(value), reason, value.slice(0, 80))
    })
  }

  test('F10 a default is stored as any value is', () => {
    assert.equal(column({ type: 'boolean', default: true }).fallback, 'true')
    assert.equal(column({ type: 'integer', default: '+007' }).fallback, '7')
    assert.equal(column({ type: 'enum', values: ['Active'], default: 'active' }).fallback, 'Active')
    assert.equal(column({ type: 'decimal', default: 0.1 }).fallback, '0.1')
    assert.equal(column({ type: 'text' }).fallback, null)
  })
})
