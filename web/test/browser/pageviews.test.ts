import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Page } from 'playwright-core'
import { suiteScope } from '../../../server/test/helpers/scope.ts'
import { startServer, type TestServer } from '../../../server/test/helpers/server.ts'
import { assertAccessible } from './accessible.ts'
import { describeInBrowser, overflowOf } from './browser.ts'

const MINUTE_MS = 60_000
/** For the page as well: a minute that passes meanwhile would move every bar. */
const NOW_MS = Date.now()

/** So many page views of a postcode, some minutes ago. */
function views(postcode: string, minutesAgo: number, count: number) {
  const startMs = NOW_MS - (NOW_MS % MINUTE_MS) - minutesAgo * MINUTE_MS
  return Array.from({ length: count }, (_, n) => ({
    ...{ user_id: n, postcode, webpage: 'w' },
    timestamp: startMs / 1000 + (n % 60),
  }))
}

async function send(server: TestServer, token: string, body: unknown[]) {
  const { status } = await server.call('POST', '/api/pageviews/batch', { token, body })
  assert.equal(status, 202)
  for (let look = 0; ; look++) {
    const { body: books } = await server.call('GET', '/api/streams/pageviews/balance', { token })
    if (books.open === 0 && books.inFlight === 0) return
    assert.ok(look < 1_200, JSON.stringify(books))
    await delay(50)
  }
}

/** The page reads when it is looked at again, and else every ten seconds. */
const lookAgain = (page: Page) => page.evaluate(`dispatchEvent(new Event('visibilitychange'))`)

const chartOf = (page: Page) => page.getByRole('slider', { name: 'Page views by minute' })
const heightsOf = (page: Page, bars: string) =>
  page.evaluate<number[]>(
    `[...document.querySelectorAll('rect.${bars}')].map((bar) => bar.height.baseVal.value)`,
  )

describeInBrowser('page views in the page', (openPage) => {
  const scope = suiteScope()
  const started = startServer(scope, { STREAM_GRACE_MS: '0', STREAM_IDLE_MS: '100' })
  const tokenOf = async (client: string) => (await started).token('alice@example.com', client)

  test('S10 W7 the last hour by minute: by keyboard, by pointing, one postcode among all, on a phone, in the dark', async (t) => {
    const server = await started
    const token = await tokenOf('krn:hour')
    await send(server, token, [
      ...views('SW19', 40, 1_230),
      ...views('EC1', 40, 410),
      ...views('EC1', 20, 5),
      ...views('SE1', 90, 50),
    ])
    const prepare = (opened: Page) => opened.clock.setFixedTime(NOW_MS)
    const page = await openPage(t, server, { token, prepare })
    await page.getByRole('heading', { name: '1,645 page views in the last hour' }).waitFor()
    const all = await heightsOf(page, 'whole')
    const seen = all.flatMap((height, minute) => (height > 0 ? [minute] : []))
    assert.deepEqual([all.length, seen.length], [60, 2])
    const [older, newer] = seen as [number, number]

    const chart = chartOf(page)
    const now = () => chart.getAttribute('aria-valuenow')
    assert.match((await chart.getAttribute('aria-valuetext'))!, /^\d\d:\d\d · 5 page views$/)
    await chart.press('PageDown')
    await chart.press('PageDown')
    assert.equal(await now(), String(older))
    assert.match((await chart.getAttribute('aria-valuetext'))!, / · 1,640 page views$/)
    for (const [key, place] of Object.entries({ ArrowRight: older + 1, Home: 0, ArrowLeft: 0, End: 59 })) {
      await chart.press(key)
      assert.equal(await now(), String(place))
    }
    const { x, y, width } = (await chart.boundingBox())!
    await page.mouse.move(x + (width * (newer + 0.5)) / 60, y + 10)
    assert.equal(await now(), String(newer))

    const top = page.getByRole('list', { name: 'Top postcodes' })
    await top.getByText('SW19').waitFor()
    assert.deepEqual(await top.getByRole('button').allInnerTexts(), ['SW19\n1,230', 'EC1\n415'])
    await top.getByRole('button', { name: 'EC1' }).click()
    await page.getByText(/5 page views, 5 of them EC1/).waitFor()
    const part = await heightsOf(page, 'part')
    assert.ok(Math.abs(part[older]! * 4 - all[older]!) < 0.01)
    assert.equal(part[newer], all[newer])

    await assertAccessible(page, 'page views, one postcode chosen')
    await page.setViewportSize({ width: 390, height: 844 })
    await page.emulateMedia({ colorScheme: 'dark' })
    assert.equal(await overflowOf(page), 0)
    await assertAccessible(page, 'page views in the dark')
    await top.getByRole('button', { name: 'EC1', pressed: true }).click()
    assert.deepEqual(await heightsOf(page, 'part'), [])
  })

  test('S10 none, what cannot be read, and what may be old are told; what comes shows by itself', async (t) => {
    const server = await started
    const token = await tokenOf('krn:states')
    let isAway = true
    const page = await openPage(t, server, {
      token,
      prepare: (opened) =>
        opened.route('**/api/pageviews/**', (route) =>
          isAway ? route.fulfill({ status: 503, json: PROBLEM }) : route.continue(),
        ),
    })
    // The imports are there all the same.
    await page.getByText('Nothing imported yet').waitFor()
    await page.getByText('The database is away.').waitFor()
    await assertAccessible(page, 'page views that cannot be read')
    isAway = false
    await page.getByRole('button', { name: 'Read page views again' }).click()
    await page.getByText('None in the last hour.').waitFor()

    await send(server, token, views('A', 5, 3))
    await lookAgain(page)
    await page.getByRole('heading', { name: '3 page views in the last hour' }).waitFor()
    isAway = true
    await lookAgain(page)
    await page.getByText('The database is away. What you see may be old.').waitFor()
    await chartOf(page).waitFor()
  })
})

const PROBLEM = {
  ...{ type: 'urn:pebbles:problem:unavailable', title: 'A part that is needed is not available' },
  ...{ status: 503, code: 'unavailable', detail: 'The database is away.' },
}
