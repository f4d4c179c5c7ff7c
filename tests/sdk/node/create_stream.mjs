// weir-run: 0.9.0 0.11.6 0.22.1
// The SDK's createStream: five functions of a worker take the place of the adapter (protocol.md B.6).
import { Client, check, main, unique, until } from './lib/harness.mjs'
import { call, createStream, registerWorker, registered } from './lib/sdk.mjs'

await main(async () => {
  const name = unique('seats')
  const iii = registerWorker()
  const provider = registerWorker()
  const rooms = new Map()
  const asked = []
  const room = (group_id) => rooms.get(group_id) ?? rooms.set(group_id, new Map()).get(group_id)
  await createStream(provider, name, {
    async get(input) {
      asked.push(['get', input])
      return room(input.group_id).get(input.item_id)
    },
    async set(input) {
      asked.push(['set', input])
      const { group_id, item_id, data } = input
      if (data === 'refuse') throw new Error('not that')
      const old_value = room(group_id).get(item_id)
      room(group_id).set(item_id, data)
      return { old_value, new_value: data }
    },
    async delete(input) {
      asked.push(['delete', input])
      const old_value = room(input.group_id).get(input.item_id)
      room(input.group_id).delete(input.item_id)
      return { old_value }
    },
    async list(input) {
      asked.push(['list', input])
      return [...room(input.group_id).values()]
    },
    async listGroups(input) {
      asked.push(['list_groups', input])
      return [...rooms.keys()]
    },
    async update() {
      throw new Error('no SDK registers this')
    },
  })
  const fired = []
  iii.registerFunction({ id: unique('on::change') }, (input) => {
    fired.push([input.event.type, input.id, input.event.data])
    return {}
  })
  iii.registerTrigger({ type: 'stream', function_id: unique('on::change'), config: { stream_name: name } })
  const five = ['get', 'set', 'delete', 'list', 'list_groups'].map((op) => `stream::${op}(${name})`)
  await registered(iii, { functions: [...five, unique('on::change')], triggers: [unique('on::change')] })

  rooms.set('row-9', new Map([['9A', { id: '9A' }]]))
  const client = await Client.open(`/stream/${name}/row-9/`)
  await client.wait(1)
  check('the snapshot comes from the override', client.events(), [['sync', null, [{ id: '9A' }]]])

  const at = (item_id, rest) => ({ stream_name: name, group_id: 'row-9', item_id, ...rest })
  const done = async (op) => {
    const last = asked.at(-1)
    return last?.[0] === op ? last[1] : asked.map(([o]) => o)
  }
  const created = await call(iii, 'stream::set', at('9C', { data: { id: '9C', held: true } }))
  check('set: through', [created.old_value ?? null, created.new_value], [null, { id: '9C', held: true }])
  check('set: the clean request', await done('set'), at('9C', { data: { id: '9C', held: true } }))
  check('set: stored there', room('row-9').get('9C'), { id: '9C', held: true })
  check('get: hit', await call(iii, 'stream::get', at('9C')), { id: '9C', held: true })
  check('get: the clean request', await done('get'), at('9C'))
  check('get: nothing', (await call(iii, 'stream::get', at('1A'))) ?? null, null)
  check('list', await call(iii, 'stream::list', { stream_name: name, group_id: 'row-9' }), [{ id: '9A' }, { id: '9C', held: true }])
  check('list: the clean request', await done('list'), { stream_name: name, group_id: 'row-9' })
  check('list_groups', await call(iii, 'stream::list_groups', { stream_name: name }), ['row-9'])
  check('list_groups: the clean request', await done('list_groups'), { stream_name: name })

  const updated = await call(iii, 'stream::update', at('9C', { ops: [{ type: 'increment', path: 'views', by: 2 }] }))
  check('update goes through get and set', [updated, room('row-9').get('9C')], [
    { old_value: { id: '9C', held: true }, new_value: { id: '9C', held: true, views: 2 } },
    { id: '9C', held: true, views: 2 },
  ])
  check('set again', (await call(iii, 'stream::set', at('9C', { data: { id: '9C' } }))).old_value, { id: '9C', held: true, views: 2 })
  check('send is not overridden', await call(iii, 'stream::send', { stream_name: name, group_id: 'row-9', type: 'blink', data: 1 }), null)
  check('delete: hit', await call(iii, 'stream::delete', at('9C')), { old_value: { id: '9C' } })
  check('delete: the clean request', await done('delete'), at('9C'))
  check('delete: nothing', (await call(iii, 'stream::delete', at('9C'))).old_value ?? null, null)

  const refused = await call(iii, 'stream::set', at('9C', { data: 'refuse' })).then(() => undefined, (error) => error)
  check('an override that throws fails the call', typeof refused?.code, 'string')
  check('and says why', refused.message.includes('not that'), true)

  // The fence: nothing after it, so what is not there by now never came.
  await call(iii, 'stream::set', at('9Z', { data: { id: '9Z' } }))
  const changes = [
    ['create', '9C', { id: '9C', held: true }],
    ['update', '9C', { id: '9C', held: true, views: 2 }],
    ['update', '9C', { id: '9C' }],
    ['delete', '9C', { id: '9C' }],
    ['create', '9Z', { id: '9Z' }],
  ]
  await client.find('the fence', (frame) => frame.id === '9Z')
  check('subscribers see the changes', client.events().slice(1).filter(([type]) => type !== 'event'), changes)
  check('and the sent event', client.events().filter(([type]) => type === 'event'), [['event', null, { type: 'blink', data: 1 }]])
  await until('the fence at the trigger', () => fired.some(([, id]) => id === '9Z'))
  check('triggers fire', fired, changes)

  await provider.shutdown()
  // A call that the provider took before it went ends with invocation_stopped; the next ones go to the adapter.
  const list = () => call(iii, 'stream::list', { stream_name: name, group_id: 'row-9' })
  await until('the adapter serves again', () =>
    list().then(
      (items) => items.length === 0,
      (error) => {
        if (error.code !== 'invocation_stopped') throw error
        return false
      },
    ),
  )
  check('the adapter never saw the items', await list(), [])
})
