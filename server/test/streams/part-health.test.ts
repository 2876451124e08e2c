import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { healthWith, watchPart } from '../../src/streams/shares/part-health.ts'

const fault = (code: string) => Object.assign(new Error(`${code} 10.0.0.1`), { code })

test('S7 what fails at many places, again and again, is logged once; a part is well when all its places are', () => {
  const lines: { level: number; err?: { message: string }; failures: number }[] = []
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) })
  const watch = watchPart('aggregator', log)
  watch.went(0)
  assert.deepEqual(watch.health(), { status: 'running', since: undefined, lastError: undefined })

  for (let second = 0; second < 30; second++)
    for (let partition = 0; partition < 8; partition++) watch.failed(partition, fault('ECONNREFUSED'), 'away')
  assert.deepEqual(
    lines.map(({ err, failures }) => [err?.message, failures]),
    [['ECONNREFUSED 10.0.0.1', 1]],
  )
  watch.failed(3, fault('53100'), 'away')
  assert.equal(lines.length, 2)

  for (let partition = 0; partition < 7; partition++) watch.went(partition)
  const { status, since, lastError } = watch.health()
  assert.deepEqual([status, lastError?.message], ['waiting', '53100 10.0.0.1'])
  assert.ok(since)
  watch.went(7)
  assert.deepEqual(
    [watch.health().status, watch.health().since, watch.health().lastError],
    ['running', undefined, lastError],
  )
  assert.equal(lines.at(-1)!.failures, 241)
  watch.failed(0, fault('ECONNREFUSED'), 'away')
  assert.equal(lines.length, 4)
})

test('S7 while the log is away its readers wait, though nothing of theirs has failed; a failure of their own goes first', () => {
  const lastError = { at: new Date(5), message: 'no broker' }
  const log = { awaySinceMs: 3, lastError, refusedRecords: 0, goneRecords: 0 }
  const well = { status: 'running', since: undefined, lastError: undefined } as const
  assert.deepEqual(healthWith(log, well), { status: 'waiting', since: new Date(3), lastError })
  assert.equal(healthWith({ ...log, awaySinceMs: undefined }, well), well)
  assert.equal(healthWith(undefined, well), well)
  const failing = { status: 'waiting', since: new Date(1), lastError: undefined } as const
  assert.equal(healthWith(log, failing), failing)
})
