// weir-run: 0.22.1
// The console on a phone: nothing scrolls sideways, whatever there is to show, and a finger finds its way.
import { check, holds } from '../sdk/node/lib/harness.mjs'
import { browse, screenshot } from './lib/browser.mjs'
import { VIEWS, openConsole, visit } from './lib/console.mjs'
import { populate, tour } from './lib/tour.mjs'

const SIZES = { phone: { width: 390, height: 844 }, small: { width: 320, height: 568 }, tablet: { width: 768, height: 1024 } }

/** What can be scrolled sideways, but for code. */
const sideways = () =>
  [document.documentElement, ...document.querySelectorAll('body *')]
    .filter((element) => !element.closest('pre, textarea, svg') && element.checkVisibility())
    .filter((element) => element.scrollWidth > element.clientWidth + 1 && (element === document.documentElement || ['auto', 'scroll'].includes(getComputedStyle(element).overflowX)))
    .map((element) => `${element.localName}#${element.id}.${element.className}: ${element.scrollWidth} > ${element.clientWidth}`)

await browse(async (open) => {
  await populate()
  for (const [name, viewport] of Object.entries(SIZES)) {
    const page = await openConsole(open, '', { viewport, isMobile: viewport.width < 500, hasTouch: viewport.width < 500 })
    await tour(page, async (what) => {
      check(`${name}, ${what}: nothing scrolls sideways`, await page.evaluate(sideways), [])
      await screenshot(page, `${name}-${what}`)
    })
    if (viewport.width > 500) continue
    // One column: of the tree and a group one is to be seen, and a finger comes from one to the other.
    await visit(page, 'streams')
    await page.locator('#tree [aria-level="1"]').waitFor()
    if (!(await page.locator('#tree [data-group]').count())) await page.locator('#tree [aria-level="1"]').tap()
    await page.locator('#tree [data-group]').tap()
    await page.locator('#group-name').waitFor()
    check(`${name}: the tree makes room`, await page.locator('#tree').isVisible(), false)
    await page.locator('a.back').tap()
    await page.locator('#tree').waitFor()
    for (const view of VIEWS) {
      const box = await page.locator(`#nav [data-view="${view}"]`).boundingBox()
      holds(`${name}: a finger meets the link of ${view}`, box.height >= 44 && box.width >= 44 && box.y + box.height <= viewport.height, box)
    }
  }
})
