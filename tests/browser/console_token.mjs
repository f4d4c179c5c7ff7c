// weir-admin: token=s3cret-t0ken
// weir-run: 0.22.1
// The console where a token is asked for: the page comes without, and shows nothing before it has it.
import { check, holds, until } from '../sdk/node/lib/harness.mjs'
import { ADMIN, browse, reads, screenshot } from './lib/browser.mjs'
import { goTo, visit } from './lib/console.mjs'

const TOKEN = 's3cret-t0ken'
const expected = [/status of 401/]

await browse(async (open) => {
  const page = await open(`${ADMIN}/`, { name: 'the console', expected })
  const dialog = page.locator('#token-dialog')
  await dialog.waitFor()
  await screenshot(page, 'asked')
  check('nothing is shown', await page.locator('#overview-state').innerText(), '')
  check('it has the focus', await page.evaluate(() => document.activeElement.id), 'token')
  await page.keyboard.press('Escape')
  holds('it cannot be put aside', await dialog.isVisible())
  await page.keyboard.type('wrong')
  await page.keyboard.press('Enter')
  await reads(page.locator('#token-text'), /^The server does not accept the token\./, 'a wrong token')
  await screenshot(page, 'refused')
  await page.locator('#token').fill(TOKEN)
  await page.keyboard.press('Enter')
  await reads(page.locator('#ready'), 'ready', 'with the token: the state')
  await dialog.waitFor({ state: 'hidden' })
  await page.reload()
  await reads(page.locator('#ready'), 'ready', 'loaded anew: the state')
  check('kept for this tab only', await page.evaluate(() => [sessionStorage.getItem('weir.token'), JSON.stringify(localStorage).includes('s3cret'), document.cookie]), [TOKEN, false, ''])
  await visit(page, 'streams/presence/room-1')
  await reads(page.locator('#live-state'), 'live', 'a live group')
  for (const view of ['sessions', 'workers', 'call']) await goTo(page, view)
  holds('the token is in no address', !page.url().includes('s3cret'), page.url())

  // In the address, it is taken out of it.
  const linked = await open(`${ADMIN}/#token=${TOKEN}`, { name: 'the console by a link' })
  await reads(linked.locator('#ready'), 'ready', 'by a link: the state')
  await until('the address without it', () => linked.url() === `${ADMIN}/#/overview`)
  const entries = await linked.evaluate(() => navigation.entries().map(({ url }) => url))
  holds('no entry of the history has it', entries.every((url) => !url.includes('s3cret')), entries)

  // Another tab is asked again.
  const other = await open(`${ADMIN}/#/call`, { name: 'another tab', expected })
  await other.locator('#token-dialog').waitFor()
})
