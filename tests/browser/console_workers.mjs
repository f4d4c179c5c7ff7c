// weir-run: 0.22.1
// The console's workers, with their functions and triggers.
import { WORKERS, check, holds } from '../sdk/node/lib/harness.mjs'
import { call, registerWorker, registered } from '../sdk/node/lib/sdk.mjs'
import { browse, lists, reads, screenshot, textsOf } from './lib/browser.mjs'
import { openConsole, submit, valueOf } from './lib/console.mjs'

await browse(async (open) => {
  const worker = (workerName) => registerWorker(WORKERS, { workerName, otel: { enabled: false } })
  const [carts, idle] = [worker('carts'), worker('only-calls')]
  let release
  const released = new Promise((resolve) => { release = resolve })
  carts.registerFunction({ id: 'carts::total' }, async ({ of }) => ({ of, total: 3 }))
  carts.registerFunction({ id: 'carts::slow' }, async () => { await released; return 'done' })
  carts.registerTrigger({ type: 'stream', function_id: 'carts::total', config: { stream_name: 'orders', group_id: 'eu 1' } })
  carts.registerTrigger({ type: 'stream', function_id: 'carts::misspelt', config: { stream_name: 'orders' } })
  await registered(carts, { functions: ['carts::total', 'carts::slow'], triggers: ['carts::total', 'carts::misspelt'] })
  await call(idle, 'stream::list_all', {})

  const page = await openConsole(open, 'workers')
  const rows = page.locator('#workers-rows [data-row]')
  const search = page.locator('#workers-search')
  await lists(rows.locator('td.name'), ['carts', 'only-calls'], 'workers')
  await lists(rows.nth(0).locator('td.number').nth(0), ['2'], 'the functions of the first')
  await lists(rows.nth(0).locator('td.number').nth(1), ['1'], 'its triggers')
  await lists(rows.nth(1).locator('td.number').nth(1), ['0'], 'one without triggers')
  for (const text of ['TOTAL', 'eu 1', 'carts::slow']) {
    await search.fill(text)
    await lists(rows.locator('td.name'), ['carts'], `searched for by ${text}`)
  }
  await search.fill('nobody')
  await reads(page.locator('#workers-empty'), /^No worker matches\. A worker that is not here/, 'nothing found')
  await search.fill('')
  await lists(rows.locator('td.name'), ['carts', 'only-calls'], 'all of them again')
  await reads(page.locator('#built-in .card b + code'), 'carts::misspelt', 'a trigger whose function nobody serves')
  holds('what the server serves itself', (await textsOf(page.locator('#built-in [data-function]'))).includes('stream::set'))

  await rows.nth(0).click()
  const detail = page.locator('#workers-detail')
  await lists(detail.locator('[data-function]'), ['carts::slow', 'carts::total'], 'its functions')
  const card = detail.locator('[data-trigger]')
  await reads(card.locator('b'), 'stream', 'its trigger')
  check('what the trigger watches', await valueOf(card.locator('pre')), { stream_name: 'orders', group_id: 'eu 1' })
  check('leads to it', await card.locator('a').getAttribute('href'), '#/streams/orders/eu%201')
  const slow = call(idle, 'carts::slow', {})
  await reads(rows.nth(0).locator('td.mark'), 'busy', 'a worker that has a call under way')
  await reads(detail.locator('dt:text-is("Under way") + dd'), /^1 invocation/, 'the call')
  await screenshot(page, 'busy')
  release()
  check('the call is answered', await slow, 'done')
  await reads(rows.nth(0).locator('td.mark'), 'connected', 'the worker after it')

  // A function is called from here.
  await detail.locator('[data-function="carts::total"]').click()
  await page.locator('#call-data').fill('{"of": "eu"}')
  await submit(page)
  check('its result', await valueOf(page.locator('#call-value')), { of: 'eu', total: 3 })
  await page.goBack()
  await rows.nth(1).click()
  await reads(detail, /None: it only calls\..*None: no change and no join calls it\./, 'a worker that only calls')
  await idle.shutdown()
  await reads(detail.locator('.notice'), /^It is not listed: it has disconnected/, 'it is gone')
  await lists(rows.locator('td.name'), ['carts'], 'the other stays')
})
