import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import type { Page } from 'playwright-core'
import { openTestPool } from '../../../server/test/helpers/database.ts'
import { startServer } from '../../../server/test/helpers/server.ts'
import { HEADER, importFile, uploadJob } from '../../../server/test/jobs/helpers.ts'
import { csvFile, describeInBrowser, rowOf, untilTrue } from './browser.ts'

const focused = (page: Page) => page.evaluate('document.activeElement.textContent') as Promise<string>

describeInBrowser('what can be done with a job in the page', (openPage) => {
  test('W2 F12 a waiting job is cancelled, and taken up again', async (t) => {
    const server = await startServer(t, { PEBBLES_ROLES: 'api' })
    await uploadJob(server, HEADER, { filename: 'wait.csv' })
    const page = await openPage(t, server)
    const row = rowOf(page, 'wait.csv')
    await page.getByRole('button', { name: 'Cancel wait.csv' }).click()
    await row.getByText('Cancelled').waitFor()
    await page.getByRole('button', { name: 'Retry wait.csv' }).click()
    await row.getByText('Pending').waitFor()
  })

  test('W2 F12 a deleted job goes, its rows only when that was asked for', async (t) => {
    const server = await startServer(t)
    const pool = openTestPool(t, server.databaseUrl)
    const customers = async () => (await pool.query('SELECT count(*) AS n FROM customers')).rows[0].n
    await importFile(server, `${HEADER}Ada,ada@example.com,,B\n`, { filename: 'stay.csv' })
    await importFile(server, `${HEADER}Bea,bea@example.com,,B\n`, { filename: 'go.csv' })
    const page = await openPage(t, server)
    await page.getByRole('button', { name: 'Delete go.csv' }).click()
    await page.getByLabel('Also remove the 1 imported row').check()
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
    await rowOf(page, 'go.csv').waitFor({ state: 'detached' })
    assert.equal(await customers(), '1')
    await page.getByRole('button', { name: 'Delete stay.csv' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
    await page.getByText('Nothing imported yet').waitFor()
    assert.equal(await customers(), '1')
    assert.deepEqual((await server.call('GET', '/api/jobs', { token: null })).body, [])
  })

  test('W7 F12 the keyboard alone deletes a job, and the focus has somewhere to go', async (t) => {
    const server = await startServer(t)
    await importFile(server, HEADER, { filename: 'first.csv' })
    await importFile(server, HEADER, { filename: 'second.csv' })
    const page = await openPage(t, server)
    await page.getByRole('button', { name: 'Delete second.csv' }).focus()
    await page.keyboard.press('Enter')
    await page.getByRole('dialog').waitFor()
    assert.equal(await focused(page), 'Keep it')
    await page.keyboard.press('Tab')
    assert.equal(await focused(page), 'Delete')
    await page.keyboard.press('Enter')
    await rowOf(page, 'second.csv').waitFor({ state: 'detached' })
    await untilTrue(page, 'document.activeElement.textContent === "Imports"')
    await page.getByRole('button', { name: 'Delete first.csv' }).focus()
    await page.keyboard.press('Enter')
    await page.getByRole('dialog').waitFor()
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await untilTrue(page, 'document.activeElement.textContent === "Choose files"')
  })

  test('W2 a job that is deleted elsewhere goes from the page, and one that cannot be changed any more says why', async (t) => {
    const server = await startServer(t, { PEBBLES_ROLES: 'api' })
    const jobId = await uploadJob(server, HEADER, { filename: 'gone.csv' })
    const page = await openPage(t, server)
    await page.getByText('Live', { exact: true }).waitFor()
    await page.route('**/api/jobs/*/cancel', (route) =>
      route.fulfill({
        status: 409,
        contentType: 'application/problem+json',
        body: JSON.stringify({
          status: 409,
          title: 'Already in use',
          detail: 'It has ended.',
          code: 'in_use',
        }),
      }),
    )
    await page.getByRole('button', { name: 'Cancel gone.csv' }).click()
    await page.getByText('gone.csv: cancel was not possible. It has ended.').first().waitFor()
    await openTestPool(t, server.databaseUrl).query('DELETE FROM jobs WHERE id = $1', [jobId])
    await rowOf(page, 'gone.csv').waitFor({ state: 'detached' })
  })

  test('W2 N6 a corrected report moves its rows from refused to imported on the job that it corrects', async (t) => {
    const server = await startServer(t)
    await importFile(server, `${HEADER}Ada,ada@example.com,,B\nBea,bad,,B\n`, { filename: 'parent.csv' })
    const page = await openPage(t, server)
    await page.getByRole('button', { name: 'Details of parent.csv' }).click()
    const [chooser] = await Promise.all([
      page.waitForEvent('filechooser'),
      page.getByRole('button', { name: 'Upload corrected report' }).click(),
    ])
    const corrected = 'rowNumber,name,email,phone,company,error\n3,Bea,bea@example.com,,B,\n'
    await chooser.setFiles(csvFile('parent-errors.csv', corrected))
    await rowOf(page, 'parent-errors.csv').getByText('corrected report').waitFor()
    await page.getByText('Corrected later').waitFor()
    await untilTrue(
      page,
      `[...document.querySelectorAll('[data-job]')].some((row) => /parent\\.csv[\\s\\S]*\\b2\\s+0\\b/.test(row.innerText))`,
    )
  })

  test('W2 N7 the receipt of a completed job is the one of the API', async (t) => {
    const server = await startServer(t)
    const job = await importFile(server, HEADER, { filename: 'signed.csv' })
    const page = await openPage(t, server)
    await page.getByRole('button', { name: 'Details of signed.csv' }).click()
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Receipt' }).click(),
    ])
    const receipt = await fetch(`${server.url}/api/jobs/${job.id}/receipt`)
    assert.deepEqual(await readFile(await download.path()), Buffer.from(await receipt.arrayBuffer()))
  })

  test('W1 F10 the choice of datasets is that of the API, and an upload goes where it says', async (t) => {
    const server = await startServer(t)
    const asked: string[] = []
    const orders = { name: 'orders', columns: [{ name: 'number', type: 'integer', required: true }] }
    const page = await openPage(t, server, {
      prepare: async (opened) => {
        await opened.route('**/api/datasets', (route) => route.fulfill({ json: [orders] }))
        await opened.route('**/api/jobs/upload**', (route) => {
          asked.push(new URL(route.request().url()).search)
          return route.abort()
        })
      },
    })
    await page.getByRole('combobox', { name: 'Import as' }).selectOption('orders')
    await page.getByRole('list', { name: 'Columns of orders' }).getByText('number').waitFor()
    await page.setInputFiles('input[data-upload]', csvFile('o.csv', 'number\n1\n'))
    await page.getByRole('button', { name: 'Retry the upload of o.csv' }).waitFor()
    assert.deepEqual(asked, ['?dataset=orders'])
  })
})
