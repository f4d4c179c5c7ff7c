// weir-run: 0.9.0 0.11.6 0.22.1
// The eight functions of product.md with the exact results of protocol.md B.1, B.4 and B.5.
import { Client, check, holds, main, unique } from './lib/harness.mjs'
import { call, registerWorker } from './lib/sdk.mjs'

await main(async () => {
  const iii = registerWorker()
  const stream_name = unique('seats')
  const at = (group_id, item_id, rest) => ({ stream_name, group_id, item_id, ...rest })
  const set = (group, item, data) => call(iii, 'stream::set', at(group, item, { data }))
  const get = (group, item) => call(iii, 'stream::get', at(group, item))
  const update = (item, ops) => call(iii, 'stream::update', at('row-9', item, { ops }))
  const list = (group_id) => call(iii, 'stream::list', { stream_name, group_id })

  check('set: new', await set('row-9', '9C', { id: '9C', held: true }), { old_value: null, new_value: { id: '9C', held: true } })
  check('set: again', await set('row-9', '9C', { id: '9C', held: false }), {
    old_value: { id: '9C', held: true },
    new_value: { id: '9C', held: false },
  })
  check('get: hit', await get('row-9', '9C'), { id: '9C', held: false })
  check('get: miss is undefined', await get('row-9', '1A'), undefined)
  check('get: miss in an unknown stream', await call(iii, 'stream::get', { stream_name: unique('none'), group_id: 'g', item_id: 'i' }), undefined)
  check('set: null', await set('row-9', 'empty', null), { old_value: null, new_value: null })
  check('get: stored null is null', await get('row-9', 'empty'), null)
  for (const value of [0, -7.25, '', 'text', true, [], [1, [null]], 9007199254740991, { 'a.b': { 'c d': ['é', '😀', '\u0000', '\\"'] } }]) {
    await set('row-9', 'any', value)
    check(`a value comes back as it went: ${JSON.stringify(value)}`, await get('row-9', 'any'), value)
  }
  check('delete: hit', await call(iii, 'stream::delete', at('row-9', 'any')), { old_value: { 'a.b': { 'c d': ['é', '😀', '\u0000', '\\"'] } } })
  check('delete: miss', await call(iii, 'stream::delete', at('row-9', 'any')), { old_value: null })
  check('delete: null', await call(iii, 'stream::delete', at('row-9', 'empty')), { old_value: null })

  for (const id of ['z', 'a', 'm']) await set('row-2', id, { id })
  check('list: insertion order', await list('row-2'), [{ id: 'z' }, { id: 'a' }, { id: 'm' }])
  await set('row-2', 'z', { id: 'z', again: true })
  check('list: an update keeps its place', (await list('row-2')).map(({ id }) => id), ['z', 'a', 'm'])
  await call(iii, 'stream::delete', at('row-2', 'z'))
  await set('row-2', 'z', { id: 'z' })
  check('list: delete and set goes to the end', (await list('row-2')).map(({ id }) => id), ['a', 'm', 'z'])
  check('list: unknown group', await list('row-77'), [])
  check('list_groups', (await call(iii, 'stream::list_groups', { stream_name })).sort(), ['row-2', 'row-9'])
  check('list_groups: unknown stream', await call(iii, 'stream::list_groups', { stream_name: unique('none') }), [])

  // Names that meet if they are only glued together.
  await call(iii, 'stream::set', { stream_name: `${stream_name}:row`, group_id: '9', item_id: '9C', data: 1 })
  await call(iii, 'stream::set', { stream_name: `${stream_name}/ü ::(x)`, group_id: 'a/b c', item_id: '../?#', data: 2 })
  check('names are told apart', await get('row:9', '9C'), undefined)
  check('any text is a name', await call(iii, 'stream::get', { stream_name: `${stream_name}/ü ::(x)`, group_id: 'a/b c', item_id: '../?#' }), 2)

  const all = await call(iii, 'stream::list_all', {})
  check('list_all: keys', Object.keys(all).sort(), ['count', 'stream'])
  check('list_all: count', all.count, all.stream.length)
  check('list_all: streams and groups, sorted', all.stream.filter(({ id }) => id.startsWith(stream_name)), [
    { id: stream_name, groups: ['row-2', 'row-9'] },
    { id: `${stream_name}/ü ::(x)`, groups: ['a/b c'] },
    { id: `${stream_name}:row`, groups: ['9'] },
  ])
  check('list_all: without a payload', (await call(iii, 'stream::list_all', undefined)).count, all.count)
  for (const id of ['a', 'm', 'z']) await call(iii, 'stream::delete', at('row-2', id))
  check('list_groups: an emptied group is gone', await call(iii, 'stream::list_groups', { stream_name }), ['row-9'])

  const group = await Client.open(`/stream/${stream_name}/row-9/`)
  const item = await Client.open('/')
  item.join('s-item', stream_name, 'row-9', '9C')
  await group.wait(1)
  await item.wait(1)
  const blink = { stream_name, group_id: 'row-9', type: 'blink', data: { ms: 300 } }
  check('send: null', await call(iii, 'stream::send', blink), null)
  check('send with an id: null', await call(iii, 'stream::send', { ...blink, id: '9C' }), null)
  check('send with a null id: null', await call(iii, 'stream::send', { ...blink, id: null, data: null }), null)
  check('send stores nothing', await list('row-9'), [{ id: '9C', held: false }])
  await group.wait(4)
  await item.wait(2)
  const heard = (id, data) => ['event', id, { type: 'blink', data }]
  check('send reaches the group', group.events().slice(1), [heard(null, { ms: 300 }), heard('9C', { ms: 300 }), heard(null, null)])
  check('send with an id reaches the item', item.events().slice(1), [heard('9C', { ms: 300 })])

  check('update: set, increment, decrement, remove, in order', await update('9C', [
    { type: 'increment', path: 'views', by: 2 },
    { type: 'decrement', path: 'left', by: 3 },
    { type: 'set', path: 'held', value: true },
    { type: 'set', path: 'note', value: null },
    { type: 'set', path: 'x.y', value: 1 },
    { type: 'remove', path: 'missing' },
    { type: 'increment', path: 'views', by: 5 },
  ]), {
    old_value: { id: '9C', held: false },
    new_value: { id: '9C', held: true, views: 7, left: -3, note: null, 'x.y': 1 },
  })
  check('update: remove', (await update('9C', [{ type: 'remove', path: 'x.y' }, { type: 'remove', path: 'note' }])).new_value, { id: '9C', held: true, views: 7, left: -3 })
  check('update: merge at the root', (await update('9C', [{ type: 'merge', path: '', value: { held: false, tag: 'vip' } }])).new_value, {
    id: '9C', held: false, views: 7, left: -3, tag: 'vip',
  })
  check('update: merge without a path', (await update('9C', [{ type: 'merge', value: { left: 0 } }])).new_value, {
    id: '9C', held: false, views: 7, left: 0, tag: 'vip',
  })
  check('update: no ops on nothing makes {}', await update('new', []), { old_value: null, new_value: {} })
  check('update: set at the root', await update('new', [{ type: 'set', path: '', value: { id: 'new' } }]), { old_value: {}, new_value: { id: 'new' } })
  check('update: merge with a path touches that key only', (await update('new', [{ type: 'merge', path: 'session', value: { author: 'alice' } }])).new_value, {
    id: 'new', session: { author: 'alice' },
  })
  check('update: merge with segments makes what is missing', await update('new', [
    { type: 'merge', path: ['sessions', 'abc'], value: { ts: 1 } },
    { type: 'merge', path: ['sessions', 'abc'], value: { ok: true } },
    { type: 'merge', path: ['sessions', 'def'], value: {} },
  ]), {
    old_value: { id: 'new', session: { author: 'alice' } },
    new_value: { id: 'new', session: { author: 'alice' }, sessions: { abc: { ts: 1, ok: true }, def: {} } },
  })
  check('update: append', (await update('log', [
    { type: 'append', path: 'events', value: { n: 1 } },
    { type: 'append', path: 'events', value: { n: 2 } },
    { type: 'append', path: 'text', value: 'Hel' },
    { type: 'append', path: 'text', value: 'lo' },
    { type: 'append', path: ['deep', 'list'], value: 'x' },
    { type: 'append', path: ['deep', 'list'], value: 'y' },
  ])).new_value, { events: [{ n: 1 }, { n: 2 }], text: 'Hello', deep: { list: ['x', 'y'] } })
  const failed = await update('log', [
    { type: 'increment', path: 'text', by: 1 },
    { type: 'append', path: 'text', value: 5 },
    { type: 'set', path: 'still', value: 'applied' },
    { type: 'merge', path: ['a', '__proto__'], value: {} },
    { type: 'merge', path: '', value: 'no object' },
  ])
  check('update: a failing op is skipped, the others apply', failed.new_value, {
    events: [{ n: 1 }, { n: 2 }], text: 'Hello', deep: { list: ['x', 'y'] }, still: 'applied',
  })
  check('update: errors', failed.errors?.map(({ op_index, code }) => [op_index, code]), [
    [0, 'increment.not_number'],
    [1, 'append.type_mismatch'],
    [3, 'merge.path.proto_polluted'],
    [4, 'merge.value.not_an_object'],
  ])
  holds('update: errors say what is wrong', failed.errors.every(({ message }) => typeof message === 'string' && message.length > 0), failed.errors)

  const counts = await Promise.all(Array.from({ length: 50 }, () => update('counter', [{ type: 'increment', path: 'n', by: 1 }])))
  check('update is atomic: 50 at once', counts.map(({ new_value }) => new_value.n).sort((a, b) => a - b), Array.from({ length: 50 }, (_, i) => i + 1))
})
