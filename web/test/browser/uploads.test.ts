import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { startServer } from '../../../server/test/helpers/server.ts'
import { HEADER, validRows } from '../../../server/test/jobs/helpers.ts'
import { chooseFiles, csvFile, describeInBrowser, rowOf, slowUploads } from './browser.ts'

const CUSTOMERS = fileURLToPath(new URL('../../../examples/customers.csv', import.meta.url))

/** Drops a file on the page, as a file manager does. */
async function dropFile(page: Page, name: string, content: Uint8Array): Promise<void> {
  const bytes = JSON.stringify([...content])
  const transfer = await page.evaluateHandle(
    `(() => { const t = new DataTransfer(); t.items.add(new File([new Uint8Array(${bytes})], ${JSON.stringify(name)})); return t })()`,
  )
  for (const type of ['dragenter', 'dragover'])
    await page.dispatchEvent('main', type, { dataTransfer: transfer })
  await page.getByText('Let go to upload').waitFor()
  await page.dispatchEvent('main', 'drop', { dataTransfer: transfer })
}

async function downloadedBytes(page: Page, button: string): Promise<Buffer> {
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: button, exact: true }).click(),
  ])
  return readFile(await download.path())
}

describeInBrowser('uploads in the page', (openPage) => {
  test('W1 W2 a chosen file becomes a row, is watched to its end, and its report is the one of the API', async (t) => {
    const server = await startServer(t)
    const page = await openPage(t, server)
    await page.getByText('Nothing imported yet').waitFor()
    await chooseFiles(page, CUSTOMERS)
    const row = rowOf(page, 'customers.csv')
    await row.getByText('Completed').waitFor()
    await row.getByText('59 rows').waitFor()
    assert.match(await row.innerText(), /\b53\s+6\b/)
    await page.getByRole('button', { name: 'Details of customers.csv' }).click()
    const errors = page.getByRole('region', { name: 'First refused rows of customers.csv' })
    await errors.getByText('Row 46').waitFor()
    assert.equal(await errors.getByRole('listitem').count(), 6)
    await errors.getByText('name: is required; email: is not a valid e-mail address').waitFor()
    const [job] = (await server.call('GET', '/api/jobs', { token: null })).body
    const report = await fetch(`${server.url}/api/jobs/${job.id}/errors.csv`)
    const shown = await downloadedBytes(page, 'Error report')
    assert.deepEqual(shown, Buffer.from(await report.arrayBuffer()))
    assert.ok(shown.length > 100)
  })

  test('W1 W7 an ugly file that is dropped shows as it is, and nothing in it runs', async (t) => {
    const server = await startServer(t)
    const page = await openPage(t, server)
    await page.getByText('Nothing imported yet').waitFor()
    const name = "<img src=x onerror=alert('name')>.csv"
    const evil = `"<script>alert('cell')</script>";<img src=x onerror=alert(1)>;"line\r\nbreak ""quoted""";=1+1`
    const ugly = `\ufeffCompany;phone;NAME;email;more\r\n${evil};x\r\n\r\nÅngström & Söhne;;Zoë;zoe@example.com;\r\n`
    await dropFile(page, name, Buffer.from(ugly))
    const row = rowOf(page, 'onerror')
    await row.getByText('Completed').waitFor()
    await page.getByRole('button', { name: 'Details of' }).click()
    const errors = page.getByRole('region', { name: 'First refused rows' })
    await errors.getByText("<script>alert('cell')</script>").waitFor()
    await errors.getByText('=1+1').waitFor()
    assert.equal(await page.locator('img, #root script').count(), 0)
    assert.ok((await page.content()).includes('&lt;img src=x'))
  })

  test('W1 several files at once all become jobs, two at a time', async (t) => {
    const server = await startServer(t)
    let held = 0
    const release = Promise.withResolvers<void>()
    const page = await openPage(t, server, {
      prepare: (opened) =>
        opened.route('**/api/jobs/upload**', async (route) => {
          held++
          await release.promise
          await route.continue()
        }),
    })
    const files = Array.from({ length: 6 }, (_, n) => csvFile(`part-${n}.csv`, validRows(20, `part${n}-`)))
    await chooseFiles(page, files)
    await page
      .getByText(/^Waiting · /)
      .nth(3)
      .waitFor()
    await delay(500)
    assert.equal(held, 2)
    release.resolve()
    for (const { name } of files) await rowOf(page, name).getByText('Completed').waitFor()
    await page.locator('dl[aria-label="Imports by status"]').getByText('6', { exact: true }).first().waitFor()
    assert.equal((await server.call('GET', '/api/jobs/stats', { token: null })).body.completed, 6)
  })

  test('W1 the bytes of an upload are told while it runs, and it can be cancelled', async (t) => {
    const server = await startServer(t)
    const page = await openPage(t, server)
    await page.getByText('Live', { exact: true }).waitFor()
    await slowUploads(page, 200_000)
    await chooseFiles(page, csvFile('slow.csv', validRows(40_000, 'slow')))
    const bar = page.getByRole('progressbar', { name: 'Upload of slow.csv' })
    const percent = async () => Number(await bar.getAttribute('aria-valuenow'))
    await bar.waitFor()
    const seen = new Set<number>()
    while (seen.size < 3) {
      seen.add(await percent())
      await delay(50)
    }
    const values = [...seen]
    assert.deepEqual(
      values,
      values.toSorted((a, b) => a - b),
    )
    assert.match((await bar.getAttribute('aria-valuetext'))!, /^\d+ %, .+ of 2\.\d MB$/)
    await page.getByRole('button', { name: 'Cancel the upload of slow.csv' }).click()
    await bar.waitFor({ state: 'detached' })
    assert.equal(await page.evaluate('document.activeElement.textContent'), 'Choose files')
    assert.deepEqual((await server.call('GET', '/api/jobs', { token: null })).body, [])
  })

  test('W1 a refused file says why, and goes when it is dismissed', async (t) => {
    const server = await startServer(t, { MAX_UPLOAD_BYTES: '100' })
    const page = await openPage(t, server)
    await chooseFiles(page, csvFile('large.csv', validRows(1_000)))
    const uploads = page.getByRole('list', { name: 'Uploads' })
    await uploads.getByText('The file is larger than the 100 bytes that are taken in.').waitFor()
    await uploads.getByText('file must not have more than 100 bytes').waitFor()
    await page.getByRole('button', { name: 'Dismiss large.csv' }).click()
    await uploads.waitFor({ state: 'detached' })
  })

  test('W1 N1 an upload whose answer was lost is sent again under its key, and makes one job', async (t) => {
    const server = await startServer(t)
    const keys: (string | undefined)[] = []
    const page = await openPage(t, server, {
      prepare: (opened) =>
        opened.route('**/api/jobs/upload**', async (route) => {
          keys.push(route.request().headers()['idempotency-key'])
          if (keys.length > 1) return route.continue()
          await route.fetch()
          await route.abort()
        }),
    })
    await chooseFiles(page, csvFile('once.csv', HEADER))
    await page.getByRole('button', { name: 'Retry the upload of once.csv' }).click()
    await rowOf(page, 'once.csv').getByText('Completed').waitFor()
    await page.getByRole('list', { name: 'Uploads' }).waitFor({ state: 'detached' })
    assert.equal(keys.length, 2)
    assert.ok(keys[0])
    assert.equal(keys[0], keys[1])
    assert.equal((await server.call('GET', '/api/jobs', { token: null })).body.length, 1)
  })

  test('W1 the sample file is one that is taken', async (t) => {
    const server = await startServer(t)
    const page = await openPage(t, server)
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Download a sample file' }).click(),
    ])
    assert.equal(download.suggestedFilename(), 'customers-sample.csv')
    await chooseFiles(page, csvFile('sample.csv', await readFile(await download.path())))
    await rowOf(page, 'sample.csv').getByText('Completed').waitFor()
    const [{ successCount, failedCount }] = (await server.call('GET', '/api/jobs', { token: null })).body
    assert.deepEqual([successCount, failedCount], [2, 0])
  })
})
