// weir-run: 0.9.0 0.11.6 0.22.1
// product.md "stream": which changes fire which handlers, with group_id, item_id and condition_function_id.
import { check, holds, main, unique, until } from './lib/harness.mjs'
import { call, registerWorker, registered } from './lib/sdk.mjs'

await main(async () => {
  const iii = registerWorker()
  const stream_name = unique('orders')
  const calls = { all: [], group: [], item: [], conditioned: [], condition: [], zero: [], other: [] }
  const note = (name) => (input) => {
    calls[name].push(input)
    return {}
  }

  iii.registerFunction({ id: 'when::eu' }, (input) => {
    calls.condition.push(input)
    return input.groupId === 'eu'
  })
  iii.registerFunction({ id: 'when::zero' }, () => 0)
  const configs = {
    all: { stream_name },
    group: { stream_name, group_id: 'eu' },
    item: { stream_name, group_id: 'eu', item_id: 'o-1' },
    conditioned: { stream_name, condition_function_id: 'when::eu' },
    zero: { stream_name, condition_function_id: 'when::zero' },
    other: { stream_name: unique('invoices') },
  }
  for (const [name, config] of Object.entries(configs)) {
    iii.registerFunction({ id: `on::${name}` }, note(name))
    iii.registerTrigger({ type: 'stream', function_id: `on::${name}`, config })
  }
  const handlers = Object.keys(configs).map((name) => `on::${name}`)
  await registered(iii, { functions: handlers, triggers: handlers })

  const at = (group_id, item_id, rest) => ({ stream_name, group_id, item_id, ...rest })
  await call(iii, 'stream::set', at('us', 'o-1', { data: { n: 1 } }))
  await call(iii, 'stream::set', at('eu', 'o-2', { data: { n: 2 } }))
  await call(iii, 'stream::set', at('eu', 'o-1', { data: { n: 3 } }))
  await call(iii, 'stream::update', at('eu', 'o-1', { ops: [{ type: 'increment', path: 'n', by: 10 }] }))
  await call(iii, 'stream::delete', at('eu', 'o-2'))
  await call(iii, 'stream::delete', at('eu', 'never-was'))
  await call(iii, 'stream::send', { stream_name, group_id: 'eu', type: 'blink', data: {} })
  // The fence: every filter matches it, and it is the last change of its group.
  await call(iii, 'stream::set', at('eu', 'o-1', { data: { n: 99 } }))

  const fence = (input) => input.event.data.n === 99
  for (const name of ['all', 'group', 'item', 'conditioned', 'zero']) {
    await until(`the fence at ${name}`, () => calls[name].some(fence))
  }
  await until('the change of the other group', () => calls.all.length >= 6)

  const told = (name) => calls[name].filter(({ groupId }) => groupId === 'eu').map(({ id, event }) => [event.type, id, event.data])
  const eu = [
    ['create', 'o-2', { n: 2 }],
    ['create', 'o-1', { n: 3 }],
    ['update', 'o-1', { n: 13 }],
    ['delete', 'o-2', { n: 2 }],
    ['update', 'o-1', { n: 99 }],
  ]
  const us = { type: 'create', data: { n: 1 } }
  check('stream_name only: every change of the group, in order, no send', told('all'), eu)
  check('stream_name only: other groups too', calls.all.filter(({ groupId }) => groupId === 'us').map(({ event }) => event), [us])
  check('group_id: that group only', [told('group'), calls.group.length], [eu, 5])
  check('item_id: that item only', [told('item'), calls.item.length], [[eu[1], eu[2], eu[4]], 3])
  check('condition false: the handler is skipped', [told('conditioned'), calls.conditioned.length], [eu, 5])
  check('condition gets the payload of the handler', calls.condition.find(fence), calls.conditioned.find(fence))
  check('a condition that returns 0 is not false', told('zero'), eu)
  check('another stream: never', calls.other, [])

  const { timestamp, ...payload } = calls.item[0]
  check('the payload is the subscriber\'s envelope', payload, {
    type: 'stream',
    streamName: stream_name,
    groupId: 'eu',
    id: 'o-1',
    event: { type: 'create', data: { n: 3 } },
  })
  holds('its timestamp is an integer', Number.isSafeInteger(timestamp), timestamp)

  const before = calls.group.length
  const again = iii.registerFunction({ id: 'on::brief' }, note('other'))
  const brief = iii.registerTrigger({ type: 'stream', function_id: again.id, config: { stream_name } })
  await registered(iii, { triggers: ['on::brief'] })
  brief.unregister()
  await call(iii, 'stream::set', at('eu', 'o-1', { data: { n: 100 } }))
  await call(iii, 'stream::set', at('eu', 'o-1', { data: { n: 101 } }))
  await until('the last change', () => calls.group.length === before + 2)
  check('an unregistered trigger is not called', calls.other, [])
})
