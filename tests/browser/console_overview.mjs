// weir-run: 0.22.1
// The console's first view: what is connected, rates that move, and a server that falls silent.
import { Client, WORKERS, check, holds, until } from '../sdk/node/lib/harness.mjs'
import { call, registerWorker, registered } from '../sdk/node/lib/sdk.mjs'
import { browse, reads, screenshot } from './lib/browser.mjs'
import { goTo, openConsole } from './lib/console.mjs'

await browse(async (open) => {
  const page = await openConsole(open, '', { expected: [/ERR_INTERNET_DISCONNECTED/] })
  check('without a view it is the overview', await page.title(), 'Overview · Weir')
  const gauge = (name) => page.locator(`[data-gauge="${name}"]`)
  const total = (name) => page.locator(`[data-chart="${name}"] .total`)
  await reads(gauge('connections'), '0', 'connections')
  const functions = Number(await gauge('functions').innerText())

  const iii = registerWorker(WORKERS, { otel: { enabled: false } })
  iii.registerFunction({ id: 'mine' }, () => ({}))
  iii.registerTrigger({ type: 'stream', function_id: 'mine', config: { stream_name: 'presence' } })
  await registered(iii, { functions: ['mine'], triggers: ['mine'] })
  const client = await Client.open('/stream/presence/room-1/')
  await client.wait(1)
  for (const [name, expected] of Object.entries({ connections: 1, subscriptions: 1, workers: 1, triggers: 1, functions: functions + 1 })) {
    await reads(gauge(name), String(expected), name)
  }
  await reads(gauge('resident_bytes'), /^[\d.]+ MiB$/, 'memory')
  await reads(page.locator('#overview-state'), /^Up .* Items .+ Workers at ws:.* Clients at ws:/, 'the facts')

  for (let n = 0; n < 20; n += 1) await call(iii, 'stream::set', { stream_name: 'presence', group_id: 'room-1', item_id: 'alice', data: { id: 'alice', n } })
  await reads(total('changes'), '20 since the start', 'changes')
  await reads(total('deliveries'), '20 since the start', 'deliveries')
  await reads(total('joins'), '1 since the start', 'joins')
  const line = page.locator('[data-chart="changes"] path.line')
  await until('a line of the chart', async () => ((await line.getAttribute('d')) ?? '').includes('L'))
  holds('the top of the chart is what went through', (await page.locator('[data-chart="changes"] .top').innerText()).startsWith('top '))
  holds('the chart is told to those who do not see it', (await page.locator('[data-chart="changes"] svg').getAttribute('aria-label')).startsWith('Changes in the last two minutes'))
  await screenshot(page, 'busy')

  // The history is kept whichever view is open.
  await goTo(page, 'workers')
  await goTo(page, 'overview')
  await reads(total('changes'), '20 since the start', 'changes, back from another view')
  await until('the line is still there', async () => ((await line.getAttribute('d')) ?? '').split('L').length > 2)

  // The pointer reads a rate of before.
  const box = await page.locator('[data-chart="changes"] svg').boundingBox()
  await page.mouse.move(box.x + box.width - 2, box.y + 10)
  await reads(page.locator('[data-chart="changes"] .unit'), /^per second, \d+ s ago$/, 'the rate under the pointer')

  await page.context().setOffline(true)
  await reads(page.locator('#ready'), 'lost', 'without a network: the state')
  await reads(page.locator('#banner-text'), /^No answer from the server since .* What you see is older\. Trying again in \d+ s\.$/, 'the banner')
  holds('what was known stays', await gauge('connections').isVisible())
  await screenshot(page, 'lost')
  await page.context().setOffline(false)
  await page.locator('#banner-action').click()
  await reads(page.locator('#ready'), 'ready', 'back again: the state')
  check('the banner is gone', await page.locator('#banner').isVisible(), false)
  await client.close()
  await reads(gauge('connections'), '0', 'connections')
})
