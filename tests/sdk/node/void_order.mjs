// weir-run: 0.9.0 0.11.6 0.22.1
// 500 void sets of one item: all are seen, in order, by a group and an item subscriber, and the last one stays.
import { Client, check, main, unique } from './lib/harness.mjs'
import { TriggerAction, call, registerWorker } from './lib/sdk.mjs'

const COUNT = 500

await main(async () => {
  const stream_name = unique('ticker')
  const group = await Client.open(`/stream/${stream_name}/g/`)
  const item = await Client.open('/')
  item.join('s-item', stream_name, 'g', 'i')
  const both = await Client.open(`/stream/${stream_name}/g/`)
  both.join('s-item', stream_name, 'g', 'i')
  await Promise.all([group.wait(1), item.wait(1), both.wait(2)])

  // Sent before the socket is open, so that the SDK's own queue is part of the order.
  const iii = registerWorker()
  const payload = (n) => ({ stream_name, group_id: 'g', item_id: 'i', data: { id: 'i', n } })
  for (let n = 0; n < COUNT / 2; n += 1) iii.trigger({ function_id: 'stream::set', payload: payload(n), action: TriggerAction.Void() })
  check('the first half is read back', await call(iii, 'stream::get', payload()), { id: 'i', n: COUNT / 2 - 1 })
  for (let n = COUNT / 2; n < COUNT; n += 1) iii.trigger({ function_id: 'stream::set', payload: payload(n), action: TriggerAction.Void() })
  check('the last one stays', await call(iii, 'stream::get', payload()), { id: 'i', n: COUNT - 1 })

  const changes = Array.from({ length: COUNT }, (_, n) => [n === 0 ? 'create' : 'update', 'i', { id: 'i', n }])
  await Promise.all([group.wait(COUNT + 1), item.wait(COUNT + 1), both.wait(COUNT + 2)])
  check('the group subscriber saw all, in order', group.events().slice(1), changes)
  check('the item subscriber saw all, in order', item.events().slice(1), changes)
  check('a socket with both subscriptions got one copy', both.events().slice(2), changes)
  // Client refuses a timestamp that is not greater than the one before; here only that the check had something to do.
  check('timestamps are different', new Set(group.frames.slice(1).map(({ timestamp }) => timestamp)).size, COUNT)
})
