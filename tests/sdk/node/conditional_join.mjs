// weir-config: auth_function=stream::auth
// weir-run: 0.9.0 0.11.6 0.22.1
// product.md "Usage Example: Conditional Join": a false condition skips the handler, and the join goes on.
import { Client, check, main, unique } from './lib/harness.mjs'
import { call, registerWorker, registered } from './lib/sdk.mjs'

await main(async () => {
  const iii = registerWorker()
  const conditions = []
  const said = []
  const console = { log: (...words) => said.push(words) }

  iii.registerFunction({ id: 'stream::auth' }, (input) => {
    const auth = input.headers?.['authorization']?.replace(/^Bearer\s+/i, '')
    return auth ? { context: { userId: 'user-from-token' } } : { context: null }
  })

  const conditionFn = iii.registerFunction(
    { id: 'conditions::requireContext' },
    async (input) => {
      conditions.push(input)
      return input.context?.userId != null
    },
  )

  const fn = iii.registerFunction({ id: 'onJoin' }, (input) => {
    console.log('User joined:', input.context?.userId, input.stream_name)
    return {}
  })

  iii.registerTrigger({
    type: 'stream:join',
    function_id: fn.id,
    config: { condition_function_id: conditionFn.id },
  })
  await registered(iii, { functions: ['stream::auth', 'conditions::requireContext', 'onJoin'], triggers: ['onJoin'] })

  // Joins are decided before the sync, so a handler not called by then is never called.
  const room = unique('room')
  const stranger = await Client.open('/')
  stranger.join('s-stranger', 'chat', room)
  await stranger.wait(1)
  check('condition false: the join goes on', stranger.events(), [['sync', null, []]])
  check('condition false: the handler is not called', said, [])
  check('the condition got the payload of the handler', [conditions[0].subscription_id, conditions[0].group_id], ['s-stranger', room])

  const friend = await Client.open('/', { headers: { Authorization: 'Bearer tok-5' } })
  friend.join('s-friend', 'chat', room)
  await friend.wait(1)
  check('condition true: the handler is called', said, [['User joined:', 'user-from-token', 'chat']])

  await call(iii, 'stream::set', { stream_name: 'chat', group_id: room, item_id: 'm1', data: { id: 'm1' } })
  for (const client of [stranger, friend]) {
    await client.wait(2)
    check('both get the changes', client.events()[1], ['create', 'm1', { id: 'm1' }])
  }
})
