import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { describe } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { atEnd, type Scope, suiteScope } from '../../../server/test/helpers/scope.ts'
import type { TestServer } from '../../../server/test/helpers/server.ts'

const PLACES = [
  process.env.CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
]
const CHROMIUM = PLACES.find((path) => path !== undefined && existsSync(path))
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // One for all pages of a suite, which compiles the page's scripts once.
  '--renderer-process-limit=1',
]

export interface PageOptions extends BrowserContextOptions {
  /** Runs before the page is loaded. */
  prepare?: (page: Page) => Promise<unknown>
  /** Bearer token of the tab. */
  token?: string
}

/** Opens the page of a server in a fresh profile. At the end of the test nothing may have gone wrong in it. */
export type OpenPage = (scope: Scope, server: Pick<TestServer, 'url'>, options?: PageOptions) => Promise<Page>

/**
 * A suite that runs in a real Chromium, started once with a profile of its own. Without one it is left out, and says so;
 * on CI that is a failure.
 */
export function describeInBrowser(name: string, define: (openPage: OpenPage) => void): void {
  const isLeftOut = CHROMIUM === undefined && !process.env.CI
  describe(name, { skip: isLeftOut && 'there is no Chromium: install one, or name it in CHROMIUM' }, () => {
    const scope = suiteScope()
    let browser: Promise<Browser> | undefined
    scope.after(async () => (await browser)?.close())
    define(async (test, { url }, { prepare, token, ...context } = {}) => {
      assert.ok(CHROMIUM, 'there is no Chromium, and CI does not leave these tests out')
      browser ??= chromium.launch({ executablePath: CHROMIUM, args: ARGS })
      const page = await (await browser).newPage({ viewport: { width: 1280, height: 900 }, ...context })
      const faults: string[] = []
      page.on('pageerror', (error) => faults.push(error.message))
      page.on('dialog', (dialog) => {
        faults.push(`a dialog: ${dialog.message()}`)
        void dialog.dismiss()
      })
      page.on('console', (message) => {
        if (/content security policy|trusted/i.test(message.text())) faults.push(message.text())
      })
      atEnd(test, async () => {
        await page.context().close()
        assert.deepEqual(faults, [])
      })
      // Heard from now on: asked for only when a key is pressed, it comes too late.
      page.on('filechooser', () => {})
      page.setDefaultTimeout(60_000)
      if (token) await page.addInitScript(`sessionStorage.setItem('pebbles-token', ${JSON.stringify(token)})`)
      await prepare?.(page)
      await page.goto(url)
      return page
    })
  })
}

/** The row or card of a job, by the name of its file. */
export const rowOf = (page: Page, filename: string) =>
  page.locator('[data-job]').filter({ hasText: filename }).first()

/** Chooses files as people do: through the button and the dialog that it opens. */
export async function chooseFiles(page: Page, files: Parameters<Page['setInputFiles']>[1]): Promise<void> {
  const [chooser] = await Promise.all([
    page.waitForEvent('filechooser'),
    page.getByRole('button', { name: 'Choose files' }).click(),
  ])
  await chooser.setFiles(files)
}

export const csvFile = (name: string, content: string | Uint8Array) => ({
  name,
  mimeType: 'text/csv',
  buffer: Buffer.from(content as string),
})

/** Slows what the page sends down to so many bytes a second. */
export async function slowUploads(page: Page, bytesPerSecond: number): Promise<void> {
  const session = await page.context().newCDPSession(page)
  const conditions = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: bytesPerSecond }
  await session.send('Network.enable')
  await session.send('Network.emulateNetworkConditions', conditions)
}

/** Waits until an expression is true in the page. Not `waitForFunction`, which the page's policy forbids to evaluate. */
export async function untilTrue(page: Page, expression: string): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt++) {
    if (await page.evaluate(expression)) return
    await delay(100)
  }
  assert.fail(`it never came to this: ${expression}`)
}

/** How far the page is wider than its window. */
export const overflowOf = (page: Page): Promise<number> =>
  page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')
