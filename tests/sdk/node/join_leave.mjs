// weir-run: 0.9.0 0.11.6 0.22.1
// stream:join and stream:leave without authentication: payloads, refusals, and one leave per subscription (protocol.md C.10).
import { Client, check, main, unique, until } from './lib/harness.mjs'
import { call, registerWorker, registered } from './lib/sdk.mjs'

await main(async () => {
  const iii = registerWorker()
  const joined = []
  const left = []

  const onJoin = iii.registerFunction({ id: 'onJoin' }, (input) => {
    joined.push(input)
    if (input.group_id.startsWith('closed')) return { unauthorized: true }
    if (input.group_id.startsWith('quoted')) return { unauthorized: 'true' }
    if (input.group_id.startsWith('broken')) throw new Error('no idea')
    return {}
  })
  iii.registerTrigger({ type: 'stream:join', function_id: onJoin.id, config: {} })
  const onLeave = iii.registerFunction({ id: 'onLeave' }, (input) => {
    left.push(input)
    return {}
  })
  iii.registerTrigger({ type: 'stream:leave', function_id: onLeave.id, config: {} })
  await registered(iii, { functions: ['onJoin', 'onLeave'], triggers: ['onJoin', 'onLeave'] })

  const room = unique('room')
  const ids = (list) => list.map(({ subscription_id, stream_name, group_id, id }) => [subscription_id, stream_name, group_id, id ?? null])

  const client = await Client.open('/')
  client.join('s-group', 'seats', room)
  client.join('s-item', 'seats', room, '9C')
  await client.find('both syncs', () => client.frames.length >= 2)
  check('joins', ids(joined), [['s-group', 'seats', room, null], ['s-item', 'seats', room, '9C']])

  const closed = unique('closed')
  const broken = unique('broken')
  const quoted = unique('quoted')
  client.join('s-closed', 'seats', closed)
  const no = await client.find('the refusal', (frame) => frame.groupId === closed)
  check('unauthorized: true refuses', no.event, { type: 'unauthorized' })
  client.join('s-broken', 'seats', broken)
  const neither = await client.find('the refusal', (frame) => frame.groupId === broken)
  check('a handler that throws refuses', neither.event, { type: 'unauthorized' })
  client.join('s-quoted', 'seats', quoted)
  const yes = await client.find('the sync', (frame) => frame.groupId === quoted)
  check('unauthorized: "true" is not a refusal', yes.event, { type: 'sync', data: [] })

  // The refused group changes first, the admitted one second: the second frame is the fence for the first.
  for (const group of [closed, broken, quoted]) {
    await call(iii, 'stream::set', { stream_name: 'seats', group_id: group, item_id: 'x', data: { id: 'x' } })
  }
  await client.find('the change', (frame) => frame.groupId === quoted && frame.event.type === 'create')
  check('a refused group is silent', client.frames.filter((f) => [closed, broken].includes(f.groupId)).length, 2)

  client.leave('s-group', 'seats', room)
  await until('the leave', () => left.length === 1)
  check('leave by message', ids(left), [['s-group', 'seats', room, null]])
  client.leave('s-group', 'seats', room)
  client.leave('s-never', 'seats', room)
  await client.close()
  await until('the other leaves', () => left.length >= 3)

  const last = await Client.open(`/stream/seats/${room}/`)
  await last.wait(1)
  const { subscription_id } = joined.at(-1)
  await last.close()
  await until('the last leave', () => left.some((leave) => leave.subscription_id === subscription_id))
  check('one leave per admitted subscription, none for the rest', ids(left).map(String).sort(), [
    ['s-group', 'seats', room, null],
    ['s-item', 'seats', room, '9C'],
    ['s-quoted', 'seats', quoted, null],
    [subscription_id, 'seats', room, null],
  ].map(String).sort())
})
