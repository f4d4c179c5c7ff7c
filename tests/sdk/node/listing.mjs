// weir-run: 0.9.0 0.11.6 0.22.1
// engine::functions::list, engine::workers::list, engine::triggers::list and the two availability triggers;
// in 0.9 through listFunctions, listWorkers, listTriggers and onFunctionsAvailable (protocol.md A.15).
import { check, holds, main, unique, until } from './lib/harness.mjs'
import { call, is09, registerWorker, registered, triggerRows, version } from './lib/sdk.mjs'

await main(async () => {
  const name = unique('pricing')
  const iii = registerWorker(undefined, { workerName: name })
  const total = unique('orders::total')
  const about = { description: 'sum', metadata: { team: 'billing' } }
  iii.registerFunction({ id: total, ...about }, async () => 1)
  iii.registerTrigger({ type: 'stream', function_id: total, config: { stream_name: name } })
  await registered(iii, { functions: [total], triggers: [total] })

  const functions = is09 ? await iii.listFunctions() : (await call(iii, 'engine::functions::list', {})).functions
  const row = functions.find(({ function_id }) => function_id === total)
  check('a function is listed with what was said about it', [row?.description, row?.metadata], [about.description, about.metadata])
  check('engine functions are hidden', functions.filter(({ function_id }) => function_id.startsWith('engine::')), [])
  const all = (await call(iii, 'engine::functions::list', { include_internal: true })).functions
  holds('unless asked for', all.some(({ function_id }) => function_id === 'engine::functions::list'), all.length)

  const worker = await until('the worker described itself', async () => {
    const workers = is09 ? await iii.listWorkers() : (await call(iii, 'engine::workers::list', {})).workers
    return workers.find((w) => w.name === name)
  })
  check('the worker', [worker.runtime, worker.version, worker.pid ?? process.pid], ['node', version, process.pid])
  holds('its status', ['connected', 'available', 'busy'].includes(worker.status), worker.status)
  holds('its connection time', Number.isSafeInteger(worker.connected_at_ms), worker.connected_at_ms)
  holds('its functions', worker.function_count >= 1 && worker.functions.includes(total), worker)
  check('nothing in flight but perhaps this', worker.active_invocations <= 1, true)
  const one = (await call(iii, 'engine::workers::list', { worker_id: worker.id })).workers
  check('one worker by id', one.map((w) => w.id), [worker.id])

  const triggers = is09 ? await iii.listTriggers() : await triggerRows(iii)
  const trigger = triggers.find(({ function_id }) => function_id === total)
  check('the trigger', [trigger.trigger_type, trigger.config], ['stream', { stream_name: name }])
  holds('its id', typeof trigger.id === 'string' && trigger.id.length > 0, trigger.id)

  const seen = []
  let forget
  if (is09) {
    forget = iii.onFunctionsAvailable((list) => seen.push(list))
  } else {
    iii.registerFunction({ id: unique('on::functions') }, ({ functions: list }) => {
      seen.push(list)
      return null
    })
    const bound = iii.registerTrigger({ type: 'engine::functions-available', function_id: unique('on::functions'), config: {} })
    forget = () => bound.unregister()
  }
  const events = []
  iii.registerFunction({ id: unique('on::workers') }, (input) => {
    events.push(input)
    return null
  })
  iii.registerTrigger({ type: 'engine::workers-available', function_id: unique('on::workers'), config: {} })
  await registered(iii, { functions: [unique('on::workers')], triggers: [unique('on::workers')] })

  const second = unique('second')
  const other = registerWorker(undefined, { workerName: second })
  const extra = unique('orders::extra')
  other.registerFunction({ id: extra }, async () => 2)
  await until('functions-available tells of the new function', () => seen.some((list) => list.some((f) => f.function_id === extra)))
  const { id } = await until('the second worker is listed', async () => (await call(iii, 'engine::workers::list', {})).workers.find((w) => w.name === second))
  const told = (event) => () => events.some((e) => e.event === event && e.worker_id === id)
  await until('workers-available tells of the new worker', told('worker_connected'))
  await until('workers-available tells of its name', told('worker_metadata_updated'))
  await other.shutdown()
  await until('workers-available tells that it left', told('worker_disconnected'))
  await until('functions-available tells that its function left', () => {
    const last = seen.at(-1)
    return last && !last.some((f) => f.function_id === extra)
  })
  forget()
  check('the list does not have it any more', (await call(iii, 'engine::functions::list', {})).functions.filter((f) => f.function_id === extra), [])
})
