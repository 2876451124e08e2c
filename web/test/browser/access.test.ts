import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Page } from 'playwright-core'
import { openTestPool } from '../../../server/test/helpers/database.ts'
import { startServer } from '../../../server/test/helpers/server.ts'
import { HEADER, importFile, uploadJob } from '../../../server/test/jobs/helpers.ts'
import { assertAccessible } from './accessible.ts'
import { chooseFiles, csvFile, describeInBrowser, overflowOf, rowOf, untilTrue } from './browser.ts'

const LONG = `${'a-very-long-name-without-an-end-'.repeat(6)}.csv`

describeInBrowser('the page for everybody', (openPage) => {
  for (const colorScheme of ['light', 'dark'] as const) {
    test(`W7 axe finds nothing in any state, in ${colorScheme}`, async (t) => {
      const server = await startServer(t)
      const page = await openPage(t, server, { colorScheme })
      await page.getByText('Nothing imported yet').waitFor()
      await assertAccessible(page, 'empty')
      await importFile(server, `${HEADER}Ada,ada@example.com,,B\n,bad,,\n,,,\n`, { filename: LONG })
      await importFile(server, '', { filename: 'empty.csv' })
      const pool = openTestPool(t, server.databaseUrl)
      await pool.query(`INSERT INTO jobs (id, client_krn, email, filename, ledger_filename, ledger_number, dataset,
          object_name, size_bytes, sha256, status, total_rows, processed_rows, success_count, lease_until)
        SELECT gen_random_uuid(), 'krn:dev', 'a@example.com', status || '.csv', status, 1, 'customers', 'x', 1, 'x',
          status, total, 5, 5, now() + interval '1 hour'
        FROM (VALUES ('pending', NULL::bigint), ('processing', 10), ('processing', NULL), ('cancelled', 10)) AS v (status, total)`)
      await page.reload()
      await rowOf(page, 'cancelled.csv').waitFor()
      await page.getByRole('button', { name: 'Details of empty.csv' }).click()
      await page.getByRole('button', { name: 'Details of a-very' }).click()
      await page.getByText('2 refused rows').waitFor()
      await page.getByRole('button', { name: 'What must a file look like?' }).click()
      await assertAccessible(page, 'full, with details and help')
      await page.getByRole('button', { name: 'Delete a-very' }).click()
      await page.getByRole('dialog').waitFor()
      await assertAccessible(page, 'dialog')
      await page.keyboard.press('Escape')
      await page.getByRole('dialog').waitFor({ state: 'detached' })
      await page.route(/upload|cancel$/, (route) => route.abort())
      await page.getByRole('button', { name: 'Cancel pending.csv' }).click()
      await page.getByRole('region', { name: 'Messages' }).getByText('cancel was not possible').waitFor()
      await chooseFiles(page, csvFile('lost.csv', HEADER))
      await page.getByRole('button', { name: 'Retry the upload of lost.csv' }).waitFor()
      await assertAccessible(page, 'failed upload, and a message')
      await page.setViewportSize({ width: 390, height: 844 })
      await assertAccessible(page, 'phone')

      const away = await openPage(t, server, {
        colorScheme,
        prepare: (opened) => opened.route('**/api/**', (route) => route.abort()),
      })
      await away.getByRole('button', { name: 'Try again' }).waitFor()
      await assertAccessible(away, 'away')
      const loading = await openPage(t, server, {
        colorScheme,
        prepare: (opened) => opened.route('**/api/**', () => {}),
      })
      await loading.getByRole('status', { name: 'Loading imports' }).waitFor()
      await assertAccessible(loading, 'loading')
      const signIn = await openPage(t, server, { colorScheme, token: 'not-a-token' })
      await signIn.getByRole('heading', { name: 'Sign in' }).waitFor()
      await assertAccessible(signIn, 'sign-in')
    })
  }

  test('W7 on a phone nothing is wider than the window, however long its name', async (t) => {
    const server = await startServer(t)
    await importFile(server, `${HEADER}${'x'.repeat(500)},${'y'.repeat(300)},,\n`, { filename: LONG })
    const page = await openPage(t, server, { viewport: { width: 390, height: 844 } })
    await page.getByRole('button', { name: 'Details of' }).click()
    await page.getByText('1 refused row').waitFor()
    await page.getByRole('button', { name: 'What must a file look like?' }).click()
    await page.getByText('Download a sample file').waitFor()
    assert.equal(await overflowOf(page), 0)
    await page.route('**/api/jobs/upload**', (route) => route.abort())
    await chooseFiles(page, csvFile(LONG, HEADER))
    await page.getByRole('button', { name: 'Retry the upload' }).waitFor()
    assert.equal(await overflowOf(page), 0)
    await page.getByRole('button', { name: 'Delete' }).click()
    await page.getByRole('dialog').waitFor()
    assert.equal(await overflowOf(page), 0)
    await page.setViewportSize({ width: 320, height: 640 })
    assert.equal(await overflowOf(page), 0)
    // The header is widest for a caller with a token whose live view is away.
    const options = { viewport: { width: 320, height: 640 }, token: await server.token() }
    const prepare = (held: Page) => held.route('**/api/jobs/stream', (route) => route.abort())
    const held = await openPage(t, server, { ...options, prepare })
    await held.getByRole('button', { name: 'Sign out' }).waitFor()
    await held.getByText('Polling').waitFor()
    assert.equal(await overflowOf(held), 0)
  })

  test('W7 the keyboard alone uploads a file, and opens and leaves the dialog of its deletion', async (t) => {
    const server = await startServer(t)
    const page = await openPage(t, server)
    await page.getByText('Nothing imported yet').waitFor()
    await tabTo(page, 'Choose files')
    const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.keyboard.press('Enter')])
    await chooser.setFiles(csvFile('keys.csv', `${HEADER}Ada,ada@example.com,,B\n`))
    await rowOf(page, 'keys.csv').getByText('Completed').waitFor()
    await tabTo(page, 'Details of keys.csv')
    await page.keyboard.press('Enter')
    await page.getByRole('link', { name: 'Receipt' }).waitFor()
    await tabTo(page, 'Delete keys.csv')
    await page.keyboard.press('Enter')
    await page.getByRole('dialog', { name: 'Delete keys.csv?' }).waitFor()
    for (let n = 0; n < 8; n++) {
      await page.keyboard.press('Tab')
      assert.equal(await page.evaluate('document.activeElement.closest("[role=dialog]") !== null'), true)
    }
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    assert.equal(await focusedName(page), 'Delete keys.csv')
  })

  test('W7 what has the focus is seen to have it', async (t) => {
    const page = await openPage(t, await startServer(t))
    await page.getByText('Nothing imported yet').waitFor()
    await tabTo(page, 'Choose files')
    const outline = 'getComputedStyle(document.activeElement).outline'
    assert.match((await page.evaluate(outline)) as string, /solid 2px/)
  })

  test('W7 the end of an upload and of an import are said aloud, once each, and no tick between', async (t) => {
    const server = await startServer(t, { IMPORT_BATCH_ROWS: '10' })
    const page = await openPage(t, server)
    await page.getByText('Live', { exact: true }).waitFor()
    await page.evaluate(
      `window.said = []; new MutationObserver((changes) => { for (const { addedNodes } of changes) for (const node of addedNodes) said.push(node.textContent) }).observe(document.querySelector('[role=status][aria-live]'), { childList: true })`,
    )
    const rows = Array.from({ length: 500 }, (_, n) => `P,p${n}@example.com,,C\n`).join('')
    await chooseFiles(page, csvFile('said.csv', `${HEADER}${rows},,,\n`))
    await rowOf(page, 'said.csv').getByText('Completed').waitFor()
    await untilTrue(page, 'said.length >= 2')
    assert.deepEqual(await page.evaluate('said'), [
      'said.csv is uploaded, its import begins.',
      'Import of said.csv completed: 500 rows imported, 1 row refused.',
    ])
  })

  test('W7 the colours that were chosen are those of the next visit', async (t) => {
    const server = await startServer(t)
    const page = await openPage(t, server, { colorScheme: 'light' })
    const ground = () => page.evaluate('getComputedStyle(document.body).backgroundColor') as Promise<string>
    const light = await ground()
    await page.getByRole('button', { name: 'As the system', pressed: true }).waitFor()
    await page.getByRole('button', { name: 'Dark' }).click()
    await page.getByRole('button', { name: 'Dark', pressed: true }).waitFor()
    const dark = await ground()
    assert.notEqual(dark, light)
    await page.reload()
    await page.getByRole('button', { name: 'Dark', pressed: true }).waitFor()
    assert.equal(await ground(), dark)
  })

  test('W7 who wants no motion gets none', async (t) => {
    const server = await startServer(t, { PEBBLES_ROLES: 'api' })
    await uploadJob(server, HEADER, { filename: 'still.csv' })
    await openTestPool(t, server.databaseUrl).query(`UPDATE jobs SET status = 'processing', sequence = 2`)
    const page = await openPage(t, server, { reducedMotion: 'reduce' })
    const bar = page.getByRole('progressbar', { name: 'Rows of still.csv' })
    await bar.waitFor()
    assert.equal(await bar.getAttribute('aria-valuenow'), null)
    const animation = `getComputedStyle(document.querySelector('[role=progressbar]').firstChild).animationName`
    assert.equal(await page.evaluate(animation), 'none')
  })
})

const focusedName = (page: Page) =>
  page.evaluate(
    'document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent',
  ) as Promise<string>

/** Presses Tab until the focus is there, as often as it takes, but not for ever. */
async function tabTo(page: Page, name: string): Promise<void> {
  for (let n = 0; n < 60; n++) {
    await page.keyboard.press('Tab')
    if ((await focusedName(page)) === name) return
  }
  assert.fail(`Tab does not lead to ${name}`)
}
