// weir-config: auth_function=onAuth
// weir-run: 0.9.0 0.11.6 0.22.1
// product.md "Authentication" and "stream:join and stream:leave", with Weir's answers where nobody can be asked.
import { Client, check, holds, main, unique, until } from './lib/harness.mjs'
import { registerWorker, registered } from './lib/sdk.mjs'

await main(async () => {
  const room = unique('room')

  const refused = await Client.open(`/stream/chat/${room}/`)
  const { code } = await refused.closed
  check('no auth function registered: closed with 4503', code, 4503)
  check('no auth function registered: one unauthorized frame before that', refused.events().map(([type]) => type), ['unauthorized'])

  const iii = registerWorker()
  const asked = []
  const joined = []

  iii.registerFunction({ id: 'onAuth' }, (input) => {
    asked.push(input)
    return {
      context: { name: 'John Doe' },
    }
  })

  const fn = iii.registerFunction({ id: 'onJoin' }, (input) => {
    console.log('Joined stream', input)
    joined.push(input)
    return {}
  })

  iii.registerTrigger({
    type: 'stream:join',
    function_id: fn.id,
    config: {},
  })
  await registered(iii, { functions: ['onAuth', 'onJoin'], triggers: ['onJoin'] })

  const client = await Client.open(`/stream/chat/${room}/?token=a&token=b&flag`, { headers: { 'X-Custom': 'Yes' } })
  await client.wait(1)
  check('the client is in', client.events(), [['sync', null, []]])
  check('asked once', asked.length, 1)
  const [{ headers, path, query_params, addr, ...rest }] = asked
  check('the auth input has no other keys', rest, {})
  check('path, without the query', path, `/stream/chat/${room}/`)
  check('query_params, arrays of strings', query_params, { token: ['a', 'b'], flag: [''] })
  check('headers: lower-case names, values untouched', headers['x-custom'], 'Yes')
  holds('headers: all of them', headers.host && headers['sec-websocket-key'], headers)
  holds('headers: strings', Object.values(headers).every((value) => typeof value === 'string'), headers)
  holds('addr is the remote address', typeof addr === 'string' && addr.includes('127.0.0.1'), addr)

  check('one join', joined.length, 1)
  const [{ subscription_id, id, ...join }] = joined
  check('the join has the names and the context', join, { stream_name: 'chat', group_id: room, context: { name: 'John Doe' } })
  holds('the join has a subscription id', typeof subscription_id === 'string' && subscription_id.length > 0, subscription_id)
  holds('no item id', id === undefined || id === null, id)

  client.join('6a1f8c52-90bd-4a53-8e0e-2f3a9b1c4d5e', 'chat', room, 'item-1')
  await until('the second join', () => joined.length === 2)
  check('a join message carries the client\'s own id, and the context of the connection', joined[1], {
    subscription_id: '6a1f8c52-90bd-4a53-8e0e-2f3a9b1c4d5e',
    stream_name: 'chat',
    group_id: room,
    id: 'item-1',
    context: { name: 'John Doe' },
  })
  check('the second join asks nobody to authenticate again', asked.length, 1)
})
