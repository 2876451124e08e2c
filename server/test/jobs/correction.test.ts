import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { parse } from 'csv-parse/sync'
import type pg from 'pg'
import { readEvents as watch } from '../helpers/events.ts'
import { suiteScope } from '../helpers/scope.ts'
import { startServer, type TestServer } from '../helpers/server.ts'
import { assertAgreed, balance, control, remove, shareStorage, waitForRows } from './control-helpers.ts'
import { HEADER, importFile, readEvents, upload, uploadJob, validRows, waitForEnd } from './helpers.ts'

describe('a corrected report', () => {
  const scope = suiteScope()
  let server: TestServer
  let pool: pg.Pool
  before(async () => {
    const shared = await shareStorage(scope)
    pool = shared.pool
    server = await startServer(scope, shared.env)
  })

  const readJob = async (id: string) => (await server.call('GET', `/api/jobs/${id}`, { token: null })).body
  const readReport = async (id: string): Promise<string> =>
    (await server.call('GET', `/api/jobs/${id}/errors.csv`, { token: null })).body
  const correct = (parent: string, content: string, filename = 'corrected.csv') =>
    importFile(server, content, { parent, filename })

  /** `good` rows, then three that are refused: an address, a company, and a duplicate of the first row. */
  const faulty = (prefix: string, good = 3) =>
    `${validRows(good, prefix)}Ann,${prefix}-ann,,Ann Ltd\nBob,${prefix}-bob@example.com,,\nCid,${prefix}0@example.com,,Cid Ltd\n`

  const importFaulty = (prefix: string) => importFile(server, faulty(prefix), { filename: `${prefix}.csv` })

  test('N6 rows that are mended move from failed to done on the job that refused them, and in its record', async () => {
    const parent = await importFaulty('mend')
    assert.deepEqual(
      [parent.successCount, parent.failedCount, parent.duplicateCount, parent.correctedCount],
      [3, 3, 1, 0],
    )
    const report = await readReport(parent.id)
    const mended = report.replace('mend-ann', 'mend-ann@example.com').replace('mend0@', 'mend-cid@')
    const child = await correct(parent.id, mended)
    assert.deepEqual(
      [child.parentId, child.totalRows, child.successCount, child.failedCount, child.correctedCount],
      [parent.id, 3, 2, 1, 0],
    )
    const after = await readJob(parent.id)
    assert.deepEqual(
      [
        after.processedRows,
        after.successCount,
        after.failedCount,
        after.duplicateCount,
        after.correctedCount,
      ],
      [6, 5, 1, 0, 2],
    )
    assert.deepEqual([after.status, after.completedAt], ['completed', parent.completedAt])
    assert.deepEqual(
      after.errors.map(({ rowNumber, message }: Record<string, unknown>) => [rowNumber, message]),
      [[6, 'company: is required']],
    )
    const record = (await server.call('GET', '/clients/krn:dev/progress?filename=mend.csv')).body
    assert.deepEqual(record.counts, { done: 5, warn: 0, failed: 1 })
    assert.deepEqual([record.isCompleted, record.total, record.errorsTotal], [true, 6, 3])
    const events = await server.call('GET', `/clients/krn:dev/progress/${record.id}/events`)
    const { channel, counts, countsAfter, sequence } = events.body.at(-1)
    assert.deepEqual([channel, sequence], ['correction', record.sequence])
    assert.deepEqual(counts, { done: 2, warn: 0, failed: -2 })
    assert.deepEqual(countsAfter, record.counts)
    for (const id of [parent.id, child.id]) {
      const books = await balance(server, id)
      assert.deepEqual([books.balanced, books.differences], [true, []], id)
    }
    assert.equal((await balance(server, parent.id)).corrected, 2)
  })

  test('N6 a row is corrected once: what is not among the refused rows any more counts for its file alone', async () => {
    const parent = await importFaulty('once')
    const head = 'rowNumber,name,email,phone,company,error\n'
    await correct(parent.id, `${head}5,Ann,once-ann@example.com,,C,\n`)
    const child = await correct(
      parent.id,
      `${head}5,Ann,once-ann2@example.com,,C,\n2,Zed,once-zed@example.com,,C,\n999,Zoe,once-zoe@example.com,,C,\n,Zac,once-zac@example.com,,C,\nx,Zip,once-zip@example.com,,C,\n6,A,once-6a@example.com,,C,\n6,B,once-6b@example.com,,C,\n`,
    )
    assert.deepEqual([child.successCount, child.failedCount], [7, 0])
    const after = await readJob(parent.id)
    assert.deepEqual([after.successCount, after.failedCount, after.correctedCount], [5, 1, 2])
    assert.equal((await balance(server, parent.id)).balanced, true)
    await assertAgreed(pool, child.id)
  })

  test('N6 rows that are refused again stay with the parent as they were, and the newest report corrects them in turn', async () => {
    const parent = await importFaulty('chain')
    const report = await readReport(parent.id)
    const child = await correct(parent.id, report.replace('chain-ann', 'still wrong').replace('Bob', 'Bobby'))
    assert.equal(child.failedCount, 3)
    assert.equal(await readReport(parent.id), report)
    const again = await readReport(child.id)
    // The columns and the row numbers are those of the first file, the cells and the reasons those of the last try.
    assert.deepEqual(
      parse(again).map((row: string[]) => row.slice(0, 3)),
      [
        ['rowNumber', 'name', 'email'],
        ['5', 'Ann', 'still wrong'],
        ['6', 'Bobby', 'chain-bob@example.com'],
        ['7', 'Cid', 'chain0@example.com'],
      ],
    )
    const grandchild = await correct(child.id, again.replace('still wrong', 'chain-ann@example.com'))
    assert.equal(grandchild.parentId, parent.id)
    assert.equal((await readJob(parent.id)).correctedCount, 1)
    assert.deepEqual((await readJob(child.id)).failedCount, 3)
    for (const { id } of [parent, child, grandchild]) assert.equal((await balance(server, id)).balanced, true)
  })

  test('N6 what the report guarded against spreadsheets comes back as it was', async () => {
    const phones = [
      '+1 202 555 0100',
      "'+1 202",
      "''=1+1",
      '-5',
      '-x',
      '@home',
      "'tis",
      '=1',
      "'",
      'a "b", c',
    ]
    const lines = phones.map((phone, n) => `,guard${n}@example.com,"${phone.replaceAll('"', '""')}",C\n`)
    const parent = await importFile(server, HEADER + lines.join(''), { filename: 'guard.csv' })
    assert.equal(parent.failedCount, phones.length)
    const report = await readReport(parent.id)
    assert.ok(report.includes(`"'+1 202 555 0100"`) || report.includes(`'+1 202 555 0100`))
    const mended = report.replaceAll(/^(\d+),,/gm, '$1,Somebody,')
    // As a spreadsheet of another country saves it.
    const semicolons = parse(mended)
      .map((row: string[]) => row.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(';'))
      .join('\n')
    await correct(parent.id, semicolons)
    const { rows } = await pool.query(
      `SELECT phone FROM customers WHERE email LIKE 'guard%' ORDER BY substring(email FROM '[0-9]+')::int`,
    )
    assert.deepEqual(
      rows.map(({ phone }) => phone),
      phones,
    )
    assert.equal((await readJob(parent.id)).failedCount, 0)
  })

  test('N6 the original columns may be called rowNumber and error, and stand in any order', async () => {
    const content = 'error,company,rowNumber,email,name\nE1,C,17,bad,N\nE2,C,18,named@example.com,\n'
    const parent = await importFile(server, content, { filename: 'named.csv' })
    const report = await readReport(parent.id)
    assert.equal(report.split('\r\n')[0], 'rowNumber,error,company,rowNumber,email,name,error')
    await correct(parent.id, report.replace('bad', 'named2@example.com').replace(',,name:', ',M,name:'))
    const after = await readJob(parent.id)
    assert.deepEqual([after.successCount, after.failedCount, after.correctedCount], [2, 0, 2])
  })

  test('N6 a file without row numbers is no corrected report, and fails with words that help', async () => {
    const parent = await importFaulty('norow')
    const child = await correct(parent.id, validRows(1, 'norow-child'))
    assert.deepEqual(
      [child.status, child.error],
      [
        'failed',
        'The column rowNumber is missing: upload the corrected errors.csv of the job that it corrects.',
      ],
    )
    assert.equal(await readReport(child.id), 'rowNumber,name,email,phone,company,error\r\n')
  })

  test('N6 the parent is named in every refusal: another client’s, unknown, or not ended', async () => {
    const theirs = await importFaulty('theirs')
    const token = await server.token('mallory@example.com', 'krn:other')
    const running = await uploadJob(server, validRows(20_000, 'parent-runs'), { filename: 'parent-runs.csv' })
    await waitForRows(pool, running, 10)
    const cases = [
      [{ parent: theirs.id, token }, 404, 'not_found'],
      [{ parent: 'nonsense' }, 404, 'not_found'],
      [{ parent: '0190b6d2-0000-7000-8000-000000000000' }, 404, 'not_found'],
      [{ parent: '' }, 404, 'not_found'],
      [{ parent: running }, 409, 'wrong_state'],
    ] as const
    for (const [options, expected, code] of cases) {
      const { status, body } = await upload(server, HEADER, options)
      assert.deepEqual([status, body.code, body.errors?.[0].field], [expected, code, 'parent'])
    }
    await control(server, running, 'cancel')
    assert.equal((await upload(server, 'rowNumber,name,email,company\n', { parent: running })).status, 200)
  })

  test('N6 of two corrected reports at once each refused row is taken by one', async () => {
    const bad = Array.from({ length: 200 }, (_, n) => `Row ${n},race-bad${n},,C\n`).join('')
    const parent = await importFile(server, HEADER + bad, { filename: 'race.csv' })
    const report = await readReport(parent.id)
    const version = (who: string) => report.replaceAll(/race-bad(\d+)/g, `race-${who}$1@example.com`)
    const second = await startServer(scope, {
      DATABASE_URL: server.databaseUrl,
      PEBBLES_DATA: server.dataDir,
      IMPORT_BATCH_ROWS: '7',
      IMPORT_CONCURRENCY: '2',
    })
    const children = await Promise.all(
      ['a', 'b', 'c'].map((who) => correct(parent.id, version(who), `race-${who}.csv`)),
    )
    for (const child of children) assert.deepEqual([child.status, child.successCount], ['completed', 200])
    const after = await readJob(parent.id)
    assert.deepEqual([after.successCount, after.failedCount, after.correctedCount], [200, 0, 200])
    assert.equal((await assertAgreed(pool, parent.id)).rejects, 0)
    assert.equal((await balance(server, parent.id)).balanced, true)
    await second.stop()
  })

  test('N6 a correction is seen live on the job and on its record', async () => {
    const parent = await importFaulty('seen')
    const filename = 'seen.csv'
    const record = await watch(scope, `${server.url}/clients/krn:dev/progress/stream?filename=${filename}`)
    await record.until(({ data }) => data.counts.done === 3)
    await correct(parent.id, (await readReport(parent.id)).replace('seen-ann', 'seen-ann@example.com'))
    const { data } = await record.until(({ data }) => data.counts.done === 4)
    assert.deepEqual([data.counts.failed, data.isCompleted], [2, true])
    record.close()
    const stream = await fetch(`${server.url}/api/jobs/${parent.id}/stream`)
    const { successCount, failedCount, status } = (await readEvents(stream)).at(-1)!.data
    assert.deepEqual([successCount, failedCount, status], [4, 2, 'completed'])
  })

  test('N6 a job whose parent has gone is imported as any other', async () => {
    const parent = await importFaulty('gone')
    const report = (await readReport(parent.id)).replace('gone-ann', 'gone-ann@example.com')
    const busy = await uploadJob(server, validRows(20_000, 'gone-busy'), { filename: 'gone-busy.csv' })
    await waitForRows(pool, busy, 10)
    const childId = await uploadJob(server, report, { parent: parent.id, filename: 'gone-child.csv' })
    assert.equal((await remove(server, parent.id)).status, 204)
    await control(server, busy, 'cancel')
    const child = await waitForEnd(server, childId)
    assert.deepEqual([child.status, child.successCount, child.failedCount], ['completed', 1, 2])
    await assertAgreed(pool, childId)
    const { status, body } = await upload(server, report, { parent: childId })
    assert.deepEqual([status, body.errors[0].field], [404, 'parent'])
  })

  test('N6 parent and correction do not run at the same time', async () => {
    const parent = await uploadJob(server, faulty('still', 20_000), { filename: 'still.csv' })
    await waitForRows(pool, parent, 10)
    await control(server, parent, 'cancel')
    const busy = await uploadJob(server, validRows(20_000, 'still-busy'), { filename: 'still-busy.csv' })
    await waitForRows(pool, busy, 10)
    const child = await uploadJob(server, 'rowNumber,name,email,company\n', {
      parent,
      filename: 'still-child.csv',
    })
    const retried = await control(server, parent, 'retry')
    assert.deepEqual([retried.status, retried.body.code], [409, 'wrong_state'])
    assert.match(retried.body.detail, /correction/)
    await control(server, child, 'cancel')
    await control(server, parent, 'retry')
    const early = await control(server, child, 'retry')
    assert.equal(early.status, 409)
    assert.match(early.body.detail, /The job that it corrects is/)
    await control(server, parent, 'cancel')
    await control(server, busy, 'cancel')
  })

  test('N6 rows that count for a parent are not deleted under it', async () => {
    const parent = await importFaulty('under')
    const child = await correct(
      parent.id,
      (await readReport(parent.id)).replace('under-ann', 'under-ann@example.com'),
    )
    const refused = await remove(server, child.id, '?rows=true')
    assert.deepEqual([refused.status, refused.body.code], [409, 'wrong_state'])
    // Without its rows it may go, and the parent's books still balance.
    assert.equal((await remove(server, child.id)).status, 204)
    assert.equal((await balance(server, parent.id)).balanced, true)
    assert.equal((await remove(server, parent.id, '?rows=true')).status, 204)
    const { rows } = await pool.query(`SELECT email FROM customers WHERE email LIKE 'under%'`)
    assert.deepEqual(rows, [{ email: 'under-ann@example.com' }])
  })

  test('N6 the same key makes one correction, and another parent under it is another request', async () => {
    const parent = await importFaulty('key')
    const other = await importFaulty('key2')
    const report = await readReport(parent.id)
    const headers = { 'idempotency-key': 'correct-1' }
    const first = await upload(server, report, { parent: parent.id, headers })
    const second = await upload(server, report, { parent: parent.id, headers })
    assert.deepEqual([second.status, second.body], [200, first.body])
    assert.equal((await upload(server, report, { parent: other.id, headers })).status, 422)
    await waitForEnd(server, first.body.jobId)
    // Also when the parent is no more: the answer to the first one may have got lost.
    assert.equal((await remove(server, parent.id)).status, 204)
    const third = await upload(server, report, { parent: parent.id, headers })
    assert.deepEqual([third.status, third.body], [200, first.body])
    const late = { parent: parent.id, headers: { 'idempotency-key': 'correct-2' } }
    assert.equal((await upload(server, report, late)).status, 404)
  })
})
