import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runImportStorm } from '../verify/imports-storm.ts'
import { seededRandom } from '../verify/ledger-storm.ts'

test('N2 six kills of server, worker and PostgreSQL at random instants: at every look, and at the end, all is exact', async (t) => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  t.diagnostic(`seed ${seed}`)
  const report = await runImportStorm(t, {
    kills: 6,
    rows: 20_000,
    random: seededRandom(seed),
    pauseMs: [300, 1_500],
    batchRows: 500,
  })
  t.diagnostic(JSON.stringify(report))
  assert.ok(report.looks > 5)
})
