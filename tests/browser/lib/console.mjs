// What the scripts about the console do with it.
import { ADMIN, reads } from './browser.mjs'

export const VIEWS = ['overview', 'streams', 'sessions', 'workers', 'call']

/** Opens the console at a view: `overview`, `streams/presence/room-1`. It is there when the server has told it how it is. */
export async function openConsole(open, view = 'overview', settings) {
  const page = await open(`${ADMIN}/#/${view}`, { name: 'the console', ...settings })
  await reads(page.locator('#ready'), 'ready', 'the state of the server')
  return page
}

/** Goes to a view by its link. */
export async function goTo(page, view) {
  await page.locator(`#nav [data-view="${view}"]`).click()
  await page.locator(`#view-${view}`).waitFor()
}

/** Goes to an address of the console: `streams/presence/room-1`. */
export const visit = (page, address) => page.goto(`${ADMIN}/#/${address}`)

/** Fills the form and calls a function; `outcome` is what it must come to: `ok`, or the code of an error. */
export async function callFunction(page, function_id, payload, outcome = 'ok') {
  if (!page.url().includes('#/call')) await goTo(page, 'call')
  await page.locator('#mode-call').check()
  await page.locator('#call-function_id').fill(function_id)
  await page.locator('#call-data').fill(typeof payload === 'string' ? payload : JSON.stringify(payload))
  await submit(page, outcome)
}

export async function submit(page, outcome = 'ok') {
  await page.locator('#call-submit').click()
  await reads(page.locator('#call-outcome'), outcome, 'the outcome of the call')
}

/** A value that is shown as JSON. */
export const valueOf = async (locator) => JSON.parse(await locator.innerText())
