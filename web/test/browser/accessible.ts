import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'

const AXE = await readFile(new URL(import.meta.resolve('axe-core/axe.min.js')), 'utf8')

const STAND_STILL = `(async () => {
  const moves = (animation) => animation.playState === 'running' && animation.effect.getTiming().iterations < 2
  for (let framesStill = 0; framesStill < 5; ) {
    await new Promise(requestAnimationFrame)
    framesStill = document.getAnimations().some(moves) ? 0 : framesStill + 1
  }
})()`

/** Every rule of axe-core (WCAG and best practices) on what is shown. */
export async function assertAccessible(page: Page, state: string): Promise<void> {
  if (!(await page.evaluate('"axe" in window'))) await page.evaluate(AXE)
  // Colours in the middle of a transition are nobody's, and a transition may be about to begin.
  await page.evaluate(STAND_STILL)
  const violations = (await page.evaluate(
    'axe.run(document).then(({ violations }) => violations.map(({ id, nodes }) => [id, ...nodes.map((n) => n.html + " " + n.failureSummary)].join("\\n")))',
  )) as string[]
  assert.equal(violations.length, 0, `${state}: ${violations.join('\n')}`)
}
