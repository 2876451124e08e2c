import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Page } from 'playwright-core'
import { freePort } from '../../../scripts/services/process.ts'
import { openTestPool } from '../../../server/test/helpers/database.ts'
import { startServer } from '../../../server/test/helpers/server.ts'
import { HEADER, uploadJob, validRows } from '../../../server/test/jobs/helpers.ts'
import { POLL_MS } from '../../src/live/live-status.ts'
import { chooseFiles, csvFile, describeInBrowser, rowOf } from './browser.ts'

/** Requests for the list and the counts, by when they were made. */
function watchReads(page: Page): number[] {
  const reads: number[] = []
  page.on('request', (request) => {
    if (/\/api\/jobs(\/stats)?(\?|$)/.test(request.url())) reads.push(Date.now())
  })
  return reads
}

/** Jobs of the development client, as they may be after years. */
const MANY_JOBS = `
  INSERT INTO jobs (id, client_krn, email, filename, ledger_filename, ledger_number, dataset, object_name, size_bytes,
                    sha256, status, created_at, completed_at)
  SELECT gen_random_uuid(), 'krn:dev', 'a@example.com', 'old-' || n || '.csv', 'old-' || n || '.csv', 1, 'customers',
         'x', 1, 'x', 'completed', now() - n * interval '1 minute', now()
  FROM generate_series(1, 130) AS n`

describeInBrowser('the live view in the page', (openPage) => {
  test('W3 what others do shows by itself, and nothing is asked for again', async (t) => {
    const server = await startServer(t, { IMPORT_BATCH_ROWS: '20' })
    let reads: number[] = []
    const page = await openPage(t, server, {
      prepare: async (opened) => {
        reads = watchReads(opened)
      },
    })
    await page.getByText('Live', { exact: true }).waitFor()
    const before = reads.length
    await uploadJob(server, validRows(3_000), { filename: 'theirs.csv' })
    const row = rowOf(page, 'theirs.csv')
    await row.getByText(/\d+ of 3,000 rows/).waitFor()
    await row.getByText('Completed').waitFor()
    assert.equal(reads.length, before)
  })

  test('W3 without a live view it asks every 3 seconds, and only while something is under way', async (t) => {
    const server = await startServer(t, { PEBBLES_ROLES: 'api' })
    const pool = openTestPool(t, server.databaseUrl)
    let reads: number[] = []
    const page = await openPage(t, server, {
      prepare: async (opened) => {
        await opened.clock.install()
        await opened.route('**/api/jobs/stream', (route) => route.abort())
        reads = watchReads(opened)
      },
    })
    /** Lets the page's own clock go on, and waits until all that it asked for by then was seen. */
    const pass = async (ms: number) => {
      await page.clock.runFor(ms)
      await page.evaluate(`fetch('/livez').then((answer) => answer.text())`)
    }
    await page.getByText('Polling', { exact: true }).waitFor()
    const idle = reads.length
    await pass(2.5 * POLL_MS)
    assert.equal(reads.length, idle, 'nothing is under way, and it asks')

    await chooseFiles(page, csvFile('waiting.csv', HEADER))
    await rowOf(page, 'waiting.csv').getByText('Pending').waitFor()
    const now = () => page.evaluate<number>('Date.now()')
    const [begun, begunAt] = [reads.length, await now()]
    for (let times = 0; times < 3; times++) await pass(POLL_MS)
    // The list and the counts each time; the page's clock goes on between, too.
    const [asked, tookMs] = [reads.length - begun, (await now()) - begunAt]
    assert.ok(asked >= 4 && asked <= 2 + (2 * tookMs) / POLL_MS, `${asked} requests in ${tookMs} ms`)

    await pool.query(`UPDATE jobs SET status = 'completed', sequence = sequence + 1, completed_at = now()`)
    await pass(POLL_MS)
    await rowOf(page, 'waiting.csv').getByText('Completed').waitFor()
    // The answer about the counts may come a little later than the one about the list.
    await pass(POLL_MS)
    const ended = reads.length
    await pass(2.5 * POLL_MS)
    assert.equal(reads.length, ended, 'all has ended, and it asks')
  })

  test('W3 the page finds back by itself when the server was away', async (t) => {
    // Not one that the kernel gives to others while nobody listens.
    const PORT = String(await freePort())
    const first = await startServer(t, { PORT })
    const page = await openPage(t, first)
    await page.getByText('Live', { exact: true }).waitFor()
    await first.stop()
    await page.getByText(/Reconnecting|Polling/).waitFor()
    const env = { DATABASE_URL: first.databaseUrl, PEBBLES_DATA: first.dataDir, PORT }
    const second = await startServer(t, env)
    await uploadJob(second, HEADER, { filename: 'meanwhile.csv' })
    await rowOf(page, 'meanwhile.csv').waitFor()
    await page.getByText('Live', { exact: true }).waitFor()
  })

  test('W3 a server that is away from the beginning is told, with a way to try again', async (t) => {
    const server = await startServer(t)
    let isAway = true
    const page = await openPage(t, server, {
      prepare: (opened) => opened.route('**/api/**', (route) => (isAway ? route.abort() : route.continue())),
    })
    await page.getByRole('alert').getByText('Pebbles does not answer').waitFor()
    isAway = false
    await page.getByRole('button', { name: 'Try again' }).click()
    await page.getByText('Nothing imported yet').waitFor()
  })

  test('W2 older jobs are loaded page by page, none twice and none left out', async (t) => {
    const server = await startServer(t)
    await openTestPool(t, server.databaseUrl).query(MANY_JOBS)
    const page = await openPage(t, server)
    await page.getByText('100 of 130 shown').waitFor()
    assert.equal(await page.locator('[data-job]').count(), 100)
    await page.getByRole('button', { name: 'Load more' }).click()
    await page.getByText('old-130.csv').waitFor()
    const names = await page.locator('[data-job] p:first-child').allInnerTexts()
    assert.deepEqual(
      names.filter((name) => name.startsWith('old-')),
      Array.from({ length: 130 }, (_, n) => `old-${n + 1}.csv`),
    )
    assert.equal(await page.getByRole('button', { name: 'Load more' }).count(), 0)
  })

  test('W3 with a token the page shows its client’s jobs live, and none without it', async (t) => {
    const server = await startServer(t)
    const token = await server.token('alice@example.com', 'krn:token')
    await uploadJob(server, `${HEADER},bad,,\n`, { token, filename: 'mine.csv' })
    await uploadJob(server, HEADER, { filename: 'public.csv' })
    const page = await openPage(t, server, { token: 'not-a-token' })
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
    await page.getByText('The token is not valid, or no longer.').waitFor()
    await page.getByLabel('Bearer token').fill(token)
    await page.keyboard.press('Enter')
    await rowOf(page, 'mine.csv').getByText('Completed').waitFor()
    await page.getByText('Live', { exact: true }).waitFor()
    assert.equal(await page.getByText('public.csv').count(), 0)
    await page.getByRole('button', { name: 'Details of mine.csv' }).click()
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Error report', exact: true }).click(),
    ])
    assert.equal(download.suggestedFilename(), 'mine-errors.csv')
    await page.getByRole('button', { name: 'Sign out' }).click()
    await rowOf(page, 'public.csv').waitFor()
    assert.equal(await page.getByText('mine.csv').count(), 0)
  })
})
