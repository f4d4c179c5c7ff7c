// weir-run: 0.22.1
// The console's streams: the tree and its search, and one group live, with each frame as clients get it.
import { Client, WORKERS, check, holds, until } from '../sdk/node/lib/harness.mjs'
import { call, registerWorker } from '../sdk/node/lib/sdk.mjs'
import { browse, lists, reads, screenshot, textOf } from './lib/browser.mjs'
import { openConsole, valueOf } from './lib/console.mjs'

await browse(async (open) => {
  const iii = registerWorker(WORKERS, { otel: { enabled: false } })
  const at = (stream_name, group_id, item_id, rest) => ({ stream_name, group_id, item_id, ...rest })
  for (const group of ['lobby', 'room 1', 'room-2']) await call(iii, 'stream::set', at('presence', group, 'alice', { data: { id: 'alice', in: group } }))
  await call(iii, 'stream::set', at('orders', 'eu', 'o1', { data: { id: 'o1', total: 1 } }))

  const page = await openConsole(open, 'streams')
  const tree = page.locator('#tree [data-row]')
  await lists(tree, ['orders 1', 'presence 3'], 'the tree, closed')
  await reads(page.locator('#tree-note'), '2 streams, 4 groups.', 'its note')
  await page.locator('#tree [data-stream="presence"]').click()
  await lists(tree, ['orders 1', 'presence 3', 'lobby', 'room 1', 'room-2'], 'the tree, with a stream open')
  const search = page.locator('#streams-search')
  await search.fill('ROOM')
  await lists(tree, ['presence 3', 'room 1', 'room-2'], 'groups that are searched for, in any case')
  await search.fill('ord')
  await lists(tree, ['orders 1'], 'a stream that is searched for')
  await search.fill('nowhere')
  await reads(page.locator('#tree-note'), /^No stream and no group matches\./, 'nothing found')
  await search.fill('')
  await page.locator('#tree [data-group="room 1"]').click()

  // One group, live.
  await reads(page.locator('#live-state'), 'live', 'the group')
  check('the address names it, so that it can be sent to somebody', new URL(page.url()).hash, '#/streams/presence/room%201')
  await reads(page.locator('#group-name'), 'presence › room 1', 'its name')
  const rows = page.locator('#frames [data-row]')
  const frames = page.locator('#frames .tag')
  await lists(frames, ['state'], 'the state comes first')
  const client = await Client.open('/stream/presence/room%201/')
  await client.wait(1)
  await reads(page.locator('#subscribers'), '1 subscriber', 'subscribers')

  await call(iii, 'stream::set', at('presence', 'room 1', 'bob', { data: { id: 'bob', n: 1 } }))
  await call(iii, 'stream::update', at('presence', 'room 1', 'bob', { ops: [{ type: 'increment', path: 'n', by: 1 }] }))
  await call(iii, 'stream::send', { stream_name: 'presence', group_id: 'room 1', type: 'typing', data: { who: 'bob' } })
  await call(iii, 'stream::send', { stream_name: 'presence', group_id: 'room 1', id: 'bob', type: 'wave', data: null })
  await call(iii, 'stream::delete', at('presence', 'room 1', 'alice'))
  await lists(frames, ['delete', 'event', 'event', 'update', 'create', 'state'], 'each frame, the newest first')
  await lists(page.locator('#frames td.name'), ['alice', 'bob', 'group', 'bob', 'bob', 'all'], 'whom they are about')
  await lists(page.locator('#items td.name'), ['bob'], 'items as they are now')
  await lists(page.locator('#items td.text'), ['{"id":"bob","n":2}'], 'and their values')
  await reads(page.locator('#items-note'), '1', 'how many there are')
  await screenshot(page, 'live')

  // A frame is shown as it is on the wire.
  await client.wait(6)
  for (const [index, frame] of client.frames.slice(1).entries()) {
    await rows.nth(4 - index).click()
    await until(`frame ${index}`, async () => (await textOf(page.locator('#value-title'))).startsWith(`Frame: ${frame.event.type}`))
    check(`the ${frame.event.type} is the frame that a client gets`, await valueOf(page.locator('#value-json')), frame)
  }

  // An item stays shown, and follows.
  await page.locator('#items [data-row="bob"]').click()
  await reads(page.locator('#value-title'), 'Item bob', 'an item')
  await call(iii, 'stream::update', at('presence', 'room 1', 'bob', { ops: [{ type: 'set', path: 'n', value: 77 }] }))
  await until('the value follows', async () => (await valueOf(page.locator('#value-json'))).n === 77)
  await screenshot(page, 'item')

  // A pause holds what is shown, and nothing is lost.
  const before = await frames.count()
  await page.locator('[data-action="pause"]').click()
  for (const id of ['carol', 'dave']) await call(iii, 'stream::set', at('presence', 'room 1', id, { data: { id } }))
  await reads(page.locator('[data-action="pause"]'), 'go on (2 new)', 'the pause')
  check('paused: frames stay', await frames.count(), before)
  await lists(page.locator('#items td.name'), ['bob'], 'paused: items stay')
  await page.locator('[data-action="pause"]').click()
  await lists(page.locator('#items td.name'), ['bob', 'carol', 'dave'], 'after the pause')
  check('after the pause: every frame', await frames.count(), before + 2)

  // A search of items is one of frames too.
  await page.locator('#group-search').fill('car')
  await lists(page.locator('#items td.name'), ['carol'], 'items that are searched for')
  await lists(page.locator('#frames td.name'), ['carol'], 'their frames')
  await reads(page.locator('#items-note'), '1 of 3', 'how many there are')
  await page.locator('#group-search').fill('nobody')
  await reads(page.locator('#items-empty'), 'No item matches.', 'nothing found')
  await page.locator('#group-search').fill('')

  // Bounded: of many frames the last 500.
  const last = 600
  for (let n = 1; n <= last; n += 1) await call(iii, 'stream::set', at('presence', 'room 1', 'bob', { data: { id: 'bob', n: -n } }))
  await until('the last change', async () => (await valueOf(page.locator('#value-json'))).n === -last)
  await until('no more than 500 frames', async () => (await frames.count()) === 500)
  holds('the note says of how many', /^500 of 6\d\d$/.test(await textOf(page.locator('#frames-note'))))

  // Another group is another page of the history: back is where one was.
  await page.locator('#tree [data-group="lobby"]').click()
  await reads(page.locator('#group-name'), 'presence › lobby', 'another group')
  await lists(page.locator('#items td.text'), ['{"id":"alice","in":"lobby"}'], 'its items')
  await page.goBack()
  await reads(page.locator('#group-name'), 'presence › room 1', 'back')
  await page.reload()
  await reads(page.locator('#group-name'), 'presence › room 1', 'loaded anew')
  await lists(page.locator('#items td.name'), ['bob', 'carol', 'dave'], 'its items')
  await client.close()
  await reads(page.locator('#subscribers'), '0 subscribers', 'nobody subscribes')
})
