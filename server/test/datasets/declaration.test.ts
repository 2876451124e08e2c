import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { CUSTOMERS_DECLARATION } from '../../src/datasets/customers.ts'
import { checkDeclaration } from '../../src/datasets/declaration-faults.ts'
import { patternFault } from '../../src/datasets/pattern.ts'
import { readExample } from './helpers.ts'

/** Fields that are named as wrong. */
const fieldsOf = (value: unknown) => checkDeclaration(value).map(({ field }) => field)

const text = { name: 'a', type: 'text' }
const of = (...columns: unknown[]) => ({ name: 'things', columns })

describe('a declaration', () => {
  test('F10 F5 the built-in dataset and the example are declared as any other', async () => {
    assert.deepEqual(checkDeclaration(CUSTOMERS_DECLARATION), [])
    assert.deepEqual(checkDeclaration(JSON.parse(await readExample('products.dataset.json'))), [])
  })

  test('F10 the declaration that the README shows works as it stands there', async () => {
    const readme = await readFile(new URL('../../../README.md', import.meta.url), 'utf8')
    const blocks = [...readme.matchAll(/^```json\n(.*?)^```/gms)].map(([, json = '']) => JSON.parse(json))
    const declarations = blocks.filter((block) => 'columns' in block)
    assert.equal(declarations.length, 1)
    assert.deepEqual(checkDeclaration(declarations[0]), [])
  })

  const faulty: [name: string, value: unknown, fields: string[]][] = [
    ['no object', [], ['body']],
    ['nothing at all', null, ['body']],
    ['an empty object', {}, ['name', 'columns']],
    ['an unknown field', { ...of(text), colour: 'red' }, ['colour']],
    ['a name in upper case', { ...of(text), name: 'Things' }, ['name']],
    ['a name that is too long', { ...of(text), name: 'a'.repeat(64) }, ['name']],
    ['no columns', of(), ['columns']],
    [
      'too many columns',
      of(...Array.from({ length: 201 }, (_, i) => ({ name: `c${i}`, type: 'text' }))),
      ['columns'],
    ],
    ['a column name with a space', of({ ...text, name: 'a b' }), ['columns[0].name']],
    ['a column name with a quote', of({ ...text, name: 'a"; drop' }), ['columns[0].name']],
    ['an unknown type', of({ ...text, type: 'money' }), ['columns[0].type']],
    ['an unknown field of a column', of({ ...text, uniq: true }), ['columns[0].uniq']],
    ['required as a text', of({ ...text, required: 'yes' }), ['columns[0].required']],
    ...['id', 'job_id', 'client_krn', 'row_number', 'created_at', 'rownumber', 'error', 'xmin', 'ctid'].map(
      (name): [string, unknown, string[]] => [
        `the reserved name ${name}`,
        of({ ...text, name }),
        ['columns[0].name'],
      ],
    ),
    ['a reserved alias', of({ ...text, aliases: ['ok', 'RowNumber'] }), ['columns[0].aliases[1]']],
    ['two columns of one name', of(text, text), ['columns[1].name']],
    [
      'an alias of two columns',
      of({ ...text, aliases: ['X'] }, { name: 'b', type: 'text', aliases: [' x '] }),
      ['columns[1].aliases[0]'],
    ],
    [
      'an alias that is another column',
      of({ ...text, aliases: ['B'] }, { name: 'b', type: 'text' }),
      ['columns[0].aliases[0]'],
    ],
    ['an alias that is its own name', of({ ...text, aliases: ['A'] }), ['columns[0].aliases[0]']],
    ['a blank alias', of({ ...text, aliases: [' '] }), ['columns[0].aliases[0]']],
    ['a length for a number', of({ name: 'n', type: 'integer', maxLength: 3 }), ['columns[0].maxLength']],
    ['a range for a text', of({ ...text, min: 3 }), ['columns[0].min']],
    ['values for a text', of({ ...text, values: ['a'] }), ['columns[0].values']],
    ['a pattern for a text', of({ ...text, pattern: 'a' }), ['columns[0].pattern']],
    ['minLength beyond maxLength', of({ ...text, minLength: 3, maxLength: 2 }), ['columns[0].minLength']],
    ['a negative length', of({ ...text, minLength: -1 }), ['columns[0].minLength']],
    [
      'a length beyond the longest url',
      of({ ...text, type: 'url', maxLength: 5_000 }),
      ['columns[0].maxLength'],
    ],
    ['min beyond max', of({ name: 'n', type: 'integer', min: 10, max: 9 }), ['columns[0].min']],
    [
      'min beyond max, as texts',
      of({ name: 'n', type: 'decimal', min: '10.5', max: '9.5' }),
      ['columns[0].min'],
    ],
    [
      'min beyond max of times',
      of({ name: 'n', type: 'timestamp', min: '2026-01-01T00:00:00Z', max: '2026-01-01T00:00:00+01:00' }),
      ['columns[0].min'],
    ],
    ['a bound that is no value', of({ name: 'n', type: 'integer', min: 1.5 }), ['columns[0].min']],
    ['a bound that is no day', of({ name: 'n', type: 'date', max: '2023-02-29' }), ['columns[0].max']],
    ['a bound that has lost digits', of({ name: 'n', type: 'integer', max: 2 ** 60 }), ['columns[0].max']],
    ['an enum without values', of({ ...text, type: 'enum' }), ['columns[0].values']],
    ['an enum with no values', of({ ...text, type: 'enum', values: [] }), ['columns[0].values']],
    [
      'too many values',
      of({ ...text, type: 'enum', values: Array.from({ length: 1_001 }, String) }),
      ['columns[0].values'],
    ],
    [
      'values that differ in case only',
      of({ ...text, type: 'enum', values: ['a', 'A'] }),
      ['columns[0].values[1]'],
    ],
    [
      'a value with a space around it',
      of({ ...text, type: 'enum', values: ['a', ' b'] }),
      ['columns[0].values[1]'],
    ],
    ['regex without a pattern', of({ ...text, type: 'regex' }), ['columns[0].pattern']],
    [
      'a pattern that does not compile',
      of(text, { name: 'b', type: 'text' }, { name: 'c', type: 'regex', pattern: '[a' }),
      ['columns[2].pattern'],
    ],
    [
      'a pattern with a back reference',
      of({ ...text, type: 'regex', pattern: '(a)\\1' }),
      ['columns[0].pattern'],
    ],
    [
      'a pattern with a look-ahead',
      of({ ...text, type: 'regex', pattern: '(?=a)a' }),
      ['columns[0].pattern'],
    ],
    [
      'a pattern that multiplies',
      of({ ...text, type: 'regex', pattern: '((a{10}){10}){10}' }),
      ['columns[0].pattern'],
    ],
    [
      'a pattern that is too long',
      of({ ...text, type: 'regex', pattern: 'a'.repeat(501) }),
      ['columns[0].pattern'],
    ],
    [
      'too many patterns',
      of(...Array.from({ length: 21 }, (_, i) => ({ name: `c${i}`, type: 'regex', pattern: 'a' }))),
      ['columns[20].type'],
    ],
    [
      'a default that is no value',
      of({ name: 'n', type: 'integer', default: 'none' }),
      ['columns[0].default'],
    ],
    [
      'a default outside of the limits',
      of({ name: 'n', type: 'integer', default: 5, max: 4 }),
      ['columns[0].default'],
    ],
    [
      'a default that is no enum value',
      of({ ...text, type: 'enum', values: ['a'], default: 'b' }),
      ['columns[0].default'],
    ],
    ['a blank default', of({ ...text, default: ' ' }), ['columns[0].default']],
    [
      'a default too long for its key',
      { ...of({ ...text, default: 'ü'.repeat(800) }), uniqueKeys: [{ columns: ['a'] }] },
      ['columns[0].default'],
    ],
    ['an empty message', of({ ...text, messages: { required: '' } }), ['columns[0].messages.required']],
    [
      'a key of an unknown column',
      { ...of(text), uniqueKeys: [{ columns: ['a', 'b'] }] },
      ['uniqueKeys[0].columns[1]'],
    ],
    [
      'a key with a column twice',
      { ...of(text), uniqueKeys: [{ columns: ['a', 'a'] }] },
      ['uniqueKeys[0].columns[1]'],
    ],
    ['a key without columns', { ...of(text), uniqueKeys: [{ columns: [] }] }, ['uniqueKeys[0].columns']],
    [
      'one key twice',
      {
        ...of(text, { name: 'b', type: 'text' }),
        uniqueKeys: [{ columns: ['a', 'b'] }, { columns: ['b', 'a'] }],
      },
      ['uniqueKeys[1]'],
    ],
    [
      'too many keys',
      { ...of(text), uniqueKeys: Array.from({ length: 11 }, () => ({ columns: ['a'] })) },
      ['uniqueKeys', ...Array.from({ length: 10 }, (_, i) => `uniqueKeys[${i + 1}]`)],
    ],
  ]
  for (const [name, value, fields] of faulty) {
    test(`F10 ${name}: the field is named`, () => assert.deepEqual(fieldsOf(value), fields))
  }

  test('F10 all faults are told at once, those of form and those of meaning', () => {
    const value = {
      name: 'X',
      columns: [
        { name: 'a', type: 'nothing' },
        { name: 'b', type: 'regex', pattern: '(' },
        { name: 'c', type: 'integer', min: 2, max: 1, pattern: 'x' },
        { name: 'c', type: 'date', default: '2023-02-30' },
      ],
      uniqueKeys: [{ columns: ['b', 'b'] }],
    }
    assert.deepEqual(fieldsOf(value), [
      'name',
      'columns[0].type',
      'columns[1].pattern',
      'columns[2].pattern',
      'columns[2].min',
      'columns[3].default',
      'columns[3].name',
      'uniqueKeys[0].columns[1]',
    ])
  })

  test('F10 what a pattern multiplies out to is known before it is compiled', () => {
    const inner = 'ab.'.repeat(150)
    const patterns = [
      `(?:(?:(?:${inner}){10}){10}){10}`,
      `(?:(?:(?:${inner}){0,10}){10,}){9,10}`,
      `\\Q[\\E(?:(?:${inner}){20}){30}`,
      `[\\]](?:(?:${inner}){20}){30}`,
      `[]](?:(?:${inner}){20}){30}`,
      `(?:(?:(?:${'\\pL\\x{e4}'.repeat(40)}){10}){10}){10}`,
    ]
    // Compiled, each would take hundreds of milliseconds and as many megabytes.
    for (const pattern of patterns) {
      assert.equal(patternFault(pattern), 'is too large: counted repetitions of it multiply')
    }
    for (const pattern of [
      '[A-Z]{2}\\d{2}[A-Z0-9]{11,30}',
      '\\Q{900}{900}\\E',
      '[{900}]{3}',
      '\\x{e4}{3}',
      '(?:[0-9a-f]{4}-?){8}',
    ]) {
      assert.equal(patternFault(pattern), undefined, pattern)
    }
  })

  test('F10 the reason is told in words for the one who wrote it', () => {
    const reasonOf = (column: object) => checkDeclaration(of({ ...text, ...column }))[0]!.message
    assert.equal(
      reasonOf({ type: 'regex', pattern: '[a' }),
      'is not a regular expression of RE2: missing closing ]: `[a`',
    )
    assert.equal(reasonOf({ minLength: 5, type: 'date' }), 'means nothing for the type date')
    assert.equal(reasonOf({ type: 'date', default: '2023-02-30' }), 'is no day of the calendar')
  })
})
