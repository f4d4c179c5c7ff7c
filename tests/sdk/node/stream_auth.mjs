// weir-config: auth_function=stream::auth
// weir-run: 0.9.0 0.11.6 0.22.1
// product.md "Usage Example: Join with Auth Context".
import { Client, check, holds, main, unique, until } from './lib/harness.mjs'
import { registerWorker, registered } from './lib/sdk.mjs'

await main(async () => {
  const iii = registerWorker()
  const asked = []
  const joined = []
  const said = []
  const console = { log: (line) => said.push(line) }

  iii.registerFunction({ id: 'stream::auth' }, (input) => {
    asked.push(input)
    const auth = input.headers?.['authorization']?.replace(/^Bearer\s+/i, '')
    const proto = input.headers?.['sec-websocket-protocol']
    const token = auth ?? (proto?.startsWith('Authorization,') ? proto.slice(13) : null)
    return token ? { context: { userId: 'user-from-token' } } : { context: null }
  })

  const fn = iii.registerFunction({ id: 'onJoin' }, (input) => {
    joined.push(input)
    const { stream_name, group_id, id: itemId, context } = input
    if (context?.userId) {
      console.log(`User ${context.userId} joined ${stream_name}/${group_id}/${itemId}`)
    }
    return {}
  })

  iii.registerTrigger({
    type: 'stream:join',
    function_id: fn.id,
    config: {},
  })
  await registered(iii, { functions: ['stream::auth', 'onJoin'], triggers: ['onJoin'] })

  const room = unique('room')
  const bearer = await Client.open('/', { headers: { Authorization: 'Bearer tok-5' } })
  bearer.join('s-bearer', 'chat', room, 'item-1')
  await bearer.wait(1)
  check('Authorization header: raw in the auth input', asked[0].headers.authorization, 'Bearer tok-5')
  check('Authorization header: context in the join', joined[0].context, { userId: 'user-from-token' })
  check('Authorization header: the sample greets', said, [`User user-from-token joined chat/${room}/item-1`])
  check('no protocol offered, none answered', bearer.socket.protocol, '')

  const browser = await Client.open('/', { protocols: ['Authorization', 'tok-5'] })
  browser.join('s-browser', 'chat', room, 'item-1')
  await browser.wait(1)
  check('the first offered protocol is answered, never the token', browser.socket.protocol, 'Authorization')
  check('Sec-WebSocket-Protocol: raw in the auth input', asked[1].headers['sec-websocket-protocol'], 'Authorization,tok-5')
  check('the sample cuts 13 of 14 characters off, as it always did', asked[1].headers['sec-websocket-protocol'].slice(13), ',tok-5')
  check('Sec-WebSocket-Protocol: context in the join', joined[1].context, { userId: 'user-from-token' })

  const stranger = await Client.open('/')
  stranger.join('s-stranger', 'chat', room)
  await stranger.wait(1)
  check('a null context connects', stranger.events(), [['sync', null, []]])
  await until('the third join', () => joined.length === 3)
  holds('a null context reaches the join as nothing', joined[2].context === undefined || joined[2].context === null, joined[2])
  check('the sample greets nobody else', said.length, 2)
})
