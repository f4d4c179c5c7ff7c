// weir-run: 0.22.1
// The console by keyboard alone.
import { WORKERS, check, holds, until } from '../sdk/node/lib/harness.mjs'
import { call, registerWorker } from '../sdk/node/lib/sdk.mjs'
import { browse, lists, reads, screenshot } from './lib/browser.mjs'
import { VIEWS, openConsole, valueOf } from './lib/console.mjs'

await browse(async (open) => {
  const iii = registerWorker(WORKERS, { workerName: 'worker', otel: { enabled: false } })
  for (const group of ['lobby', 'room-1', 'room-2']) {
    for (const id of ['alice', 'bob']) await call(iii, 'stream::set', { stream_name: 'presence', group_id: group, item_id: id, data: { id } })
  }
  const page = await openConsole(open)
  const press = async (...keys) => { for (const key of keys) await page.keyboard.press(key) }
  const at = (view) => page.locator(`#view-${view}`).waitFor()
  /** Waits until what has the focus says so of itself. */
  const focused = async (what, expected) => {
    let seen
    await until(() => `the focus is at ${expected}, not at ${seen}`, async () => {
      seen = await page.evaluate(() => { const { id, dataset, localName } = document.activeElement; return id || dataset.group || dataset.stream || dataset.row || dataset.view || dataset.action || localName })
      return seen === expected
    })
    check(what, seen, expected)
  }

  for (const [index, view] of [...VIEWS.entries()].reverse()) {
    await press(String(index + 1))
    await at(view)
    check(`${index + 1}: the link of ${view} is marked`, await page.locator('#nav [aria-current]').getAttribute('data-view'), view)
  }
  for (const [letter, view] of Object.entries({ s: 'streams', e: 'sessions', w: 'workers', c: 'call', o: 'overview' })) {
    await press('g', letter)
    await at(view)
  }
  check('back by the browser', await page.goBack().then(() => page.locator('#view-call').count()), 1)

  // The list of keys.
  await press('?')
  await page.locator('#keys-dialog').waitFor()
  await screenshot(page, 'keys')
  await press('2')
  holds('keys are for the dialog while it is open', await page.locator('#view-call').isVisible())
  await press('Escape')
  await page.locator('#keys-dialog').waitFor({ state: 'hidden' })

  // From a search to a group, an item and back.
  await press('2')
  await at('streams')
  await press('/')
  await focused('/ goes to the search', 'streams-search')
  await page.keyboard.type('room')
  await lists(page.locator('#tree [data-group]'), ['room-1', 'room-2'], 'what is typed is searched for')
  await press('ArrowDown', 'j')
  await focused('j goes to the next row', 'room-1')
  await press('j', 'k', 'k', 'k')
  await focused('k goes back, and not beyond the first', 'presence')
  await press('End')
  await focused('End goes to the last', 'room-2')
  await press('Enter')
  await reads(page.locator('#group-name'), 'presence › room-2', 'Enter opens a group')
  await reads(page.locator('#live-state'), 'live', 'the group')
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle)
  check('the focus can be seen', outline, 'solid')
  await page.locator('#items [data-row="alice"]').waitFor()
  await page.locator('#items [data-row="alice"]').focus()
  await press('j', 'Enter')
  await reads(page.locator('#value-title'), 'Item bob', 'Enter opens an item')
  await press('p')
  await reads(page.locator('[data-action="pause"]'), 'go on (0 new)', 'p pauses')
  await press('p')
  await reads(page.locator('[data-action="pause"]'), 'pause', 'p goes on')
  await press('Escape')
  await page.locator('#value').waitFor({ state: 'hidden' })
  await press('Escape')
  await reads(page.locator('#group'), /^Choose a group/, 'Esc closes the group')
  await press('/')
  await focused('/ again', 'streams-search')
  await press('Escape')
  check('Esc empties a search', await page.locator('#streams-search').inputValue(), '')
  await lists(page.locator('#tree [data-group]'), ['lobby', 'room-1', 'room-2'], 'the tree is whole again')
  await page.locator('#tree [data-group="lobby"]').focus()
  await press('ArrowLeft')
  await focused('← goes to the stream', 'presence')
  await press('ArrowLeft')
  await lists(page.locator('#tree [data-row]'), ['presence 3'], '← closes it')
  await press('ArrowRight')
  await lists(page.locator('#tree [data-group]'), ['lobby', 'room-1', 'room-2'], '→ opens it')

  // A list, and one of it.
  await press('4')
  await at('workers')
  const row = page.locator('#workers-rows [data-row]')
  await row.waitFor()
  await press('j')
  await focused('j goes to the first row', await row.getAttribute('data-row'))
  await press('Enter')
  await reads(page.locator('#workers-detail h2'), 'worker', 'Enter opens a worker')
  await press('Escape')
  await page.locator('#workers-detail').waitFor({ state: 'hidden' })

  // Letters in a field are letters. Ctrl Enter calls.
  await press('5')
  await at('call')
  await press('/')
  await focused('/ goes to the function', 'call-function_id')
  await press('ControlOrMeta+a')
  await page.keyboard.type('stream::get')
  await press('Tab')
  await focused('Tab goes on', 'call-data')
  await press('ControlOrMeta+a')
  await page.keyboard.type('{"stream_name": "presence", "group_id": "lobby", "item_id": "bob"}')
  await press('ControlOrMeta+Enter')
  await reads(page.locator('#call-outcome'), 'ok', 'Ctrl Enter calls')
  check('the result', await valueOf(page.locator('#call-value')), { id: 'bob' })
  holds('still in the view of calls', await page.locator('#view-call').isVisible())

  // Everything is reached by Tab, once around.
  await press('Escape', '1')
  await at('overview')
  await page.evaluate(() => document.activeElement.blur())
  const reached = new Set()
  for (let n = 0; n < 12; n += 1) {
    await press('Tab')
    reached.add(await page.evaluate(() => { const { id, dataset } = document.activeElement; return id || dataset.view }))
  }
  for (const part of ['brand', ...VIEWS, 'theme', 'keys']) holds(`Tab reaches ${part}`, reached.has(part), [...reached])
})
