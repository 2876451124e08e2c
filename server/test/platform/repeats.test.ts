import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRepeats } from '../../src/platform/repeats.ts'

test('P23 what goes on failing is told once a minute, each kind by itself, and at once when it was over', (t) => {
  t.mock.timers.enable({ apis: ['Date'] })
  const repeats = createRepeats()
  const told: [string, number][] = []
  const fail = (kind: string) => repeats.tell(kind, (untold) => told.push([kind, untold]))
  const take = () => told.splice(0)

  for (let n = 0; n < 3; n++) for (const kind of ['away', 'full']) fail(kind)
  assert.deepEqual(take(), [
    ['away', 0],
    ['full', 0],
  ])
  t.mock.timers.tick(60_000)
  fail('away')
  assert.deepEqual(take(), [['away', 2]])
  repeats.end('full')
  for (const kind of ['away', 'full']) fail(kind)
  assert.deepEqual(take(), [['full', 0]])
  repeats.end()
  fail('away')
  assert.deepEqual(take(), [['away', 0]])

  for (let n = 0; n < 10_000; n++) fail(`another ${n}`)
  assert.equal(take().length, 10_000)
})
