import type { Shape } from './column-types.ts'

/** Enough for any number that people write, and far from what makes reading one slow. */
const MAX_LENGTH = 100
const INTEGER = /^[+-]?\d{1,100}$/
const DECIMAL = /^[+-]?(?:\d+(?:\.\d+)?|\.\d+)$/
/** No sign but minus, no zero in front: as PostgreSQL writes it. */
const PLAIN = /^(?:0|-?[1-9]\d*)$/
const MIN_BIGINT = -(2n ** 63n)
const MAX_BIGINT = 2n ** 63n - 1n
/** Digits of which a Number holds each. */
const SAFE_LENGTH = 15

/** PostgreSQL's bigint: whole numbers from −2^63 to 2^63 − 1. Neither `1.0` nor `1e3` nor `1,000`. */
export const integerShape: Shape = {
  findFault(value) {
    if (!INTEGER.test(value)) return 'is not a whole number such as 42'
    if (value.length <= SAFE_LENGTH) return undefined
    const number = BigInt(value)
    return number < MIN_BIGINT || number > MAX_BIGINT
      ? 'is beyond the whole numbers that can be stored'
      : undefined
  },
  normalize: (value) => (PLAIN.test(value) ? value : BigInt(value).toString()),
  // A Number compares with a BigInt exactly.
  order: (value) => (value.length <= SAFE_LENGTH ? Number(value) : BigInt(value)),
}

/**
 * PostgreSQL's numeric, exactly as written, zeros at the end included. A comma is refused, since in one half of the
 * world it means thousands; so are exponents, which spreadsheets write when they have dropped digits already.
 */
export const decimalShape: Shape = {
  findFault(value) {
    if (value.length > MAX_LENGTH || !DECIMAL.test(value)) return 'is not a decimal number such as 1234.56'
    return undefined
  },
  normalize: (value) => (value.startsWith('+') ? value.slice(1) : value),
  order: scaled,
}

/** Times 10^{@link MAX_LENGTH}, so that any two compare as whole numbers. */
function scaled(value: string): bigint {
  const isNegative = value.startsWith('-')
  const [whole = '', fraction = ''] = value.replace(/^[+-]/, '').split('.')
  const number = BigInt(whole + fraction.padEnd(MAX_LENGTH, '0'))
  return isNegative ? -number : number
}
