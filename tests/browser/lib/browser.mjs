// A real Chromium for a script, and pages that may not complain: an error or a warning on the console, an exception, or a request
// to an origin that the script has not named fails it.
import { execFileSync } from 'node:child_process'
import path from 'node:path'
import { chromium } from 'playwright-core'
import { check, holds, main, onEnd, show, until } from '../../sdk/node/lib/harness.mjs'

const ARGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run']
  .concat(['--disable-background-networking', '--disable-component-update', '--disable-sync'])
/** `http://127.0.0.1:PORT`, where operators look. */
export const ADMIN = process.env.WEIR_ADMIN
/** How long an element may take to come; the harness waits as long for what is no element. */
const WAIT_MS = 15_000
/** Where screenshots go, for people to look at; nowhere if it is not set. */
const SCREENSHOTS = process.env.WEIR_SCREENSHOTS

/**
 * Runs a script, with `open` for its pages. The profile of the browser is empty, and so is that of each page.
 * If the script fails, what its pages show is printed too.
 */
export const browse = (script) =>
  main(async () => {
    const executablePath = execFileSync('sh', ['-c', 'command -v chromium'], { encoding: 'utf8' }).trim()
    const browser = await chromium.launch({ executablePath, args: ARGS })
    onEnd(() => browser.close())
    const pages = []
    const open = async (url, settings) => {
      const page = await openPage(browser, url, settings)
      pages.push(page)
      return page
    }
    try {
      await script(open)
      for (const page of pages) page.judge()
    } catch (error) {
      for (const page of pages) await describe(page)
      throw error
    }
  })

/**
 * A page at `url`, `name` for people. `origins` may be asked beside its own; of the `expected` complaints, patterns, each must come; the rest are
 * settings of Playwright's context, such as `viewport` and `colorScheme`.
 */
async function openPage(browser, url, { name = 'the page', origins = [], expected = [], ...settings } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...settings })
  const page = await context.newPage()
  page.setDefaultTimeout(WAIT_MS)
  const complaints = []
  const asked = new Set()
  const ask = (address) => address.startsWith('data:') || asked.add(new URL(address).host)
  page.on('console', (message) => ['error', 'warning', 'assert'].includes(message.type()) && complaints.push(`${message.type()}: ${message.text()}`))
  page.on('pageerror', (error) => complaints.push(`exception: ${error.stack}`))
  page.on('request', (request) => ask(request.url()))
  page.on('websocket', (socket) => ask(socket.url()))
  page.on('popup', (popup) => complaints.push(`a window was opened: ${popup.url()}`))
  page.on('dialog', (dialog) => { complaints.push(`a dialog: ${dialog.message()}`); dialog.dismiss() })
  page.judge = () => {
    const others = complaints.filter((complaint) => !expected.some((pattern) => pattern.test(complaint)))
    check(`${name}: no complaint on the console`, others, [])
    for (const pattern of expected) holds(`${name}: the console has ${pattern}`, complaints.some((complaint) => pattern.test(complaint)), complaints)
    const allowed = [url, ...origins].map((address) => new URL(address).host)
    check(`${name}: no request to another origin`, [...asked].filter((host) => !allowed.includes(host)), [])
  }
  page.complaints = complaints
  await page.goto(url)
  return page
}

async function describe(page) {
  console.error(`--- ${page.url()} ---`)
  for (const complaint of page.complaints) console.error(complaint)
  const text = await page.evaluate(() => document.body.innerText).catch((error) => String(error))
  console.error(text.slice(0, 3_000))
  await screenshot(page, 'failed').catch(() => {})
}

/** Keeps a picture of the page, if somebody wants to look. */
export async function screenshot(page, name) {
  if (!SCREENSHOTS) return
  const script = path.basename(process.argv[1], '.mjs')
  await page.screenshot({ path: path.join(SCREENSHOTS, `${script}-${name}.png`) })
}

/** The text of an element as it is read: without the spaces around and between. */
export const textOf = async (locator) => (await locator.innerText()).replace(/\s+/g, ' ').trim()
export const textsOf = async (locator) => (await locator.allInnerTexts()).map((text) => text.replace(/\s+/g, ' ').trim())

/** Waits until an element reads so: a text it is, or a pattern it matches. */
export async function reads(locator, expected, what = String(locator)) {
  let text
  const fits = () => (expected instanceof RegExp ? expected.test(text) : text === expected)
  await until(
    () => `${what} reads ${expected}; reads ${show(text)}`,
    async () => ((text = await textOf(locator)), fits()),
  )
  holds(`${what} reads ${expected}`, fits(), text)
}

/** Waits until elements read so, in that order. */
export async function lists(locator, expected, what = String(locator)) {
  let texts
  await until(
    () => `${what} are ${show(expected)}; are ${show(texts)}`,
    async () => ((texts = await textsOf(locator)), show(texts) === show(expected)),
  )
  check(what, texts, expected)
}
