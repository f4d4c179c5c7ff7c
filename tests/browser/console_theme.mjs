// weir-run: 0.22.1
// The console in light and in dark: all of it can be read, one may choose, and who wants no motion has none.
import { check } from '../sdk/node/lib/harness.mjs'
import { browse, lists, screenshot } from './lib/browser.mjs'
import { openConsole } from './lib/console.mjs'
import { populate, tour, visitGroup } from './lib/tour.mjs'

/** Texts whose contrast with what is behind them is below that of WCAG 2, AA. */
const faint = () => {
  const rgb = (text) => text.match(/[\d.]+/g).map(Number)
  const light = (colour) => {
    const [red, green, blue] = colour.slice(0, 3).map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
  }
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor)
      if (colour[3] === undefined || colour[3] === 1) return colour
    }
    return [255, 255, 255]
  }
  const found = new Set()
  for (const element of document.querySelectorAll('body *')) {
    const text = [...element.childNodes].filter(({ nodeType }) => nodeType === Node.TEXT_NODE).map(({ data }) => data.trim()).join('')
    if (!text || !element.checkVisibility() || element.matches('svg *, option, h1.hidden')) continue
    const [one, other] = [light(rgb(getComputedStyle(element).color)), light(behind(element))]
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)
    if (ratio < 4.5) found.add(`${element.localName}.${element.className} "${text.slice(0, 30)}": ${ratio.toFixed(2)}`)
  }
  return [...found]
}

await browse(async (open) => {
  const change = await populate()
  for (const colorScheme of ['light', 'dark']) {
    const page = await openConsole(open, '', { colorScheme })
    await tour(page, async (what) => {
      check(`${colorScheme}, ${what}: all of it can be read`, await page.evaluate(faint), [])
      await screenshot(page, `${colorScheme}-${what}`)
    })
  }

  // The theme: as the system has it, until somebody says otherwise; that is kept.
  const page = await openConsole(open, '', { colorScheme: 'dark' })
  const ground = () => page.evaluate(() => Number(/\d+/.exec(getComputedStyle(document.body).backgroundColor)[0]) < 128 ? 'dark' : 'light')
  const theme = page.locator('#theme')
  check('as the system has it', [await theme.innerText(), await ground()], ['auto', 'dark'])
  await theme.click()
  check('light', [await theme.innerText(), await ground()], ['light', 'light'])
  await page.reload()
  check('loaded anew it is kept', [await theme.innerText(), await ground()], ['light', 'light'])
  await page.keyboard.press('t')
  await page.emulateMedia({ colorScheme: 'light' })
  check('dark', [await theme.innerText(), await ground()], ['dark', 'dark'])
  await page.keyboard.press('t')
  check('as the system has it now', [await theme.innerText(), await ground()], ['auto', 'light'])

  // A row that changes lights up, but not for who wants no motion.
  for (const [reducedMotion, expected] of [['no-preference', true], ['reduce', false]]) {
    await page.emulateMedia({ reducedMotion })
    await visitGroup(page)
    await page.evaluate(() => {
      window.moved = false
      const { animate } = Element.prototype
      Element.prototype.animate = function (...settings) { window.moved = true; return animate.apply(this, settings) }
    })
    await change({ id: reducedMotion })
    await lists(page.locator('#items td.text').first(), [`{"id":"${reducedMotion}"}`], 'a change')
    check(`${reducedMotion}: a row moves`, await page.evaluate(() => window.moved), expected)
  }
  check('who wants no motion has no transitions either', await page.evaluate(() => getComputedStyle(document.querySelector('.view')).transitionDuration), '0s')
})
