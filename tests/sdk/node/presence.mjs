// weir-run: 0.9.0 0.11.6 0.22.1
// product.md "Usage Example: Real-Time Presence", word for word but for the address.
import { Client, WORKERS, check, holds, main } from './lib/harness.mjs'
import { TriggerAction, call, registerWorker } from './lib/sdk.mjs'

await main(async () => {
  const byPath = await Client.open('/stream/presence/room-1/')
  const byPathWithoutSlash = await Client.open('/stream/presence/room-1')
  const byJoin = await Client.open('/')
  byJoin.join('5f8a5c7e-0b35-4d5c-9f43-7c5a1f0e2b11', 'presence', 'room-1')
  const ofOneItem = await Client.open('/')
  ofOneItem.join('5f8a5c7e-0b35-4d5c-9f43-7c5a1f0e2b12', 'presence', 'room-1', 'user-123')
  const ofAnotherRoom = await Client.open('/stream/presence/room-2/')
  for (const client of [byPath, byPathWithoutSlash, byJoin, ofOneItem, ofAnotherRoom]) await client.wait(1, 'sync')

  const iii = registerWorker(WORKERS)

  iii.trigger({
    function_id: 'stream::set',
    payload: {
      stream_name: 'presence',
      group_id: 'room-1',
      item_id: 'user-123',
      data: { name: 'Alice', online: true, lastSeen: new Date().toISOString() },
    },
    action: TriggerAction.Void(),
  })

  const user = await iii.trigger({
    function_id: 'stream::get',
    payload: {
      stream_name: 'presence',
      group_id: 'room-1',
      item_id: 'user-123',
    },
  })

  const roomMembers = await iii.trigger({
    function_id: 'stream::list',
    payload: {
      stream_name: 'presence',
      group_id: 'room-1',
    },
  })

  iii.trigger({
    function_id: 'stream::delete',
    payload: {
      stream_name: 'presence',
      group_id: 'room-1',
      item_id: 'user-123',
    },
    action: TriggerAction.Void(),
  })

  const gone = await call(iii, 'stream::get', { stream_name: 'presence', group_id: 'room-1', item_id: 'user-123' })
  const nobody = await call(iii, 'stream::list', { stream_name: 'presence', group_id: 'room-1' })

  holds('get reads the void set before it', user && !Number.isNaN(Date.parse(user.lastSeen)), user)
  check('get returns the item', user, { name: 'Alice', online: true, lastSeen: user.lastSeen })
  check('list returns the items of the group', roomMembers, [user])
  check('get after the void delete finds nothing', gone, undefined)
  check('list after the void delete is empty', nobody, [])

  const story = [
    ['sync', null, []],
    ['create', 'user-123', user],
    ['delete', 'user-123', user],
  ]
  for (const [name, client] of Object.entries({ byPath, byPathWithoutSlash, byJoin })) {
    await client.wait(3)
    check(`${name}: sync, create, delete in order`, client.events(), story)
    check(`${name}: names`, [client.frames[1].streamName, client.frames[1].groupId], ['presence', 'room-1'])
  }
  await ofOneItem.wait(3)
  check('an item subscription starts with null', ofOneItem.events(), [['sync', 'user-123', null], ...story.slice(1)])

  // A fence: this reaches the other room after all of the above, so what is not there by now never came.
  await call(iii, 'stream::set', { stream_name: 'presence', group_id: 'room-2', item_id: 'bob', data: { name: 'Bob' } })
  await ofAnotherRoom.wait(2)
  check('another room sees its own only', ofAnotherRoom.events(), [['sync', null, []], ['create', 'bob', { name: 'Bob' }]])
  const late = await Client.open('/stream/presence/room-2/')
  await late.wait(1)
  check('a late subscriber gets the state', late.events(), [['sync', null, [{ name: 'Bob' }]]])
  await call(iii, 'stream::delete', { stream_name: 'presence', group_id: 'room-2', item_id: 'bob' })
})
