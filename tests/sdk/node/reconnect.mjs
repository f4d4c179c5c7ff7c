// weir-run: 0.9.0 0.11.6 0.22.1
// A worker loses its socket and comes back (after about a second): its functions and triggers serve again, once each,
// and what it sent meanwhile arrives in order (protocol.md A.4, A.11).
import { Client, check, main, unique, until } from './lib/harness.mjs'
import { TriggerAction, call, registerWorker, registered, triggerRows } from './lib/sdk.mjs'

await main(async () => {
  const iii = registerWorker()
  const witness = registerWorker()
  const stream_name = unique('seats')
  const fired = []
  const joined = []
  const echo = unique('echo')
  iii.registerFunction({ id: echo }, async (input) => input)
  iii.registerFunction({ id: unique('on::change') }, (input) => {
    fired.push(input.event.data.n)
    return {}
  })
  iii.registerTrigger({ type: 'stream', function_id: unique('on::change'), config: { stream_name } })
  iii.registerFunction({ id: unique('on::join') }, (input) => {
    joined.push(input.subscription_id)
    return {}
  })
  iii.registerTrigger({ type: 'stream:join', function_id: unique('on::join'), config: { stream_name } })
  const functions = [echo, unique('on::change'), unique('on::join')]
  await registered(witness, { functions, triggers: functions.slice(1) })
  const ids = async () => (await triggerRows(witness)).filter((row) => functions.includes(row.function_id)).map((row) => row.id).sort()
  const before = await ids()

  const client = await Client.open(`/stream/${stream_name}/g/`)
  await client.wait(1)
  const set = (n) => ({ function_id: 'stream::set', payload: { stream_name, group_id: 'g', item_id: 'i', data: { n } }, action: TriggerAction.Void() })
  iii.trigger(set(0))
  await until('the first change fires', () => fired.length === 1)

  iii.ws.terminate()
  await until('the SDK noticed', () => iii.ws === undefined || iii.ws.readyState !== 1)
  for (const n of [1, 2, 3]) iii.trigger(set(n))
  await until('all changes fire again', () => fired.length >= 4)
  check('each once and in order', fired, [0, 1, 2, 3])
  await client.wait(5)
  check('the subscriber saw them in order', client.events().slice(1).map(([, , data]) => data.n), [0, 1, 2, 3])
  check('its function serves again', await call(witness, echo, 'hello'), 'hello')
  check('the triggers kept their ids', await ids(), before)

  const other = await Client.open(`/stream/${stream_name}/g/`)
  await other.wait(1)
  check('one call of the join handler per join', joined.length, 2)
})
