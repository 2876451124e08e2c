import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { compileDataset } from '../../src/datasets/compile.ts'
import { type Dataset, faultMessage } from '../../src/datasets/dataset.ts'
import type { Declaration } from '../../src/datasets/declaration.ts'
import { type Binding, bindHeader } from '../../src/datasets/header.ts'
import { checkRow } from '../../src/datasets/validate.ts'
import { declare, readExample } from './helpers.ts'

function bind(declaration: Declaration, ...header: string[]): Binding {
  const binding = bindHeader(compileDataset(declaration, 'things'), header)
  if ('code' in binding) throw new Error(binding.message)
  return binding
}

const faultsOf = (binding: Binding, ...cells: string[]) => faultMessage(checkRow(binding, cells).faults)

describe('a declared dataset', () => {
  test('F10 the example checks the rows of its file, column by column', async () => {
    const declaration = JSON.parse(await readExample('products.dataset.json'))
    const [header = [], ...rows] = (await readExample('products.csv'))
      .trim()
      .split('\n')
      .map((line) => line.split(';'))
    const binding = bind(declaration, ...header)
    const checked = rows.map((cells) => checkRow(binding, cells))
    assert.deepEqual(
      checked.map(({ faults }) => faultMessage(faults)),
      [
        '',
        '',
        '',
        'sku: must be an article number such as AB-1234',
        'name: is required; price: must be 0 or more; stock: is not a whole number such as 42; status: is not one of Active, On hold, Retired; available_from: is no day of the calendar; updated: has no time zone: it needs a Z or an offset such as +02:00; organic: is neither yes nor no; page: is not a web address such as https://example.com/; supplier_email: is not a valid e-mail address; ean: must have at least 8 characters',
        '',
        '',
        'price: is not a decimal number such as 1234.56',
      ],
    )
    assert.deepEqual(checked[1]!.values, [
      'TEA-1002',
      'Sencha, loose, 100 g',
      '12.50',
      '0',
      'Active',
      '2024-09-15',
      '2026-01-15T09:30:00.25+01:00',
      'true',
      'https://shop.example.com/tea-1002',
      'orders@kyoto.example',
      '4006381333948',
    ])
  })

  test('F10 a column is found by its name or an alias, whatever the case; its own name comes first', () => {
    const declaration = declare([{ name: 'sku', aliases: ['Article No.', 'number'] }])
    assert.deepEqual(bind(declaration, 'x', ' ARTICLE NO. ').indexes, [1])
    assert.deepEqual(bind(declaration, 'number', 'article no.').indexes, [1])
    assert.deepEqual(bind(declaration, 'number', 'article no.', 'SKU').indexes, [2])
  })

  test('F10 a default stands in for a blank cell and for a missing column, also where a value is required', () => {
    const declaration = declare([
      { name: 'a' },
      { name: 'b', default: 'none', required: true },
      { name: 'c', type: 'integer', default: 7 },
    ])
    assert.deepEqual(checkRow(bind(declaration, 'a', 'b'), ['x', ' ']), {
      values: ['x', 'none', '7'],
      faults: [],
    })
    assert.deepEqual(checkRow(bind(declaration, 'a', 'b', 'c'), ['x', 'y', '8']).values, ['x', 'y', '8'])
  })

  test('F10 a required column must be in the header, unless it has a default', () => {
    const dataset = compileDataset(declare([{ name: 'a', required: true }, { name: 'b' }]), 'things')
    assert.deepEqual(bindHeader(dataset, ['b']), {
      code: 'missing_columns',
      message: 'The column a is missing.',
    })
  })

  test('F10 messages of the declaration replace those of the house', () => {
    const messages = { required: 'who is it?', invalid: 'write it as A-1' }
    const declaration = declare([
      { name: 'x', type: 'regex', pattern: 'A-\\d', required: true, messages },
      { name: 'y' },
    ])
    const binding = bind(declaration, 'x', 'y')
    assert.equal(faultsOf(binding, '', 'y'), 'x: who is it?')
    assert.equal(faultsOf(binding, 'B', 'y'), 'x: write it as A-1')
    assert.equal(faultsOf(binding, 'A-1', 'y'), '')
  })

  test('F10 the message of a unique key tells the row that came first', () => {
    const keyOf = (message?: string) => {
      const key = message === undefined ? { columns: ['c0'] } : { columns: ['c0'], message }
      return compileDataset(declare([{}], { uniqueKeys: [key] }), 'things').uniqueKeys[0]!
    }
    assert.equal(keyOf().takenReason(null), 'already exists')
    assert.equal(keyOf('is sold already').takenReason(null), 'is sold already')
    assert.equal(keyOf('is sold already').takenReason(12), 'is sold already (row 12)')
  })

  test('F10 a text in a unique key is limited to what an index can hold, shared among its columns', () => {
    const uniqueKeys = [{ columns: ['c0'] }, { columns: ['c0', 'c1', 'n'] }]
    const declaration = declare([{}, {}, { name: 'n', type: 'integer' }, {}], { uniqueKeys })
    const binding = bind(declaration, 'c0', 'c1', 'n', 'c3')
    const reason = 'must not have more than 750 bytes, for it is part of a unique key'
    assert.equal(faultsOf(binding, 'ü'.repeat(375), 'x'.repeat(750), '1', 'x'.repeat(5_000)), '')
    assert.equal(faultsOf(binding, 'ü'.repeat(376), 'x'.repeat(751)), `c0: ${reason}; c1: ${reason}`)
  })

  test('F10 a pattern that would keep a backtracking engine busy for ever answers', () => {
    // Each of these doubles the time of such an engine with every letter.
    for (const pattern of ['(a+)+', '(a|a)*', '(a*)*b', '(.*a){25}', '([a-z]+)*[0-9]', '(?:a?){100}a{100}']) {
      const binding = bind(declare([{ type: 'regex', pattern }]), 'c0')
      assert.notEqual(faultsOf(binding, `${'a'.repeat(499)}!`), '', pattern)
    }
  })

  test('F10 a declaration that came from another thread makes the same dataset', async () => {
    const declaration: Declaration = JSON.parse(await readExample('products.dataset.json'))
    const plain = (dataset: Dataset) => JSON.parse(JSON.stringify(dataset))
    const copy = structuredClone({ declaration, table: 'dataset_1' })
    assert.deepEqual(
      plain(compileDataset(copy.declaration, copy.table)),
      plain(compileDataset(declaration, 'dataset_1')),
    )
  })
})
