// weir-config: auth_function=auth
// weir-run: 0.22.1
// The console where names, values, contexts and errors are written by somebody who means harm: all of it is text.
import { Client, WORKERS, check, holds, until } from '../sdk/node/lib/harness.mjs'
import { call, registerWorker, registered } from '../sdk/node/lib/sdk.mjs'
import { browse, lists, reads, screenshot, textOf } from './lib/browser.mjs'
import { callFunction, goTo, openConsole, valueOf, visit } from './lib/console.mjs'

const MARKUP = '<img src=x onerror="window.harmed=1"><script>window.harmed=2</script>'
const NAMES = {
  markup: MARKUP,
  quotes: `"'\`};alert(1)//\${window.harmed=3}`,
  template: '{{7*7}} javascript:harmed=4',
  prototype: '__proto__',
  path: '../a/b?c=d&e#f%2F%00',
  emoji: '👩‍👩‍👧‍👦 é é',
  long: 'ö'.repeat(256),
  word: 'w'.repeat(512),
}
// Characters that hide, or that turn the text around them, are shown by their codes.
const TURNED = ['user\u202egnp.exe', 'user\\u202egnp.exe']
const HIDDEN = ['ad\u200bmin\u0000', 'ad\\u200bmin\\u0000']
/** A value of 100 levels. */
const DEEP = Array.from({ length: 50 }).reduce((value) => [{ a: value }], 1)

await browse(async (open) => {
  const iii = registerWorker(WORKERS, { workerName: MARKUP, otel: { enabled: false } })
  iii.registerFunction({ id: 'auth' }, () => ({ context: { [MARKUP]: MARKUP } }))
  iii.registerFunction({ id: MARKUP }, async () => { throw new Error(MARKUP) })
  iii.registerTrigger({ type: 'stream', function_id: MARKUP, config: { stream_name: MARKUP, group_id: MARKUP } })
  await registered(iii, { functions: ['auth', MARKUP], triggers: [MARKUP] })
  const set = (stream_name, group_id, item_id, data) => call(iii, 'stream::set', { stream_name, group_id, item_id, data })
  for (const name of Object.values(NAMES)) await set(name, name, name, { id: name })
  for (const [name] of [TURNED, HIDDEN]) await set('hidden', name, name, { id: name })
  const client = await Client.open(`/stream/${encodeURIComponent(MARKUP)}/${encodeURIComponent(MARKUP)}/`)
  await client.wait(1)

  const page = await openConsole(open, 'streams')
  /** Nothing of what was said has become a part of the page. */
  const harmless = async (what) => {
    const found = await page.evaluate(() => ({
      harmed: window.harmed ?? null,
      images: document.querySelectorAll('img, iframe, object').length,
      scripts: [...document.scripts].filter(({ src }) => !src.startsWith(`${location.origin}/console/`)).length,
      links: [...document.links].filter(({ href }) => !href.startsWith(location.origin)).length,
    }))
    check(`${what}: all of it is text`, found, { harmed: null, images: 0, scripts: 0, links: 0 })
    await screenshot(page, what.replace(/\W+/g, '-'))
  }

  // Each group is found in the tree, opened by it, and is at the address that it gives.
  const row = (selector, key, name) => page.locator(selector).and(page.locator(`[${key}=${JSON.stringify(name)}]`))
  for (const [what, name] of Object.entries(NAMES)) {
    await row('#tree [aria-level="1"]', 'data-stream', name).click()
    await row('#tree [aria-level="2"]', 'data-group', name).click()
    await until(`${what} is open`, async () => (await page.locator('#group-name').innerText()) === `${name} › ${name}`)
    await reads(page.locator('#live-state'), 'live', what)
    await page.locator('#items [data-row]').click()
    check(`${what}: the item`, await page.locator('#items td.name').allInnerTexts(), [name])
    check(`${what}: its value`, await valueOf(page.locator('#value-json')), { id: name })
    await page.reload()
    await until(`${what} is open again`, async () => (await page.locator('#group-name').innerText()) === `${name} › ${name}`)
    await page.locator('#items [data-row]').waitFor()
    await harmless(what)
  }
  await row('#tree [aria-level="1"]', 'data-stream', 'hidden').click()
  await lists(page.locator('#tree [aria-level="2"][data-stream="hidden"]'), [HIDDEN[1], TURNED[1]], 'characters that hide')

  // Values that are odd or large, and events.
  const values = {
    null: null,
    empty: '',
    zero: 0,
    text: MARKUP,
    right: '\u202eabc',
    list: [[], {}, null],
    deep: DEEP,
    keys: JSON.parse('{"__proto__": 1, "constructor": {"prototype": 2}}'),
    large: { text: 'x'.repeat(200_000) },
    rows: Array.from({ length: 20_000 }, (_, n) => n),
  }
  await visit(page, 'streams/values/g')
  await reads(page.locator('#live-state'), 'live', 'a group of odd values')
  for (const [id, data] of Object.entries(values)) await set('values', 'g', id, data)
  const items = page.locator('#items [data-row]')
  await lists(items.locator('td.name'), Object.keys(values), 'odd values')
  for (const [id, data] of Object.entries(values)) {
    await page.locator(`#items [data-row="${id}"]`).click()
    await reads(page.locator('#value-title'), `Item ${id}`, id)
    if (id !== 'right') check(`${id}: the value`, await valueOf(page.locator('#value-json')), data)
  }
  await page.locator('#items [data-row="right"]').click()
  await reads(page.locator('#value-json'), '"\\u202eabc"', 'a value that turns its text')
  await call(iii, 'stream::send', { stream_name: 'values', group_id: 'g', type: MARKUP, data: MARKUP })
  await lists(page.locator('#frames .tag').first(), ['event'], 'an event')
  await page.locator('#frames [data-row]').first().click()
  check('its frame', (await valueOf(page.locator('#value-json'))).event.event, { type: MARKUP, data: MARKUP })
  await harmless('values')

  // Sessions, workers and calls.
  await visit(page, 'sessions')
  await page.locator('#sessions-rows [data-row]').click()
  await reads(page.locator('#verdict'), /^up to date/, 'the session')
  check('its context', await valueOf(page.locator('#sessions-detail pre').first()), { [MARKUP]: MARKUP })
  check('its subscription', await textOf(page.locator('#sessions-detail [data-subscription] a')), `${MARKUP} › ${MARKUP}`)
  await harmless('sessions')
  await page.locator('#sessions-search').fill(MARKUP)
  await until('the search is in the address', () => page.url().includes('q='))
  await reads(page.locator('#view-sessions .note').first(), '1 session', 'the session is found by it')
  await goTo(page, 'workers')
  await reads(page.locator('#workers-rows td.name'), MARKUP, 'the worker')
  await page.locator('#workers-rows [data-row]').click()
  await lists(page.locator('#workers-detail [data-function]'), [MARKUP, 'auth'], 'its functions')
  await harmless('workers')
  await callFunction(page, MARKUP, {}, 'invocation_failed')
  holds('the error is text', (await textOf(page.locator('#call-result .notice'))).includes(MARKUP))
  await harmless('call')

  // An address that somebody else wrote.
  const addresses = [`${MARKUP}/${MARKUP}`, `streams/${MARKUP}/%zz`, `sessions?id=${MARKUP}`, '__proto__', 'constructor/x', `streams/a/b?item=${MARKUP}`]
  for (const [index, address] of addresses.entries()) {
    await visit(page, address)
    await reads(page.locator('#ready'), 'ready', address)
    await harmless(`address ${index}`)
  }
})
