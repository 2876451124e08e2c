import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import Fastify from 'fastify'
import { PebblesError } from '../../src/platform/errors.ts'
import { answerErrorsAsProblems } from '../../src/platform/http/problem.ts'

test('P23 while something is away every request is answered 503, and the log tells of it once', async (t) => {
  const lines: string[] = []
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk))
      done()
    },
  })
  const app = Fastify({ logger: { level: 'error', stream } })
  t.after(() => app.close())
  answerErrorsAsProblems(app)
  app.get('/away/:what', ({ params }) => {
    throw new PebblesError('unavailable', `The ${(params as { what: string }).what} cannot be reached.`)
  })
  app.get('/fault', () => {
    throw new Error('a fault of ours')
  })
  for (const path of ['/away/log', '/away/log', '/away/log', '/away/disk'])
    assert.equal((await app.inject(path)).statusCode, 503)
  for (let n = 0; n < 2; n++) assert.equal((await app.inject('/fault')).statusCode, 500)
  const told = lines.map((line) => JSON.parse(line).err.message)
  const away = ['The log cannot be reached.', 'The disk cannot be reached.']
  assert.deepEqual(told, [...away, 'a fault of ours', 'a fault of ours'], 'each fault of ours is told')
})
