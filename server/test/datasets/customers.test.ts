import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CUSTOMERS } from '../../src/datasets/customers.ts'
import { faultMessage } from '../../src/datasets/dataset.ts'
import { emailFault } from '../../src/datasets/email.ts'
import { type Binding, bindHeader } from '../../src/datasets/header.ts'
import { checkRow, showRow } from '../../src/datasets/validate.ts'

function bind(...header: string[]): Binding {
  const binding = bindHeader(CUSTOMERS, header)
  if ('code' in binding) throw new Error(binding.message)
  return binding
}

describe('the dataset customers', () => {
  test('F5 addresses that people have are valid', () => {
    for (const address of [
      'ann@example.com',
      'a.b+tag@mail.example.co.uk',
      "o'neil_x-1@example.org",
      'müller@bücher.example',
      '用户@例え.テスト',
      'x@1st.example',
    ]) {
      assert.equal(emailFault(address), undefined, address)
    }
  })

  test('F5 what is no address is refused', () => {
    for (const text of [
      'ann',
      '@example.com',
      'ann@',
      'ann@example',
      'ann@@example.com',
      'a b@example.com',
      '.ann@example.com',
      'ann.@example.com',
      'a..b@example.com',
      'ann@-example.com',
      'ann@example-.com',
      'ann@example..com',
      'ann@example.com.',
      'ann@127.0.0.1',
      'ann@[127.0.0.1]',
      'ann,bob@example.com',
      'Ann <ann@example.com>',
      'mailto:ann@example.com',
      `${'x'.repeat(65)}@example.com`,
      `ann@${'x'.repeat(64)}.com`,
      `ann@${'x.'.repeat(130)}com`,
    ]) {
      assert.notEqual(emailFault(text), undefined, text)
    }
  })

  /** One that tries every way to divide them would not end. */
  test('F5 the check of an address ends, whatever it is like', () => {
    for (const text of [`${'a.'.repeat(127)}@`, `${'a'.repeat(254)}`, `a@${'a-'.repeat(126)}`])
      assert.notEqual(emailFault(text), undefined)
  })

  test('F6 values are trimmed, a blank optional one is null, and all reasons are told in the order of the columns', () => {
    const binding = bind('email', 'name', 'company', 'phone')
    assert.deepEqual(checkRow(binding, [' a@example.com ', ' Ann', 'Acme ', ' ']), {
      values: ['Ann', 'a@example.com', null, 'Acme'],
      faults: [],
    })
    const { faults } = checkRow(binding, ['x', ' ', '\t', '1', '', '', 'seven'])
    assert.equal(
      faultMessage(faults),
      'row: has 7 cells, and the header has 4; name: is required; email: is not a valid e-mail address; company: is required',
    )
  })

  test('F5 phone may be missing as a column; blank cells at the end of a row are no cells', () => {
    const binding = bind('name', 'email', 'company')
    const { values, faults } = checkRow(binding, ['Ann', 'a@example.com', 'Acme', '', ' '])
    assert.deepEqual(faults, [])
    assert.equal(values[2], null)
  })

  test('F6 a row is shown with the names of its header, whatever they are', () => {
    const binding = bind(' Name', 'email', 'company', '__proto__', '')
    const row = showRow(binding.names, ['Ann', 'a@example.com', 'Acme', 'evil', 'x', 'y'])
    assert.equal(
      JSON.stringify(row),
      '{"Name":"Ann","email":"a@example.com","company":"Acme","__proto__":"evil","column 5":"x","column 6":"y"}',
    )
    assert.equal(Object.getPrototypeOf(row), Object.prototype)
  })
})
