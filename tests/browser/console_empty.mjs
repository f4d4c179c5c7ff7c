// weir-run: 0.22.1
// The console of a server that nobody has used yet: each view says what to do, and the first item comes from there.
import { STREAMS, WORKERS, check, holds } from '../sdk/node/lib/harness.mjs'
import { browse, lists, reads, screenshot } from './lib/browser.mjs'
import { goTo, openConsole, submit, valueOf, visit } from './lib/console.mjs'

await browse(async (open) => {
  const page = await openConsole(open)
  const hint = page.locator('#overview-empty')
  await reads(hint, /^Nothing is connected yet\./, 'the overview')
  holds('it says where workers connect', (await hint.innerText()).includes(`registerWorker('${WORKERS}')`))
  holds('and where clients do', (await hint.innerText()).includes(`new WebSocket('${STREAMS}/stream/presence/room-1/')`))
  await screenshot(page, 'overview')

  const said = {
    streams: ['#tree-empty', /^No stream holds items yet\. .*call stream::set$/],
    sessions: ['#sessions-empty', /^No client is connected\. Open new WebSocket\('ws:\/\/127\.0\.0\.1:\d+\/stream\/STREAM\/GROUP\/'\)/],
    workers: ['#workers-empty', /^No worker is connected\. Start one: registerWorker\('ws:\/\/127\.0\.0\.1:\d+'\)/],
    call: ['#call-result', /^The result of a call is shown here\.$/],
  }
  for (const [view, [selector, text]] of Object.entries(said)) {
    await goTo(page, view)
    await reads(page.locator(selector), text, view)
    await screenshot(page, view)
  }
  await visit(page, 'streams/presence/room-1')
  await reads(page.locator('#live-state'), 'live', 'a group without items')
  await reads(page.locator('#items-empty'), /^This group holds no items\. .*call stream::set$/, 'its items')
  await reads(page.locator('#subscribers'), '0 subscribers', 'its subscribers')
  await visit(page, 'sessions?id=77')
  await reads(page.locator('#sessions-detail'), /It is not listed: it has closed/, 'a session that is gone')

  // The button of the overview fills the form, which has only to be sent.
  await goTo(page, 'overview')
  await hint.locator('[data-action="first-set"]').click()
  await submit(page)
  const alice = { id: 'alice', online: true }
  check('the first item is stored', await valueOf(page.locator('#call-value')), { old_value: null, new_value: alice })
  await goTo(page, 'streams')
  await lists(page.locator('#tree [data-row]'), ['presence 1', 'room-1'], 'the tree')
  await page.locator('#tree [data-group="room-1"]').click()
  await lists(page.locator('#items td.name'), ['alice'], 'the group')
  await goTo(page, 'overview')
  await hint.locator('.empty').waitFor({ state: 'detached' })
})
