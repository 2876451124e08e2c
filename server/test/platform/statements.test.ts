import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const SOURCES = join(import.meta.dirname, '../../src')
const NAMED_STATEMENT = /(?:\bname: '([\w-]+)',\s*(?:\/\/.*\s*)*text\b|\bquery\('([\w-]+)',)/g

test('S3 S5 N1 no two statements share a name: a connection that has prepared one refuses the other, for as long as it lives', () => {
  const names = globSync('**/*.ts', { cwd: SOURCES }).flatMap((file) =>
    [...readFileSync(join(SOURCES, file), 'utf8').matchAll(NAMED_STATEMENT)].map(([, a, b]) => (a ?? b)!),
  )
  const repeated = names.filter((name, place) => names.indexOf(name) < place)
  assert.ok(names.length > 30, `only ${names.length} statements were found`)
  assert.deepEqual(repeated, [])
})
