// weir-run: 0.22.1
// The console's form: a function is called and its result shown, an event is sent, and JSON that is wrong says where.
import { Client, WORKERS, check, holds } from '../sdk/node/lib/harness.mjs'
import { registerWorker, registered } from '../sdk/node/lib/sdk.mjs'
import { browse, lists, reads, screenshot, textOf } from './lib/browser.mjs'
import { callFunction, goTo, openConsole, submit, valueOf, visit } from './lib/console.mjs'

await browse(async (open) => {
  const iii = registerWorker(WORKERS, { otel: { enabled: false } })
  iii.registerFunction({ id: 'math::double' }, async ({ of }) => ({ result: of * 2 }))
  iii.registerFunction({ id: 'math::fail' }, async () => { throw new Error('not today') })
  await registered(iii, { functions: ['math::double', 'math::fail'] })
  const client = await Client.open('/stream/presence/room-1/')
  await client.wait(1)

  const page = await openConsole(open, 'call')
  const known = page.locator('#functions option')
  await known.first().waitFor({ state: 'attached' })
  const names = await known.evaluateAll((options) => options.map(({ value }) => value))
  for (const name of ['math::double', 'stream::set']) holds(`${name} is offered`, names.includes(name), names)

  await callFunction(page, 'math::double', { of: 21 })
  const value = page.locator('#call-value')
  check('the result of a worker', await valueOf(value), { result: 42 })
  const elapsed = await textOf(page.locator('#call-result .muted'))
  holds('how long it took', /^[\d.,]+ ms$/.test(elapsed), elapsed)
  await screenshot(page, 'result')
  await callFunction(page, 'math::fail', {}, 'invocation_failed')
  await reads(page.locator('#call-result .notice'), /not today/, 'an error, in words')
  await callFunction(page, 'nobody', {}, 'function_not_found')
  const history = page.locator('#call-history [data-row]')
  await lists(history.locator('.name'), ['nobody', 'math::fail', 'math::double'], 'the last calls')
  await lists(history.locator('.state'), ['failed', 'failed', 'ok'], 'what came of them')

  // A name that is known brings the shape of its payload.
  await page.locator('#call-data').fill('')
  await page.locator('#call-function_id').fill('stream::set')
  await page.locator('#call-function_id').blur()
  check('the shape of its payload', JSON.parse(await page.locator('#call-data').inputValue()), { stream_name: '', group_id: '', item_id: '', data: {} })

  // What a double cannot hold stays as it was typed.
  const large = '{"id": "a", "n": 12345678901234567890, "tiny": 1e-400}'
  await callFunction(page, 'stream::set', `{"stream_name": "presence", "group_id": "room-1", "item_id": "a", "data": ${large}}`)
  holds('a large number', (await value.innerText()).includes('12345678901234567890'), await value.innerText())
  await client.wait(2)
  check('clients get the change', client.events().at(-1).slice(0, 2), ['create', 'a'])

  // JSON that is wrong is not sent, and says where it is.
  const fault = page.locator('#call-fault')
  for (const [text, said] of [
    ['{"a": 1,\n "b" 2}', 'line 2, column 6 expected :'],
    ['[1, 2', 'line 1, column 6 expected , or ]'],
    ['{"a": 01}', 'line 1, column 8 expected , or }'],
    ['"\u00e4', 'line 1, column 1 expected a string that ends, in its line and with known escapes'],
    ['{} {}', 'line 1, column 4 expected the end'],
    ['nope', 'line 1, column 1 expected a value'],
  ]) {
    await page.locator('#call-data').fill(text)
    await reads(fault.locator('p'), said, JSON.stringify(text))
  }
  await page.locator('#call-data').fill('{"of": 1,\n}')
  const calls = await history.count()
  await page.locator('#call-submit').click()
  const selected = await page.locator('#call-data').evaluate((field) => [document.activeElement === field, field.selectionStart])
  check('the place is selected', selected, [true, 10])
  await screenshot(page, 'fault')
  await page.locator('#call-data').fill('{"of":1}')
  await reads(fault, '', 'JSON that is right')
  await page.locator('[data-action="format"]').click()
  check('it is formatted', await page.locator('#call-data').inputValue(), '{\n  "of": 1\n}')
  check('nothing of this was called', await history.count(), calls)

  // An event reaches those who subscribe, and is stored nowhere.
  await page.locator('#mode-send').check()
  for (const [name, text] of Object.entries({ stream: 'presence', group: 'room-1', item: '', type: 'typing', data: '{"who": "me"}' })) await page.locator(`#call-${name}`).fill(text)
  await submit(page)
  await client.wait(3)
  check('an event to the group', client.events().at(-1), ['event', null, { type: 'typing', data: { who: 'me' } }])
  await page.locator('#call-item').fill('a')
  await submit(page)
  await client.wait(4)
  check('an event about an item', client.events().at(-1), ['event', 'a', { type: 'typing', data: { who: 'me' } }])
  await reads(history.first().locator('.name'), 'typing → presence › room-1', 'the last call')

  // From a group the form is filled.
  await visit(page, 'streams/presence/room-1')
  await page.locator('#items [data-row="a"]').click()
  await page.locator('#value [data-action="delete"]').click()
  await submit(page)
  await client.wait(5)
  check('the item is deleted', client.events().at(-1).slice(0, 2), ['delete', 'a'])
  await visit(page, 'streams/presence/room-1')
  await page.locator('[data-action="send"]').click()
  check('the group is filled in', [await page.locator('#call-stream').inputValue(), await page.locator('#call-group').inputValue()], ['presence', 'room-1'])

  // What was typed and called outlives the page, until its tab is closed.
  await page.reload()
  await lists(history.locator('.name').first(), ['stream::delete'], 'the last calls, loaded anew')
  await history.locator('text=math::double').click()
  check('one of them is taken into the form', [await page.locator('#call-function_id').inputValue(), await page.locator('#call-data').inputValue()], ['math::double', '{"of":21}'])
  await submit(page)
  check('and called again', await valueOf(value), { result: 42 })
  const other = await openConsole(open, 'call')
  check('another tab knows nothing of it', await other.locator('#call-history [data-row]').count(), 0)
  await goTo(other, 'overview')
})
