import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { PebblesError } from '../../src/platform/errors.ts'
import { parseJson, parseJsonItems } from '../../src/platform/http/json.ts'

/** Characters that parsers stumble over, among all others. */
const character = fc.oneof(
  fc.constantFrom('"', '\\', '/', ':', ',', '{', '}', '[', ']', '\n', 'u', '0', 'd', '8', ' '),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }).filter((text) => text !== '\0'),
)
const text = fc.array(character, { maxLength: 8 }).map((characters) => characters.join(''))
const name = fc.oneof(text, fc.constantFrom('__proto__', 'constructor', 'toString', '0', '', 'a'))

/** JSON as text, each string escaped in one of the ways that there are, and spaced at will. */
const { document, member } = fc.letrec<{
  document: string
  string: string
  member: [string, string]
  object: string
}>((tie) => ({
  string: fc.tuple(text, fc.nat(2)).map(([value, way]) => write(value, way)),
  member: fc.tuple(name, tie('document')),
  object: fc
    .uniqueArray(tie('member') as fc.Arbitrary<[string, string]>, {
      selector: ([name]) => name,
      maxLength: 4,
    })
    .chain((members) => fc.tuple(fc.constant(members), fc.nat(2)))
    .map(([members, way]) => writeObject(members, way)),
  document: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    fc.constantFrom('null', 'true', 'false', '0', '-0', '1e400', '1.5e-3', '[]', '{}', ' [ ] '),
    tie('string') as fc.Arbitrary<string>,
    fc
      .array(tie('document') as fc.Arbitrary<string>, { maxLength: 3 })
      .map((items) => `[${items.join(' ,\n')}]`),
    tie('object') as fc.Arbitrary<string>,
  ),
}))

function write(value: string, way: number): string {
  if (way === 0) return JSON.stringify(value)
  const units = Array.from({ length: value.length }, (_, i) =>
    value.charCodeAt(i).toString(16).padStart(4, '0'),
  )
  return `"${units.map((unit) => `\\u${way === 1 ? unit : unit.toUpperCase()}`).join('')}"`
}

const writeObject = (members: [string, string][], way: number) =>
  `{${members.map(([name, value]) => `${write(name, way)}\t:${value}`).join(', ')}}`

const isInvalidJson = (error: unknown) => error instanceof PebblesError && error.code === 'invalid_json'

describe('strict JSON', () => {
  test('a document without repeated names is read as JSON.parse reads it', () => {
    fc.assert(
      fc.property(document, (json) => {
        assert.deepStrictEqual(parseJson(Buffer.from(json)), JSON.parse(json))
      }),
      { numRuns: 500 },
    )
  })

  test('a name that occurs twice in an object is refused, wherever, however spelled and whatever its values', () => {
    const objectWithTwins = fc
      .tuple(
        fc.uniqueArray(member, { selector: ([name]) => name, minLength: 1, maxLength: 4 }),
        document,
        fc.nat(9),
        fc.nat(2),
      )
      .map(([members, value, place, way]) => {
        const [name] = members[place % members.length]!
        const all = members.map(([name, value]) => `${write(name, 0)}:${value}`)
        all.splice(place % (all.length + 1), 0, `${write(name, way)}:${value}`)
        return `{${all.join()}}`
      })
    const anywhere = fc
      .tuple(objectWithTwins, fc.array(fc.tuple(fc.boolean(), document), { maxLength: 4 }))
      .map(([inner, around]) =>
        around.reduce(
          (json, [isList, other]) => (isList ? `[${other},${json}]` : `{"a":${json},"b":${other}}`),
          inner,
        ),
      )
    fc.assert(
      fc.property(anywhere, (json) => {
        JSON.parse(json)
        assert.throws(() => parseJson(Buffer.from(json)), isInvalidJson)
      }),
      { numRuns: 500 },
    )
  })

  test('what JSON.parse refuses is refused, and what is read is what JSON.parse reads, after any damage', () => {
    const damage = fc.tuple(
      document,
      fc.array(
        fc.tuple(
          fc.nat(200),
          fc.nat(3),
          fc.constantFrom('', '"', '\\', '{', '}', '[', ']', ':', ',', '0', '\u0000'),
        ),
      ),
    )
    fc.assert(
      fc.property(damage, ([json, edits]) => {
        let damaged = json
        for (const [at, cut, insert] of edits)
          damaged = damaged.slice(0, at) + insert + damaged.slice(at + cut)
        // A cut may have halved a pair, which UTF-8 cannot write.
        damaged = damaged.toWellFormed()
        let value: unknown
        try {
          value = parseJson(Buffer.from(damaged))
        } catch (error) {
          assert.ok(isInvalidJson(error), String(error))
          return
        }
        assert.deepStrictEqual(value, JSON.parse(damaged))
      }),
      { numRuns: 1_000 },
    )
  })

  test('bytes are read or refused, and nothing of them is told', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 50 }), (bytes) => {
        const secret = Buffer.concat([Buffer.from('"top-secret'), bytes])
        try {
          parseJson(secret)
        } catch (error) {
          assert.ok(isInvalidJson(error))
          assert.doesNotMatch((error as Error).message, /top|secret/)
        }
      }),
    )
  })

  test('P8 text that cannot be stored is named by its field, and a hundred such fields are enough', () => {
    const faultsOf = (json: string) => {
      try {
        parseJson(Buffer.from(json))
      } catch (error) {
        return (error as PebblesError).faults
      }
      return undefined
    }
    assert.deepEqual(
      faultsOf('{"a":[{"b":"x\\u0000"}],"c":"\\ud800"}')!.map(({ field }) => field),
      ['a[0].b', 'c'],
    )
    assert.deepEqual(faultsOf('{"a":"\\\\u0000","b":"\\ud83d\\ude00"}'), undefined)
    const many = faultsOf(`{"${'n'.repeat(100_000)}":[${new Array(50_000).fill('"\\u0000"')}]}`)!
    assert.equal(many.length, 100)
    assert.ok(many.every(({ field }) => field.length <= 200))
  })

  test('S1 of a list each item is read by itself, as it would be alone', () => {
    const item = fc.oneof(
      document,
      fc.constantFrom('{"a":1,"a":2}', '"\\u0000"', '{"b":[",","]",{"c":"\\ud800"}]}'),
    )
    const readAlone = (json: string) => {
      try {
        return parseJson(Buffer.from(json))
      } catch (error) {
        return (error as Error).message
      }
    }
    fc.assert(
      fc.property(fc.array(item, { minLength: 1, maxLength: 5 }), (items) => {
        const read = parseJsonItems(Buffer.from(`[${items.join(' ,\n')}]`), 5) as unknown[]
        assert.deepStrictEqual(
          read.map((value) => (value instanceof PebblesError ? value.message : value)),
          items.map(readAlone),
        )
      }),
      { numRuns: 500 },
    )
    for (const body of ['{"a":1,"a":2}', '"\\u0000"', '[1,', '', '[1,"\\u0000",3]']) {
      assert.throws(() => parseJsonItems(Buffer.from(body), 2), isInvalidJson)
    }
  })

  test('32 levels are read and 33 are not, brackets in strings aside', () => {
    const nested = (levels: number) => Buffer.from('['.repeat(levels) + ']'.repeat(levels))
    assert.doesNotThrow(() => parseJson(nested(32)))
    assert.throws(() => parseJson(nested(33)), isInvalidJson)
    assert.doesNotThrow(() => parseJson(Buffer.from(JSON.stringify({ a: '['.repeat(1_000) }))))
  })
})
